"""Models by name: where they are looked for, and what is said when they are not there."""

import json
import os

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from recbole_whisperlite.encoder import encode
from recbole_whisperlite.encoder.clip import load_clip
from recbole_whisperlite.encoder.clip.source import ClipSource
from recbole_whisperlite.encoder.presets import OFFLINE, PRESETS
from recbole_whisperlite.errors import UserError

TEXTS = ["a red dress", "blue shoes"]
# The defaults of both settings, which are set whatever the encoder is.
MODEL, TAG = "ViT-B-32", "laion2b_s34b_b79k"
DOWNLOADED = sorted({*PRESETS} - {OFFLINE})
FOLDERS = sorted({*DOWNLOADED} - {"clip-vit-b-32"})


@pytest.fixture
def snapshot(clip_folder, tmp_path):
    """A repository of open_clip's layout, downloaded by hand."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    model = json.loads((clip_folder / "tiny_clip.json").read_text())
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    weights = torch.load(clip_folder / "weights.pt", weights_only=True)
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


@pytest.mark.parametrize("encoder", DOWNLOADED)
def test_without_a_network_one_line_says_all(encoder, monkeypatch, tmp_path):
    # Whatever another program downloaded before, here nothing is.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as error:
        load_clip(encoder, MODEL, TAG)
    message = str(error.value)
    assert "\n" not in message
    sought = PRESETS[encoder].clip_pretrained or PRESETS[encoder].clip_model
    for part in (
        f"encoder: {encoder}",
        sought.split(":")[-1],
        "Without a network, download the",
        "set clip_pretrained: /path",
        "encoder: whisperlite-mini",
    ):
        assert part in message


def test_the_downloaded_presets_are_models_that_open_clip_has():
    assert TAG in open_clip.list_pretrained_tags_by_model(MODEL)
    assert PRESETS["clip-vit-b-32"] == (MODEL, TAG)


@pytest.mark.parametrize("encoder", FOLDERS)
def test_a_local_copy_is_the_folder_or_the_file_in_it(encoder, clip_folder, snapshot):
    expected = load_clip(
        "open_clip",
        str(clip_folder / "tiny_clip.json"),
        str(clip_folder / "weights.pt"),
    ).encode_texts(TEXTS)
    for copy in (snapshot, snapshot / "open_clip_model.safetensors"):
        clip = load_clip(encoder, MODEL, str(copy))
        np.testing.assert_array_equal(clip.encode_texts(TEXTS), expected)
        assert clip.name == encoder


def test_of_several_files_in_a_folder_the_named_one_is_read(snapshot, make_clip):
    other = torch.load(make_clip(seed=1) / "weights.pt", weights_only=True)
    save_file(other, snapshot / "epoch_2.safetensors")
    first = load_clip("marqo-fashionclip", clip_pretrained=str(snapshot))
    second = load_clip(
        "marqo-fashionclip", clip_pretrained=str(snapshot / "epoch_2.safetensors")
    )
    np.testing.assert_array_equal(
        second.model.token_embedding.weight.detach(), other["token_embedding.weight"]
    )
    assert np.abs(first.encode_texts(TEXTS) - second.encode_texts(TEXTS)).max() > 0.01


def test_a_checkpoint_alone_does_for_clip_vit_b_32(tmp_path, clip_folder):
    # Weights of another size: they are read, into ViT-B-32, and do not fit.
    with pytest.raises(
        UserError, match="could not load encoder: clip-vit-b-32 .*weigh"
    ):
        load_clip("clip-vit-b-32", MODEL, str(clip_folder / "weights.pt"))


@pytest.mark.parametrize("encoder", FOLDERS)
def test_a_checkpoint_without_its_config_is_refused(encoder, clip_folder):
    with pytest.raises(
        UserError, match="neither open_clip_config.json nor config.json"
    ):
        load_clip(encoder, MODEL, str(clip_folder / "weights.pt"))


@pytest.mark.parametrize("encoder", PRESETS)
def test_a_copy_that_is_not_there_is_named(encoder, tmp_path):
    with pytest.raises(UserError, match="no file or folder .*/nowhere.pt.*local copy"):
        load_clip(encoder, MODEL, str(tmp_path / "nowhere.pt"))
    with pytest.raises(UserError, match="open_clip_config.json in the folder"):
        load_clip(encoder, MODEL, str(tmp_path))


def test_the_home_directory_may_be_short(monkeypatch, snapshot):
    monkeypatch.setenv("HOME", str(snapshot.parent))
    clip = load_clip("fashion-clip", clip_pretrained=f"~{os.sep}snapshot")
    assert clip.dim == 16


def test_encode_takes_a_preset_and_shares_vectors_with_the_model_spelt_out(
    settings, snapshot, tmp_path
):
    preset = {
        **settings,
        "encoder": "marqo-fashionclip",
        "clip_pretrained": str(snapshot),
    }
    spelt = {**settings, "encoder": "open_clip", "clip_model": str(snapshot)}
    first, second = [
        encode(config, TEXTS, ids=TEXTS, side="item", fit_texts=[])
        for config in (preset, spelt)
    ]
    np.testing.assert_array_equal(first, second)
    assert len(list((tmp_path / "vectors").glob("*.npy"))) == 1


def test_the_offline_preset_lies_in_the_package():
    source = ClipSource(OFFLINE, MODEL, TAG)
    clip = load_clip()
    assert clip.name == source.name == "whisperlite-mini"
    cosines = clip.encode_texts(["a red dress", "red dresses", "black leather boots"])
    cosines = cosines @ cosines.T
    assert cosines[0, 1] > cosines[0, 2]


def hub(folder, asked):
    """Stand in for the hub: every repository is ``folder``."""
    from huggingface_hub.errors import EntryNotFoundError

    def download(repo_id, filename, **kwargs):
        asked.append((repo_id, filename))
        if not (folder / filename).is_file():
            raise EntryNotFoundError(filename)
        return str(folder / filename)

    return download


@pytest.mark.parametrize(
    "encoder, repository",
    [
        ("marqo-fashionclip", "Marqo/marqo-fashionCLIP"),
        ("marqo-fashionsiglip", "Marqo/marqo-fashionSigLIP"),
    ],
)
def test_from_the_hub_come_model_weights_tokenizer_and_preprocessing(
    encoder, repository, snapshot, monkeypatch
):
    asked = []
    config = json.loads((snapshot / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = {"mean": [0.1, 0.2, 0.3], "resize_mode": "squash"}
    (snapshot / "open_clip_config.json").write_text(json.dumps(config))
    monkeypatch.setattr("open_clip.pretrained.hf_hub_download", hub(snapshot, asked))
    clip = load_clip(encoder, MODEL, TAG)
    assert {repo for repo, _ in asked} == {repository}
    assert clip.preprocess.transforms[-1].mean == [0.1, 0.2, 0.3]
    np.testing.assert_array_equal(
        clip.encode_texts(TEXTS),
        load_clip("open_clip", str(snapshot)).encode_texts(TEXTS),
    )


def test_a_model_with_a_tokenizer_of_its_own_is_read_with_that(tmp_path):
    """As SigLIP's: no causal mask, the last place is pooled, another vocabulary."""
    pytest.importorskip("transformers", reason="such tokenizers are read by it")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "a", "red", "dress", "blue", "shoes"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(tmp_path)
    model_cfg = {
        "embed_dim": 16,
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": {"image_size": 8, "patch_size": 4, "layers": 1, "width": 64},
        "text_cfg": {
            "context_length": 10,
            "vocab_size": len(words),
            "hf_tokenizer_name": "not/asked",
            "width": 32,
            "heads": 2,
            "layers": 2,
            "no_causal_mask": True,
            "pool_type": "last",
            "tokenizer_kwargs": {"clean": "lower"},
        },
    }
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": model_cfg})
    )
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(
        **{key: value for key, value in model_cfg.items() if key != "custom_text"}
    ).eval()
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    clip = load_clip("marqo-fashionsiglip", MODEL, str(tmp_path))
    tokens = torch.tensor([[2, 3, 4] + [0] * 7, [5, 6] + [0] * 8])
    assert clip.tokenizer(["A red dress", "blue shoes"]).tolist() == tokens.tolist()
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=True).numpy()
    found = clip.encode_texts(["A red dress", "blue shoes"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (clip.context_length, clip.logit_bias) == (10, -10)


def test_the_model_config_is_told_however_the_model_was_named(clip_folder, snapshot):
    config = json.loads((clip_folder / "tiny_clip.json").read_text())
    for model, weights in (
        (clip_folder / "tiny_clip.json", clip_folder / "weights.pt"),
        (snapshot, None),
    ):
        source = ClipSource("open_clip", str(model), weights and str(weights))
        source.load()
        assert source.model_config() == config
