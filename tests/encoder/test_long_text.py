import logging

import numpy as np

from recbole_whisperlite.encoder import long_text

# An encoder that counts words, of which it reads three: dimensions are 'a' and 'b'.
seen = []


def count_tokens(texts):
    return np.array([len(text.split()) for text in texts])


def encode_short(texts):
    seen[:] = texts
    rows = [[t.split()[:3].count(word) for word in "ab"] for t in texts]
    return np.array(rows, dtype=np.float32) / np.linalg.norm(rows, axis=1)[:, None]


def test_truncate_reads_the_first_tokens_and_tells_how_much_is_cut(caplog):
    vectors = long_text.encode(
        ["a", "a a a b b", "b b b"], "truncate", 3, count_tokens, encode_short
    )
    np.testing.assert_array_equal(vectors, [[1, 0], [1, 0], [0, 1]])
    # 2 of the 9 words are not read.
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "1 of 3 texts" in caplog.text and "22.2% of all tokens" in caplog.text


def test_mean_of_chunks_halves_between_words_until_pieces_fit():
    vectors = long_text.encode(
        ["b", "a a a b b", "a b"], "mean_of_chunks", 3, count_tokens, encode_short
    )
    assert seen == ["b", "a a a", "b b", "a b"]
    half = np.sqrt(0.5)
    # The mean of [1, 0] and [0, 1] is [.5, .5], of length 1 it is [.71, .71].
    np.testing.assert_allclose(vectors, [[0, 1], [half, half], [half, half]], atol=1e-6)
    assert vectors.dtype == np.float32


def test_no_word_of_a_400_word_request_is_lost_in_chunks():
    words = [f"a{n}" for n in range(399)] + ["a"]
    long_text.encode(
        [" ".join(words)],
        "mean_of_chunks",
        77,
        count_tokens,
        lambda texts: encode_short([f"a {text}" for text in texts]),
    )
    pieces = [text.split()[1:] for text in seen]
    assert sum(pieces, []) == words
    assert [len(piece) for piece in pieces] == [50] * 8


def test_a_text_without_spaces_is_halved_too():
    pieces = []

    def encode(texts):
        pieces.extend(texts)
        return np.ones((len(texts), 1), dtype=np.float32)

    def count_letters(texts):
        return np.array([len(text) for text in texts])

    long_text.encode(["漂亮的红色裙子"], "mean_of_chunks", 4, count_letters, encode)
    assert pieces == ["漂亮的", "红色裙子"]


def test_texts_that_fit_are_not_spoken_of(caplog):
    caplog.set_level(logging.INFO)
    long_text.encode(["a b", "b"], "truncate", 3, count_tokens, encode_short)
    assert not caplog.records
