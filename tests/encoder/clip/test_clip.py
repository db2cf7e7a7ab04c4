"""One model for texts and pictures, and the faults of the known package it lacks."""

import logging
import zipfile

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn import functional

from recbole_whisperlite.encoder.clip import load_clip
from recbole_whisperlite.encoder.pictures import PictureError
from recbole_whisperlite.errors import UserError

TEXTS = ["a red dress", "blue shoes", "no heels please, I walk a lot", "it " * 400]


@pytest.fixture(scope="module")
def clip(clip_folder):
    return open_tiny(clip_folder)


def open_tiny(folder):
    return load_clip(
        "open_clip", str(folder / "tiny_clip.json"), str(folder / "weights.pt")
    )


@pytest.fixture(scope="module")
def plain(clip_folder):
    """open_clip's model, tokenizer and preprocessing, by hand."""
    open_clip.add_model_config(clip_folder / "tiny_clip.json")
    weights = str(clip_folder / "weights.pt")
    model, _, preprocess = open_clip.create_model_and_transforms(
        "tiny_clip", pretrained=weights
    )
    return model.eval(), open_clip.get_tokenizer("tiny_clip"), preprocess


@pytest.fixture
def folder(tmp_path):
    """Five pictures of noise and their paths."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(5):
        values = rng.integers(0, 255, (30 + 9 * number, 40, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(values).save(paths[-1])
    return paths


def by_hand(plain, paths):
    model, _, preprocess = plain
    with torch.no_grad():
        rows = [model.encode_image(preprocess(Image.open(p))[None]) for p in paths]
    return functional.normalize(torch.cat(rows), dim=-1).numpy()


def test_texts_have_open_clips_vectors_and_length_1(clip, plain):
    model, tokenizer, _ = plain
    with torch.no_grad():
        rows = torch.cat([model.encode_text(tokenizer([text])) for text in TEXTS])
    # Not of length 1 by themselves: a dot product would rank by length.
    assert rows.norm(dim=1).std() > 0.001
    vectors = clip.encode_texts(TEXTS, progress=False)
    assert vectors.dtype == np.float32
    expected = functional.normalize(rows, dim=-1).numpy()
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_dimension_is_the_models_and_not_512(clip, folder):
    assert clip.dim == 16
    assert clip.encode_texts(TEXTS).shape == (4, 16)
    assert clip.encode_pictures(folder)[0].shape == (5, 16)


@pytest.mark.parametrize("workers, batch_size", [(0, 64), (0, 2), (2, 2)])
def test_pictures_have_open_clips_vectors(clip, plain, folder, workers, batch_size):
    vectors, present = clip.encode_pictures(folder, batch_size, workers, progress=False)
    assert vectors.dtype == np.float32 and present.all()
    expected = by_hand(plain, folder)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3


def test_paths_images_and_members_of_an_archive_are_the_same_pictures(
    clip, folder, tmp_path
):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in folder:
            archive.write(path, f"in/{path.name}")
    members = [f"{tmp_path / 'photos.zip'}::in/{path.name}" for path in folder]
    expected, _ = clip.encode_pictures(folder)
    for pictures in ([str(p) for p in folder], [Image.open(p) for p in folder]):
        np.testing.assert_array_equal(clip.encode_pictures(pictures)[0], expected)
    # Processes that each read the archive: a position shared would give mixed bytes.
    for workers in (0, 2):
        found, _ = clip.encode_pictures(members * 4, 2, workers)
        np.testing.assert_allclose(found, np.tile(expected, (4, 1)), atol=1e-5)


@pytest.fixture
def damaged(folder):
    folder[1].write_bytes(b"not a picture")
    folder[3].unlink()
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_skipped_and_told_of_once(
    clip, plain, damaged, caplog, workers
):
    caplog.set_level(logging.WARNING)
    vectors, present = clip.encode_pictures(damaged, 2, workers, missing="skip")
    assert present.tolist() == [True, False, True, False, True]
    assert not vectors[~present].any()
    fine = [path for path, there in zip(damaged, present) if there]
    np.testing.assert_allclose(vectors[present], by_hand(plain, fine), atol=1e-5)
    (record,) = [r for r in caplog.records if "left out" in r.getMessage()]
    for part in ("2 of 5 pictures", "1.png: this is not", "3.png: there is no such"):
        assert part in record.getMessage()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_otherwise_an_error_in_one_line(clip, damaged, workers):
    with pytest.raises(PictureError) as error:
        clip.encode_pictures(damaged, 2, workers)
    assert "1.png: this is not a picture" in str(error.value)
    assert "\n" not in str(error.value) and "Traceback" not in str(error.value)
    with pytest.raises(UserError, match="'ignore' is neither"):
        clip.encode_pictures(damaged, missing="ignore")


def test_a_batch_in_which_nothing_can_be_read_is_skipped_too(clip, tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    vectors, present = clip.encode_pictures(paths, missing="skip")
    assert vectors.shape == (3, 16) and not present.any()


def test_of_nothing_there_are_no_vectors(clip):
    assert clip.encode_texts([]).shape == (0, 16)
    vectors, present = clip.encode_pictures([])
    assert vectors.shape == (0, 16) and present.shape == (0,)


def test_the_temperature_is_the_models_own(clip, plain):
    expected = plain[0].logit_scale.exp().item()
    assert clip.logit_scale == pytest.approx(expected, rel=1e-5)
    assert clip.logit_bias == 0
    assert clip.image_size == 32 and clip.context_length == 16


def test_siglips_bias_is_told(tmp_path, clip_config):
    import json

    config = {**clip_config(custom_text=True), "init_logit_bias": -10}
    (tmp_path / "with_bias.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "with_bias.json")
    model = open_clip.create_model("with_bias")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    clip = load_clip(
        "open_clip", str(tmp_path / "with_bias.json"), str(tmp_path / "weights.pt")
    )
    assert clip.logit_bias == -10


def test_the_model_can_be_trained_after_encoding_and_is_read_anew(clip_folder, folder):
    clip = open_tiny(clip_folder)
    before = clip.encode_texts(TEXTS), clip.encode_pictures(folder)[0]
    assert not clip.model.training
    clip.model.train()
    model = clip.model
    image = torch.stack([clip.preprocess(Image.open(p)) for p in folder[:2]])
    text = clip.tokenizer(TEXTS[:2])
    features = model.encode_image(image) * model.encode_text(text)
    features.sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    after = clip.encode_texts(TEXTS), clip.encode_pictures(folder)[0]
    assert model.training
    for old, new in zip(before, after):
        assert np.abs(old - new).max() > 1e-4


def test_the_fingerprint_is_of_the_weights_and_not_of_their_name(
    clip_folder, make_clip, tmp_path
):
    other = make_clip(seed=1)
    same = tmp_path / "another name.pt"
    same.write_bytes((clip_folder / "weights.pt").read_bytes())
    model = str(clip_folder / "tiny_clip.json")
    first, copy, different = [
        load_clip("open_clip", model, str(weights)).fingerprint(tmp_path)
        for weights in (clip_folder / "weights.pt", same, other / "weights.pt")
    ]
    assert first == copy != different


def test_an_encoder_that_is_no_clip_is_named():
    with pytest.raises(UserError, match="'tfidf' is no CLIP model.* whisperlite-mini"):
        load_clip("tfidf")
    with pytest.raises(UserError, match="Did you mean 'fashion-clip'"):
        load_clip("fashionclip")
