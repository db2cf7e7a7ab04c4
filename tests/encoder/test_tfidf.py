from pathlib import Path

import numpy as np
import pytest

from recbole_whisperlite.encoder.tfidf import Tfidf
from recbole_whisperlite.errors import UserError

PRODUCTS = [
    f"{colour} {garment} for {audience}"
    for colour in ("red", "blue", "green", "black")
    for garment in ("dress", "shoes", "hat", "coat")
    for audience in ("women", "men", "kids")
]


def tfidf(settings, fit_texts, dim=8):
    return Tfidf({**settings, "encoder_dim": dim}, fit_texts)


def test_few_words_are_counted_as_they_are(settings):
    # 'a' is in two of three texts, 'b' and 'c' in one.
    vectors = tfidf(settings, ["a b", "a", "c"]).encode(["a", "c", "b", "b a"])
    assert vectors.shape == (4, 3) and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[:3], [[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    # Inverse document frequency as scikit-learn defines it: ln((1 + n) / (1 + df)) + 1
    a, b = np.log(4 / 3) + 1, np.log(4 / 2) + 1
    np.testing.assert_allclose(
        vectors[3], [a / np.hypot(a, b), b / np.hypot(a, b), 0], rtol=1e-5
    )


def test_many_words_are_reduced_to_unit_vectors_that_keep_what_is_alike(settings):
    encoder = tfidf(settings, PRODUCTS)
    vectors = encoder.encode(["red dress", "a dress in red", "black shoes for men"])
    assert vectors.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert vectors[0] @ vectors[1] > 0.9 > 0.3 > vectors[0] @ vectors[2]


def test_with_a_dimension_a_text_angles_are_those_of_plain_tfidf(settings):
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [f"{text} number {n}" for n, text in enumerate(PRODUCTS[::8])]
    plain = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True).fit_transform(
        texts
    )
    assert plain.shape[1] > len(texts) == 6
    vectors = tfidf(settings, texts, dim=6).encode(texts)
    assert vectors.shape == (6, 6)
    np.testing.assert_allclose(
        vectors @ vectors.T, (plain @ plain.T).toarray(), atol=1e-5
    )


def test_fitted_again_in_another_order_it_is_the_same_to_the_last_digit(settings):
    first = tfidf(settings, PRODUCTS).encode(PRODUCTS)
    other = {**settings, "cache_dir": settings["cache_dir"] + "-other"}
    second = tfidf(other, PRODUCTS[::-1] + PRODUCTS[:5]).encode(PRODUCTS)
    np.testing.assert_array_equal(first, second)


def test_it_is_fitted_once_and_then_read_from_the_cache(settings, monkeypatch):
    first = tfidf(settings, PRODUCTS).encode(["red dress"])
    monkeypatch.setattr("recbole_whisperlite.encoder.tfidf._fit", None)
    again = tfidf(settings, list(PRODUCTS)).encode(["red dress"])
    np.testing.assert_array_equal(first, again)


def test_a_damaged_fit_in_the_cache_is_made_anew(settings, caplog):
    first = tfidf(settings, PRODUCTS).encode(["red dress"])
    (file,) = Path(settings["cache_dir"]).glob("tfidf-*.fitted.npz")
    file.write_bytes(file.read_bytes()[:100])
    again = tfidf(settings, PRODUCTS).encode(["red dress"])
    np.testing.assert_array_equal(first, again)
    assert "damaged" in caplog.text


@pytest.mark.parametrize("dim", [8, 50], ids=["svd", "words"])
def test_with_its_state_it_encodes_as_when_it_was_fitted(settings, dim):
    fitted = tfidf(settings, PRODUCTS, dim)
    restored = tfidf(settings, ["something", "else"], dim)
    restored.load_state(fitted.state())
    texts = ["red dress", "a coat, unheard of", "zebra"]
    np.testing.assert_array_equal(restored.encode(texts), fitted.encode(texts))
    # but what it is fitted on is not known to the cache: only what was fitted
    assert restored.fingerprint() != fitted.fingerprint()


@pytest.mark.parametrize(
    "damage",
    [
        {"words": None},
        {"idf": np.ones(3)},
        {"components": np.ones((8, 3))},
        {"words": np.arange(5)},
    ],
    ids=["no words", "idf", "components", "numbers"],
)
def test_a_damaged_state_is_refused(settings, damage):
    state = {**tfidf(settings, PRODUCTS).state(), **damage}
    state = {name: array for name, array in state.items() if array is not None}
    with pytest.raises(UserError, match="tfidf are damaged"):
        tfidf(settings, PRODUCTS).load_state(state)


def test_a_text_of_unknown_words_is_zero_and_told_of(settings, caplog):
    encoder = tfidf(settings, PRODUCTS)
    vectors = encoder.encode(["zebra", "red hat", "👗"])
    assert not caplog.text  # a single request of a shopper is not worth a line
    encoder.report(vectors)
    assert vectors.any(axis=1).tolist() == [False, True, False]
    assert np.linalg.norm(vectors[1]) == pytest.approx(1, rel=1e-5)
    assert "2 of 3 texts" in caplog.text


def test_dimensions_are_no_more_than_texts_to_learn_from(settings):
    assert tfidf(settings, ["a b c d", "e f g h"], 5).encode(["a e"]).shape == (1, 2)


@pytest.mark.parametrize(
    "change", [{"dim": 9}, {"fit_texts": PRODUCTS + ["a hat"]}], ids=["dim", "texts"]
)
def test_the_fingerprint_knows_dimensions_and_texts(settings, change):
    same = tfidf(settings, PRODUCTS).fingerprint()
    assert tfidf(settings, PRODUCTS[::-1]).fingerprint() == same
    other = tfidf(**{"settings": settings, "fit_texts": PRODUCTS, **change})
    assert other.fingerprint() != same


def test_texts_without_a_word_cannot_be_learnt_from(settings):
    with pytest.raises(UserError, match="no word in the 2 texts"):
        tfidf(settings, ["👗", "!!"]).encode(["red"])


def test_of_very_many_texts_the_components_are_those_of_a_sample(settings, monkeypatch):
    whole = tfidf(settings, PRODUCTS).state()
    monkeypatch.setattr("recbole_whisperlite.encoder.tfidf.MOST_FITTED", 30)
    encoder = tfidf(settings, PRODUCTS)
    sample, again = encoder.state(), tfidf(settings, PRODUCTS[::-1]).state()
    for name in ("words", "idf"):
        np.testing.assert_array_equal(sample[name], whole[name])
    assert not np.allclose(sample["components"], whole["components"])
    np.testing.assert_array_equal(sample["components"], again["components"])
    vectors = encoder.encode(PRODUCTS)
    monkeypatch.setattr("recbole_whisperlite.encoder.tfidf._BLOCK", 7)
    np.testing.assert_allclose(encoder.encode(PRODUCTS), vectors, rtol=0, atol=1e-6)
