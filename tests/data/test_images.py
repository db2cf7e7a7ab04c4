"""The pictures of a dataset: whose they are, which are missing, and what is said."""

import json
import logging

import numpy as np
import pytest
from PIL import Image
from tiny import write_tiny

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError

# i3 names no picture, the file of i5 is missing, that of i6 is no picture.
ITEMS = {f"i{n}": f"images/{n}.png" if n != 3 else "" for n in range(1, 10)}


@pytest.fixture
def clip_model(tmp_path):
    """An open_clip folder of a model with random weights that sees 8 x 8 pixels."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    model_cfg = {
        "embed_dim": 12,
        "vision_cfg": {
            "image_size": 8,
            "patch_size": 4,
            "layers": 1,
            "width": 16,
            "head_width": 8,
        },
        "text_cfg": {"context_length": 16, "width": 16, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    model = open_clip.CLIP(**model_cfg)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def write_items(home, columns, rows):
    write_atomic(home / "tiny.item", columns, rows)


@pytest.fixture
def pictured(tmp_path, clip_model):
    """The data_path of the dozen requests with pictures, and the settings for them."""
    write_tiny(tmp_path)
    home = tmp_path / "tiny"
    columns = {"item_id": "token", "title": "token", "image": "token"}
    write_items(home, columns, [(i, f"Thing {i}", name) for i, name in ITEMS.items()])
    (home / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in (1, 2, 4, 7, 8, 9):
        values = rng.integers(0, 255, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(values).save(home / "images" / f"{number}.png")
    (home / "images" / "6.png").write_bytes(b"not a picture")
    return {"encoder": "open_clip", "clip_model": str(clip_model)}


def test_rows_are_items_and_those_without_a_picture_are_zero(
    prepare, tmp_path, pictured, clip_model
):
    from recbole_whisperlite.encoder.clip import load_clip

    _, data, _ = prepare("WhisperLite", tmp_path, **pictured)
    vectors, has_image = data.item_image_vectors()
    assert vectors.shape == (10, 12) and vectors.dtype == np.float32
    ids = data.field2id_token["item_id"]
    assert set(ids[has_image]) == {"i1", "i2", "i4", "i7", "i8", "i9"}
    assert not vectors[~has_image].any() and not has_image[0]
    clip = load_clip("open_clip", str(clip_model))
    for place in np.flatnonzero(has_image):
        path = tmp_path / "tiny" / ITEMS[ids[place]]
        expected = clip.encode_pictures([path])[0][0]
        np.testing.assert_allclose(vectors[place], expected, atol=2e-3)
    assert data.item_image_vectors()[0] is vectors
    assert data.encode_seconds["image"] > 0


@pytest.mark.parametrize("run", ["encoded", "from the cache"])
def test_what_is_missing_is_counted_and_named_once(
    prepare, tmp_path, pictured, caplog, run
):
    _, data, _ = prepare("WhisperLite", tmp_path, **pictured)
    if run == "from the cache":
        data.item_image_vectors()
        data._vectors.clear()
    caplog.clear()
    caplog.set_level(logging.INFO)
    data.item_image_vectors()
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "2 pictures are left out" in warning
    assert "images/5.png: there is no such file" in warning
    assert "images/6.png: this is not a picture" in warning
    assert (
        "6 of 9 items have a picture; 1 name none, and 2 name one that cannot be read"
        in caplog.text
    )


@pytest.mark.parametrize("run", ["encoded", "from the cache"])
def test_a_broken_picture_may_be_an_error(prepare, tmp_path, pictured, run):
    if run == "from the cache":
        _, data, _ = prepare("WhisperLite", tmp_path, **pictured)
        data.item_image_vectors()
    _, data, _ = prepare("WhisperLite", tmp_path, missing_image="error", **pictured)
    with pytest.raises(UserError, match="5.png: there is no.* missing_image: skip"):
        data.item_image_vectors()
    Image.new("RGB", (9, 9)).save(tmp_path / "tiny" / "images" / "5.png")
    with pytest.raises(UserError, match="6.png: this is not.* missing_image: skip"):
        data.item_image_vectors()
    Image.new("RGB", (9, 9)).save(tmp_path / "tiny" / "images" / "6.png")
    assert data.item_image_vectors()[1].sum() == 8  # i3 names none, and may


def test_a_dataset_without_pictures_says_so(prepare, tmp_path, pictured):
    home = tmp_path / "tiny"
    rows = [(item, f"Thing {item}") for item in ITEMS]
    write_items(home, {"item_id": "token", "title": "token"}, rows)
    with pytest.raises(UserError, match="tiny.item: there is no column 'image'.*title"):
        prepare("WhisperLite", tmp_path, **pictured)[1].item_image_vectors()
    columns = {"item_id": "token", "title": "token", "image": "token"}
    write_items(home, columns, [(*row, "") for row in rows])
    with pytest.raises(UserError, match="'image' is empty for every item"):
        prepare("WhisperLite", tmp_path, **pictured)[1].item_image_vectors()
    write_items(home, columns, [(*row, "no/where.jpg") for row in rows])
    with pytest.raises(UserError, match="none of 9 pictures can be read.*no/where.jpg"):
        prepare("WhisperLite", tmp_path, **pictured)[1].item_image_vectors()


@pytest.mark.parametrize(
    "use_text, use_image, width",
    [(True, False, 12), (True, True, 25), (False, True, 13)],
)
def test_whisperlite_trains_on_texts_pictures_or_both(
    prepare, tmp_path, pictured, use_text, use_image, width
):
    from recbole.utils import get_model, get_trainer

    config, data, loaders = prepare(
        "WhisperLite",
        tmp_path,
        use_text=use_text,
        use_image=use_image,
        epochs=2,
        **pictured,
    )
    model = get_model("WhisperLite")(config, loaders[0].dataset)
    assert model.items.vectors.shape == (10, width)
    trainer = get_trainer(config["MODEL_TYPE"], "WhisperLite")(config, model)
    trainer.fit(loaders[0], loaders[1], saved=False, show_progress=False)
    assert trainer.evaluate(loaders[2], load_best_model=False)["ndcg@3"] >= 0
