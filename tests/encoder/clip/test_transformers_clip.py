"""transformers' CLIPModel and open_clip give the same vectors from the same weights."""

import json

import numpy as np
import pytest
import torch
from close import assert_close_relative
from PIL import Image

from recbole_whisperlite.encoder.clip import transformers_clip
from recbole_whisperlite.encoder.clip import load_clip
from recbole_whisperlite.errors import UserError

TEXTS = ["a red dress", "blue shoes, no heels", "it " * 400]
PREPROCESS = {
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "resample": 2,
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
}


def save(folder, activation="quick_gelu"):
    """Write a seeded random CLIPModel of two layers; return it."""
    transformers = pytest.importorskip(
        "transformers", reason="the layout's own library is what ours is compared with"
    )
    tower = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_act": activation,
    }
    config = transformers.CLIPConfig(
        text_config={**tower, "max_position_embeddings": 16},
        vision_config={
            **tower,
            "hidden_size": 48,
            "image_size": 32,
            "patch_size": 16,
            "layer_norm_eps": 1e-3,
        },
        projection_dim=24,
    )
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    for parameter in model.parameters():
        # At the library's own start positions and most layers hardly matter.
        if parameter.ndim:
            torch.nn.init.normal_(parameter, std=0.2)
    torch.nn.init.constant_(model.logit_scale, 3.0)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESS))
    return model


def vectors_of(output):
    """CLIPModel's features: a tensor, or in newer releases an output that holds it."""
    return (output if torch.is_tensor(output) else output.pooler_output).detach()


def pictures():
    values = np.random.default_rng(0).integers(0, 255, (3, 50, 40, 3), dtype=np.uint8)
    return [Image.fromarray(value) for value in values]


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_texts_and_pictures_have_the_vectors_of_the_layouts_own_library(
    tmp_path, activation
):
    theirs = save(tmp_path, activation)
    clip = load_clip("fashion-clip", clip_pretrained=str(tmp_path))
    tokens = clip.tokenizer(TEXTS)
    images = torch.stack([clip.preprocess(picture) for picture in pictures()])
    with torch.no_grad():
        pairs = [
            (clip.model.encode_text(tokens), theirs.get_text_features(tokens)),
            (clip.model.encode_image(images), theirs.get_image_features(images)),
        ]
    for ours, expected in pairs:
        expected = vectors_of(expected)
        assert_close_relative(ours, expected, rtol=1e-4)
        # Different inputs differ by far more, or the comparison would say little.
        assert (expected[0] - expected[1]).abs().max() > 0.03
    assert clip.logit_scale == pytest.approx(np.exp(3.0), rel=1e-5)
    assert (clip.context_length, clip.image_size, clip.dim) == (16, 32, 24)


def test_the_wrong_activation_would_be_noticed(tmp_path):
    theirs = save(tmp_path, "gelu")
    config = json.loads((tmp_path / "config.json").read_text())
    for tower in ("text_config", "vision_config"):
        config[tower]["hidden_act"] = "quick_gelu"
    (tmp_path / "config.json").write_text(json.dumps(config))
    clip = load_clip("fashion-clip", clip_pretrained=str(tmp_path))
    tokens = clip.tokenizer(TEXTS)
    with torch.no_grad():
        ours = clip.model.encode_text(tokens)
        expected = vectors_of(theirs.get_text_features(tokens))
    assert (ours - expected).abs().max() > 1e-3


def test_pictures_are_prepared_as_the_repository_says(tmp_path):
    transformers = pytest.importorskip("transformers")
    save(tmp_path)
    clip = load_clip("fashion-clip", clip_pretrained=str(tmp_path))
    processor = transformers.CLIPImageProcessor(**PREPROCESS)
    for picture in pictures():
        expected = processor(picture, return_tensors="pt")["pixel_values"][0]
        # The libraries may round once more or less on the way: a level of 255, by std.
        torch.testing.assert_close(
            clip.preprocess(picture), expected, rtol=0, atol=2 / 255 / 0.2
        )


