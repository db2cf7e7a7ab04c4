import json

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIPTextCfg
from torch.nn import functional
from tqdm import tqdm

from recbole_whisperlite.encoder.text_tower import TextTower

TEXTS = [
    "dress",
    "a red dress with long sleeves",
    "blue shoes, no heels please!",
    "👗 s'il vous plaît – 100 % cotton",
    "something warm for the mountains in winter, but not wool, and not too expensive",
    "a b c d e f g h i j k l m n",  # 16 tokens with start and end: just fits
    "o n m l k j i h g f e d c b a",  # one too many
    "!!! !",  # '!' is token 0, which open_clip also pads with
    "hat",
]


def bar(total, description):
    return tqdm(total=total, disable=True)


@pytest.fixture
def build(clip_config, tmp_path_factory):
    """Return a function (**text settings) -> seeded model and tokenizer."""

    def make(**settings):
        path = tmp_path_factory.mktemp("tower") / "tower_test.json"
        path.write_text(json.dumps(clip_config(**settings)))
        open_clip.add_model_config(path)
        torch.manual_seed(0)
        model = open_clip.create_model("tower_test")
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return model, open_clip.get_tokenizer("tower_test")

    return make


def plain(model, tokenizer, texts):
    """The usual loop: one text at a time, at full length."""
    with torch.no_grad():
        rows = [model.eval().encode_text(tokenizer([text])) for text in texts]
    return functional.normalize(torch.cat(rows), dim=-1).numpy()


CAUSAL = {
    "CLIP": {},
    "CustomTextCLIP": {"custom_text": True},
    "CLIP with another attention": {"qk_norm": True},
    "CLIP that pools at the end token's id": {"pool_type": "eos", "eos_id": 49407},
}
FULL_LENGTH = {
    "looks ahead and pools at the end": {"no_causal_mask": True},
    "pools at the last place": {"custom_text": True, "pool_type": "last"},
    "SigLIP's": {"custom_text": True, "no_causal_mask": True, "pool_type": "last"},
    "has a class token": {"custom_text": True, "embed_cls": True},
    "scales its heads": {"no_causal_mask": True, "scale_heads": True},
}


@pytest.mark.parametrize("settings", CAUSAL.values(), ids=CAUSAL)
def test_a_causal_tower_run_to_the_longest_text_gives_open_clips_vectors(
    build, settings
):
    if "eos_id" in settings and not hasattr(CLIPTextCfg, "eos_id"):
        pytest.skip("this open_clip knows no eos_id")
    model, tokenizer = build(**settings)
    expected = plain(model, tokenizer, TEXTS)
    tower = TextTower(model, tokenizer, "cpu", bar)
    lengths = []
    run = tower._run_to_end
    tower._run_to_end = lambda tokens: lengths.append(tokens.shape[1]) or run(tokens)

    vectors = tower.encode(TEXTS, batch_size=2)

    assert tower.stops_at_end
    # From the longest texts to 'hat' and 'dress': start, word and end, rounded up to 8.
    assert {*lengths} == {16, 8}
    assert sum(lengths) < 16 * len(lengths)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)
    # Any two texts differ by far more, or the comparison would say little.
    apart = np.abs(expected[:, None] - expected).max(axis=-1)
    assert apart[~np.eye(len(TEXTS), dtype=bool)].min() > 1e-2


@pytest.mark.parametrize("settings", FULL_LENGTH.values(), ids=FULL_LENGTH)
def test_another_tower_runs_at_full_length_and_gives_open_clips_vectors(
    build, settings
):
    model, tokenizer = build(**settings)
    expected = plain(model, tokenizer, TEXTS)
    tower = TextTower(model, tokenizer, "cpu", bar)
    assert not tower.stops_at_end
    np.testing.assert_allclose(tower.encode(TEXTS, 4), expected, rtol=0, atol=1e-5)


def test_cutting_a_tower_that_looks_ahead_would_change_its_vectors(build):
    model, tokenizer = build(no_causal_mask=True)
    expected = plain(model, tokenizer, ["a red dress"])
    with torch.no_grad():
        model.positional_embedding.data = model.positional_embedding[:5]
        cut = model.encode_text(tokenizer(["a red dress"], 5), normalize=True).numpy()
    assert np.abs(cut - expected).max() > 1e-2


def test_batches_are_of_the_longest_texts_first(build):
    tower = TextTower(*build(), "cpu", bar)
    ends = torch.tensor([3, 16, 5, 16, 4])
    assert [b.tolist() for b in tower._batches(ends, 2)] == [[1, 3], [2, 4], [0]]


def test_a_model_that_does_something_else_is_run_by_itself(build):
    model, tokenizer = build()
    encode_text = model.encode_text
    model.encode_text = lambda *args, **kwargs: encode_text(*args, **kwargs).flip(1)
    tower = TextTower(model, tokenizer, "cpu", bar)
    assert not tower.stops_at_end
    expected = plain(model, tokenizer, TEXTS)
    np.testing.assert_allclose(tower.encode(TEXTS, 4), expected, rtol=0, atol=1e-5)


def test_the_number_of_threads_is_given_back(build):
    before = torch.get_num_threads()
    TextTower(*build(), "cpu", bar).encode(TEXTS, 2)
    assert torch.get_num_threads() == before


def test_the_batch_size_changes_nothing_but_rounding(build):
    model, tokenizer = build()
    tower = TextTower(model, tokenizer, "cpu", bar)
    np.testing.assert_allclose(
        tower.encode(TEXTS, 1), tower.encode(list(TEXTS), 100), rtol=0, atol=1e-5
    )


class PadsWithEnd:
    """As the tokenizers of Hugging Face's CLIP models: padded with the end token."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.context_length = tokenizer.context_length

    def __call__(self, texts, context_length=None):
        tokens = self.tokenizer(texts, context_length)
        ends = (tokens == 49407).cumsum(1) > 0
        return torch.where(ends, 49407, tokens)


@pytest.mark.parametrize("wrap", [lambda tokenizer: tokenizer, PadsWithEnd])
def test_tokens_are_counted_beyond_the_context(build, wrap):
    model, tokenizer = build()
    tower = TextTower(model, wrap(tokenizer), "cpu", bar)
    words = [1, 13, 14, 15, 400]
    counts = tower.count_tokens([" ".join(["dress"] * n) for n in words])
    assert counts.tolist() == [n + 2 for n in words]  # start and end token
