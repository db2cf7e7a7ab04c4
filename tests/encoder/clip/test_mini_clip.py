"""A model with a table for a few tokens reads them as the whole model does."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from recbole_whisperlite.encoder.clip import mini_clip
from recbole_whisperlite.encoder.clip import load_clip
from recbole_whisperlite.encoder.clip.mini_clip import KeptTokenizer, save_clip
from recbole_whisperlite.errors import UserError

KNOWN = ["a red dress", "blue shoes!", "a blue dress a red dress"]
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.3, 0.3, 0.2], "resize_mode": "squash"}


@pytest.fixture
def whole(make_clip, clip_config):
    """Return a model with CLIP's whole table, its tokenizer and its config."""

    def make(**settings):
        folder = make_clip(**settings)
        open_clip.add_model_config(folder / "tiny_clip.json")
        weights = str(folder / "weights.pt")
        model = open_clip.create_model("tiny_clip", pretrained=weights).eval()
        tokenizer = open_clip.get_tokenizer("tiny_clip")
        return model, tokenizer, clip_config(**settings)

    return make


def tokens_of(tokenizer, texts):
    return np.unique(tokenizer(texts).numpy())


def load(folder):
    return load_clip("open_clip", clip_model=str(folder))


@pytest.mark.parametrize("custom_text", [False, True])
def test_texts_of_kept_tokens_have_the_vectors_of_the_whole_model(
    whole, tmp_path, custom_text
):
    model, tokenizer, config = whole(custom_text=custom_text)
    save_clip(tmp_path, model, config, PREPROCESS, tokens_of(tokenizer, KNOWN))
    mini = load(tmp_path)
    with torch.no_grad():
        expected = model.encode_text(tokenizer(KNOWN), normalize=True).numpy()
    np.testing.assert_allclose(mini.encode_texts(KNOWN), expected, atol=2e-3)
    assert np.abs(expected[0] - expected[1]).max() > 0.03
    picture = Image.effect_noise((40, 40), 90).convert("RGB")
    with torch.no_grad():
        image = mini.preprocess(picture)[None]
        expected = model.encode_image(image, normalize=True).numpy()
    np.testing.assert_allclose(
        mini.encode_pictures([picture])[0], expected, rtol=0, atol=2e-3
    )