def test_a_checkpoint_of_torch_is_read_as_the_safetensors_is(tmp_path):
    theirs = save(tmp_path / "a")
    state = theirs.state_dict()
    # What older releases stored beside the weights.
    state["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    (tmp_path / "b").mkdir()
    torch.save(state, tmp_path / "b" / "pytorch_model.bin")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / "b" / name).write_text((tmp_path / "a" / name).read_text())
    paths = [tmp_path / "a", tmp_path / "b", tmp_path / "b" / "pytorch_model.bin"]
    first, *others = [
        load_clip("fashion-clip", clip_pretrained=str(path)).encode_texts(TEXTS)
        for path in paths
    ]
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, make_layout):
    folder = make_layout(tmp_path)

    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "was here"), "w")

    torch.save({"logit_scale": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="could not load .*fashion-clip"):
        load_clip("fashion-clip", clip_pretrained=str(folder))
    assert not (tmp_path / "was here").exists()


@pytest.fixture
def make_layout():
    def make(folder, **config):
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make


@pytest.mark.parametrize(
    "config, message",
    [
        ({"model_type": "siglip"}, "describes a 'siglip' model"),
        ({"text_config": {"hidden_act": "relu"}}, "quick_gelu and relu"),
        ({"text_config": {"vocab_size": 250002}}, "vocabulary of 250002 tokens"),
        (
            {},
            "no weights next to config.json: expected model.safetensors or pytorch_model.bin",
        ),
    ],
)
def test_another_kind_of_model_is_named(tmp_path, make_layout, config, message):
    folder = make_layout(tmp_path, **config)
    with pytest.raises(UserError, match=message):
        load_clip("fashion-clip", clip_pretrained=str(folder))


def test_what_config_json_leaves_out_is_vit_b_32():
    import open_clip

    ours = transformers_clip.model_config({})
    expected = open_clip.get_model_config("ViT-B-32-quickgelu")
    assert ours["quick_gelu"] and expected["quick_gelu"]
    assert ours["embed_dim"] == expected["embed_dim"]
    for tower in ("vision_cfg", "text_cfg"):
        assert expected[tower].items() <= ours[tower].items()


def test_the_older_layouts_config_dict_wins():
    config = {
        "text_config": {"hidden_size": 64, "eos_token_id": 2},
        "text_config_dict": {"num_hidden_layers": 3},
        "vision_config_dict": None,
    }
    text = transformers_clip.model_config(config)["text_cfg"]
    assert (text["width"], text["layers"]) == (512, 3)


def test_sides_that_are_set_both_are_squashed():
    both = {"size": {"height": 224, "width": 224}}
    assert transformers_clip.preprocess_config(both)["resize_mode"] == "squash"
    for size in (224, {"shortest_edge": 224}, None):
        found = transformers_clip.preprocess_config({"size": size})
        assert found["resize_mode"] == "shortest"


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_from_the_hub_whichever_weights_it_has_are_fetched(
    tmp_path, monkeypatch, weights
):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    theirs = save(tmp_path)
    if weights.endswith(".bin"):
        torch.save(theirs.state_dict(), tmp_path / weights)
        (tmp_path / "model.safetensors").unlink()
    asked = []

    def download(repository, name):
        asked.append((repository, name))
        if not (tmp_path / name).is_file():
            raise EntryNotFoundError(name)
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    clip = load_clip("fashion-clip")
    assert {repository for repository, _ in asked} == {"patrickjohncyh/fashion-clip"}
    assert asked[-1][1] == weights
    with torch.no_grad():
        expected = vectors_of(theirs.get_text_features(clip.tokenizer(TEXTS)))
        ours = clip.model.encode_text(clip.tokenizer(TEXTS))
        assert_close_relative(ours, expected, rtol=1e-4)
