import json
import shutil
import sys

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from recbole_whisperlite.encoder import encode
from recbole_whisperlite.encoder.clip import source as clip_source
from recbole_whisperlite.encoder.clip.open_clip import OpenClip
from recbole_whisperlite.errors import UserError

TEXTS = ["a red dress", "blue shoes", "a red dress", "no heels please, I walk a lot"]
LONG = "warm black coat with a hood and deep pockets for long walks in the rain"


@pytest.fixture
def config(settings, clip_folder):
    return {
        **settings,
        "encoder": "open_clip",
        "clip_model": str(clip_folder / "tiny_clip.json"),
        "clip_pretrained": str(clip_folder / "weights.pt"),
    }


def run(config, texts=TEXTS):
    return encode(config, texts, ids=texts, side="item", fit_texts=[])


def plain(folder, texts):
    """open_clip by hand, one text at a time at full length."""
    open_clip.add_model_config(folder / "tiny_clip.json")
    weights = str(folder / "weights.pt")
    model = open_clip.create_model("tiny_clip", pretrained=weights).eval()
    tokenizer = open_clip.get_tokenizer("tiny_clip")
    with torch.no_grad():
        rows = torch.cat([model.encode_text(tokenizer([text])) for text in texts])
    return functional.normalize(rows, dim=-1).numpy()