def test_the_folder_is_small_and_of_open_clips_layout(whole, tmp_path):
    model, tokenizer, config = whole()
    kept = tokens_of(tokenizer, KNOWN)
    save_clip(tmp_path, model, config, PREPROCESS, kept)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "kept_tokens.npy",
        "open_clip_config.json",
        "open_clip_model.safetensors",
    ]
    state = load_file(tmp_path / "open_clip_model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    # padding, a, red, dress, blue, shoes, !, start, end; and the row of all others
    assert len(np.load(tmp_path / "kept_tokens.npy")) == len(kept) == 9
    assert state["token_embedding.weight"].shape == (10, 32)
    mini = load(tmp_path)
    assert mini.model.token_embedding.weight.dtype == torch.float32
    assert mini.preprocess.transforms[-1].mean == [0.4, 0.5, 0.6]
    theirs = open_clip.create_model(f"local-dir:{tmp_path}", require_pretrained=True)
    assert theirs.vocab_size == 10


def test_tokens_that_were_not_kept_share_the_first_row(whole, tmp_path):
    model, tokenizer, config = whole()
    save_clip(tmp_path, model, config, PREPROCESS, tokens_of(tokenizer, KNOWN))
    mini = load(tmp_path)
    trousers, umbrella = mini.tokenizer(["a trousers", "a umbrella"])
    assert trousers.tolist() == umbrella.tolist()
    assert trousers[2] == 0
    others = np.setdiff1d(np.arange(49408), tokens_of(tokenizer, KNOWN))
    np.testing.assert_allclose(
        mini.model.token_embedding.weight[0].detach(),
        model.token_embedding.weight[others].mean(dim=0).detach(),
        atol=1e-3,
    )


def test_the_end_token_has_the_highest_row_where_open_clip_looks(whole):
    _, tokenizer, _ = whole()
    kept = KeptTokenizer(tokenizer, tokens_of(tokenizer, KNOWN))
    for text in [*KNOWN, "words never met", "long " * 40, ""]:
        whole_ids, rows = tokenizer([text])[0], kept([text])[0]
        assert rows.argmax() == whole_ids.argmax()
        assert rows.max() == kept.vocab_size - 1 == 9


def test_a_model_trained_with_the_small_table_is_saved_as_it_is(whole, tmp_path):
    _, tokenizer, config = whole()
    tokens = tokens_of(tokenizer, KNOWN)
    kept = KeptTokenizer(tokenizer, tokens)
    config["text_cfg"]["vocab_size"] = kept.vocab_size
    config.pop("custom_text")
    torch.manual_seed(1)
    model = open_clip.CLIP(**config).eval()
    save_clip(tmp_path, model, config, PREPROCESS, tokens)
    texts = [*KNOWN, "an umbrella"]
    with torch.no_grad():
        expected = model.encode_text(kept(texts), normalize=True).numpy()
    np.testing.assert_allclose(load(tmp_path).encode_texts(texts), expected, atol=2e-3)


def test_a_failed_save_leaves_the_model_that_was_there(whole, tmp_path, monkeypatch):
    model, tokenizer, config = whole()
    save_clip(tmp_path, model, config, PREPROCESS, tokens_of(tokenizer, KNOWN))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mini_clip.np, "save", full)
    with pytest.raises(OSError):
        save_clip(tmp_path, model, config, PREPROCESS, [1, 2])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_kept_tokens_the_model_is_saved_exactly(whole, tmp_path):
    model, tokenizer, config = whole()
    save_clip(tmp_path, model, config, PREPROCESS, tokens_of(tokenizer, KNOWN))
    save_clip(tmp_path, model, config, PREPROCESS)
    again = load(tmp_path)
    assert not (tmp_path / "kept_tokens.npy").exists()
    assert again.tokenizer(["an umbrella"]).max() == 49407
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    "content, message",
    [
        (np.array([1, 49406, 49407]), "4 rows .* vocab_size 10"),
        (np.array([5, 4, 49406, 49407]), "ascending"),
        (np.array([4, 5, 49407]), "including its start token"),
        (np.array([0.5, 49406, 49407]), "must be distinct ids"),
        (np.array([4, 49406, 49407, 50000]), "from 0 to 49407"),
        (b"no array", "kept_tokens.npy cannot be read"),
    ],
)
def test_kept_tokens_that_do_not_fit_are_named(whole, tmp_path, content, message):
    model, tokenizer, config = whole()
    save_clip(tmp_path, model, config, PREPROCESS, tokens_of(tokenizer, KNOWN))
    if isinstance(content, bytes):
        (tmp_path / "kept_tokens.npy").write_bytes(content)
    else:
        np.save(tmp_path / "kept_tokens.npy", content)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_a_table_of_another_size_is_refused(whole, tmp_path):
    model, _, config = whole(vocab_size=100)
    with pytest.raises(UserError, match="100 token rows; expected 49408"):
        save_clip(tmp_path, model, config, PREPROCESS, [1, 2, 3])
    assert not list(tmp_path.iterdir())


def test_ids_that_clip_does_not_have_are_refused(whole, tmp_path):
    model, _, config = whole()
    with pytest.raises(UserError, match="from 0 to 49407"):
        save_clip(tmp_path, model, config, PREPROCESS, [1, 50_000])


def test_the_config_says_what_was_given(whole, tmp_path):
    model, tokenizer, config = whole()
    save_clip(tmp_path, model, config, PREPROCESS, tokens_of(tokenizer, KNOWN))
    found = json.loads((tmp_path / "open_clip_config.json").read_text())
    assert found["preprocess_cfg"] == PREPROCESS
    config["text_cfg"]["vocab_size"] = 10
    assert found["model_cfg"] == config
