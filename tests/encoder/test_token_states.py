import numpy as np
import pytest
import torch

from recbole_whisperlite.encoder import FittedEncoder, encode
from recbole_whisperlite.encoder.token_states import token_states
from recbole_whisperlite.errors import UserError


def states_of(config, texts, fit_texts):
    return token_states(FittedEncoder(config, fit_texts).first, texts)


TEXTS = ["a red dress", "blue shoes, no heels", "DRESS", "?", "unheard of"]
FIT = TEXTS[:3]


def test_a_word_of_tfidf_has_the_vector_of_a_text_that_is_this_word(settings):
    states, offsets = states_of(settings, TEXTS, FIT)
    assert states.dtype == np.float16
    assert offsets.tolist() == [0, 3, 7, 8, 9, 10]
    words = ["a", "red", "dress", "blue", "shoes", "no", "heels", "dress"]
    alone = encode(settings, words, ids=words, side="item", fit_texts=FIT)
    np.testing.assert_allclose(states[:8], alone, atol=1e-3)
    assert np.abs(alone).max() > 0.5
    # neither a sign nor words that the encoder never learned say anything
    assert (states[8:] == 0).all()


@pytest.mark.parametrize("custom_text", [False, True])
def test_the_last_state_of_clip_projects_to_its_vector(
    settings, make_clip, custom_text
):
    folder = make_clip(custom_text=custom_text)
    config = {
        **settings,
        "encoder": "open_clip",
        "clip_model": str(folder / "tiny_clip.json"),
        "clip_pretrained": str(folder / "weights.pt"),
        "encode_batch_size": 2,
    }
    texts = [*TEXTS, "long " * 40]
    states, offsets = states_of(config, texts, [])
    # start, words and signs, end; the context holds 16
    assert np.diff(offsets)[[0, 1, 2, 5]].tolist() == [5, 7, 3, 16]
    weights = torch.load(folder / "weights.pt", weights_only=True)
    name = "text.text_projection" if custom_text else "text_projection"
    ends = states[offsets[1:] - 1].astype(np.float32) @ weights[name].numpy()
    ends /= np.linalg.norm(ends, axis=1, keepdims=True)
    vectors = encode(config, texts, ids=texts, side="item", fit_texts=[])
    np.testing.assert_allclose(ends, vectors, atol=5e-3)


def test_an_encoder_without_token_states_is_refused(settings):
    with pytest.raises(UserError, match="precomputed gives one vector per text"):
        states_of({**settings, "encoder": "precomputed"}, TEXTS, FIT)