@pytest.fixture
def snapshot(clip_folder, tmp_path):
    """A folder as a hub has it: open_clip_config.json beside the weights."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    model = json.loads((clip_folder / "tiny_clip.json").read_text())
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    weights = torch.load(clip_folder / "weights.pt", weights_only=True)
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def test_a_config_and_a_checkpoint_give_open_clips_vectors(config, clip_folder):
    vectors = run(config)
    assert isinstance(vectors, np.memmap) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain(clip_folder, TEXTS), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_the_other_layout_of_open_clip_loads_too(settings, make_clip):
    folder = make_clip(custom_text=True)
    config = {
        **settings,
        "encoder": "open_clip",
        "clip_model": str(folder / "tiny_clip.json"),
        "clip_pretrained": str(folder / "weights.pt"),
    }
    np.testing.assert_allclose(run(config), plain(folder, TEXTS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "local-dir:"])
def test_a_folder_brings_its_own_weights(config, clip_folder, snapshot, prefix):
    # The tag is a default that does not concern this model.
    config.update(clip_model=f"{prefix}{snapshot}", clip_pretrained="openai")
    np.testing.assert_allclose(
        run(config), plain(clip_folder, TEXTS), rtol=0, atol=1e-5
    )


def test_a_second_run_loads_neither_model_nor_open_clip(config, monkeypatch):
    first = np.array(run(config))
    monkeypatch.setitem(sys.modules, "open_clip", None)  # import would fail
    np.testing.assert_array_equal(run(config), first)
    with pytest.raises(UserError, match="doctor"):
        run(config, ["another text"])


def test_float16_is_the_rounded_float32(config):
    half = run({**config, "vector_dtype": "float16"})
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, run(config).astype(np.float16))


def test_a_long_text_in_chunks_is_the_mean_of_its_halves(config, clip_folder, caplog):
    # 15 words and two tokens around them are one more than the 16 that are read.
    halves = plain(
        clip_folder, [" ".join(LONG.split()[:8]), " ".join(LONG.split()[8:])]
    )
    expected = halves.mean(axis=0) / np.linalg.norm(halves.mean(axis=0))
    chunks = run({**config, "long_text": "mean_of_chunks"}, ["hat", LONG])
    np.testing.assert_allclose(chunks[1], expected, rtol=0, atol=1e-5)
    cut = run(config, ["hat", LONG])
    np.testing.assert_allclose(cut, plain(clip_folder, ["hat", LONG]), atol=1e-5)
    assert np.abs(cut[1] - expected).max() > 1e-3
    # 1 of the 3 + 17 tokens is not read.
    assert "1 of 2 texts have more than the 16 tokens" in caplog.text
    assert "5.0% of all tokens" in caplog.text


def key(config):
    return OpenClip(config, []).fingerprint()


def test_the_key_follows_what_shapes_the_vectors(config, make_clip, snapshot):
    other = make_clip(seed=1)
    keys = [
        key(config),
        key({**config, "long_text": "mean_of_chunks"}),
        key({**config, "clip_pretrained": str(other / "weights.pt")}),
        key({**config, "clip_model": "ViT-B-16"}),
        key({**config, "clip_model": "ViT-B-16", "clip_pretrained": "openai"}),
        key({**config, "clip_model": "hf-hub:a/b", "clip_pretrained": None}),
        key({**config, "clip_model": str(snapshot), "clip_pretrained": None}),
    ]
    assert len({json.dumps(k) for k in keys}) == len(keys)


def test_the_key_does_not_follow_what_does_not(config, clip_folder, tmp_path):
    copy = shutil.copytree(clip_folder, tmp_path / "copy")
    for change in (
        {"encode_batch_size": 99},
        {"show_progress": True},
        {"clip_pretrained": str(copy / "weights.pt")},
        {"clip_model": str(copy / "tiny_clip.json")},
    ):
        assert key({**config, **change}) == key(config)


def test_a_checkpoint_that_changed_under_its_name_is_another(config, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"one")
    config["clip_pretrained"] = str(path)
    before = key(config)
    assert key(config) == before
    path.write_bytes(b"two, and longer")
    assert key(config) != before


def test_a_checkpoint_is_read_once_to_know_it(config, monkeypatch):
    before = key(config)

    def fail(*args, **kwargs):
        raise AssertionError("read again")

    monkeypatch.setattr("recbole_whisperlite.encoder.digest.open", fail, raising=False)
    assert key(config) == before


def no_network(*args, **kwargs):
    raise RuntimeError("Failed to download weights:\nName or service not known")


@pytest.mark.parametrize(
    "model, sought, remedy",
    [
        (
            "ViT-B-32",
            "open_clip's weights 'openai' for ViT-B-32",
            "clip_pretrained: /path",
        ),
        (
            "hf-hub:org/name",
            "clip_model 'hf-hub:org/name': the repository org/name",
            "clip_model: /path/to/its/folder",
        ),
    ],
)
def test_without_a_network_one_error_names_the_ways_out(
    settings, monkeypatch, model, sought, remedy
):
    monkeypatch.setattr(open_clip, "create_model", no_network)
    with pytest.raises(UserError) as error:
        run({**settings, "encoder": "open_clip", "clip_model": model})
    message = str(error.value)
    assert "\n" not in message
    for part in (
        sought,
        remedy,
        "encoder: whisperlite-mini",
        "Name or service not known",
    ):
        assert part in message


def test_a_library_that_a_model_needs_is_named(settings, monkeypatch):
    def needs(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'transformers'", name="transformers")

    monkeypatch.setattr(open_clip, "create_model", needs)
    with pytest.raises(UserError, match="pip install transformers"):
        run({**settings, "encoder": "open_clip"})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"clip_model": "ViT-B32"}, "no model 'ViT-B32'. Did you mean 'ViT-B-32'"),
        (
            {"clip_model": "ViT-B-32", "clip_pretrained": "openia"},
            "no weights 'openia' for ViT-B-32. Did you mean 'openai'",
        ),
        ({"clip_pretrained": "no/such.pt"}, "there is no file no/such.pt"),
        ({"clip_pretrained": None}, "random weights"),
        ({"clip_model": "no/such.json"}, "there is no file no/such.json"),
        ({"clip_model": "."}, "no open_clip_config.json in the folder"),
        (
            {"clip_model": "local-dir:none"},
            "no open_clip_config.json in the folder none",
        ),
        ({"clip_model": "hf-hub:a/b"}, "weights.pt' would not be used"),
        ({"clip_model": "a/b"}, "no folder a/b. .* write 'hf-hub:a/b'"),
        ({"clip_model": "./a/b"}, "no folder ./a/b"),
        ({"clip_model": "transformers:/a/b"}, "no folder /a/b"),
        ({"clip_model": "hf-hub:a/b/c"}, "no folder a/b/c"),
        ({"long_text": "cut"}, "Accepted: truncate, mean_of_chunks"),
        ({"encode_batch_size": 0}, "an integer of at least 1, not 0"),
    ],
)
def test_a_wrong_setting_is_named(config, change, message):
    if change.get("clip_model", "").startswith("ViT"):
        change = {"clip_pretrained": "openai", **change}
    with pytest.raises(UserError, match=message):
        run({**config, **change})


def test_files_that_do_not_fit_are_named(config, clip_folder, tmp_path, make_clip):
    wider = make_clip(width=64) / "weights.pt"
    with pytest.raises(UserError, match="could not load clip_model .*weights.pt: "):
        run({**config, "clip_pretrained": str(wider)})
    text = tmp_path / "text.pt"
    text.write_text("not a checkpoint")
    with pytest.raises(
        UserError, match="could not load .*text.pt.* in a complete file"
    ):
        run({**config, "clip_pretrained": str(text)})
    for content, message in {
        "{": "is not valid JSON",
        '{"embed_dim": 4}': "vision_cfg, text_cfg is missing",
    }.items():
        model = tmp_path / "model.json"
        model.write_text(content)
        with pytest.raises(UserError, match=message):
            run({**config, "clip_model": str(model)})


def test_a_folder_without_weights_is_refused(config, snapshot):
    (snapshot / "open_clip_model.safetensors").unlink()
    with pytest.raises(UserError, match="could not be loaded"):
        run({**config, "clip_model": str(snapshot), "clip_pretrained": None})


def test_without_open_clip_the_error_holds_the_pip_line(config, monkeypatch):
    def version(name):
        raise clip_source.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(clip_source.importlib.metadata, "version", version)
    with pytest.raises(UserError, match="pip install open_clip_torch"):
        run(config)


@pytest.mark.parametrize("tag, quick", [("openai", True), ("laion2b_s34b_b79k", False)])
def test_weights_have_the_activation_that_they_were_trained_with(
    monkeypatch, tag, quick
):
    given = {}

    def create_model(name, **options):
        given.update(options)
        raise RuntimeError("no network")

    monkeypatch.setattr(open_clip, "create_model", create_model)
    with pytest.raises(UserError, match="could not be downloaded"):
        clip_source.ClipSource("open_clip", "ViT-B-32", tag).load()
    assert given["force_quick_gelu"] is quick


def test_of_a_file_the_activation_is_told(config, clip_folder, tmp_path, caplog):
    quick = json.loads((clip_folder / "tiny_clip.json").read_text())
    (tmp_path / "tiny_clip-quickgelu.json").write_text(
        json.dumps({**quick, "quick_gelu": True})
    )
    open_clip.add_model_config(clip_folder / "tiny_clip.json")
    open_clip.add_model_config(tmp_path / "tiny_clip-quickgelu.json")
    plain = run({**config, "clip_model": "tiny_clip"})
    assert "clip_model to tiny_clip-quickgelu" in caplog.text
    other = run({**config, "clip_model": "tiny_clip-quickgelu"})
    assert not np.allclose(plain, other, atol=1e-4)
