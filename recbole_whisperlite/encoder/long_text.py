"""Texts that exceed an encoder's token limit."""

from collections.abc import Callable
from logging import getLogger

import numpy as np

from recbole_whisperlite.encoder.base import unit_rows

CHOICES = ("truncate", "mean_of_chunks")


def encode(
    texts: list[str],
    long_text: str,
    limit: int,
    count_tokens: Callable[[list[str]], np.ndarray],
    encode_short: Callable[[list[str]], np.ndarray],
) -> np.ndarray:
    """Encode texts of any length with an encoder that reads ``limit`` tokens.

    Args:
        texts (list of str): The texts.
        long_text (str): ``truncate``: everything after the limit is dropped.
            ``mean_of_chunks``: a text that is too long is halved between words until
            every chunk fits, and its vector is the mean of the chunks' vectors, scaled
            to length 1. Nothing is lost, and chunks are of about equal length.
        limit (int): The maximum number of tokens that the encoder reads.
        count_tokens (callable): list of str -> int array of token counts.
        encode_short (callable): list of str -> float32 array ``[n, dim]`` of unit
            vectors; truncates texts that are too long.

    Returns:
        numpy.ndarray: float32 ``[len(texts), dim]``.
    """
    counts = count_tokens(texts)
    too_long = np.flatnonzero(counts > limit)
    if not len(too_long):
        return encode_short(texts)
    found = (
        f"{len(too_long)} of {len(texts)} texts have more than the {limit} tokens that "
        "the encoder can read"
    )
    if long_text == "truncate":
        lost = (counts[too_long] - limit).sum() / counts.sum()
        getLogger().warning(
            f"{found}; the excess is cut ({lost:.1%} of all tokens). To read everything, "
            "set long_text: mean_of_chunks."
        )
        return encode_short(texts)
    chunks = [[text] for text in texts]
    for row in too_long:
        chunks[row] = _chunks(texts[row], limit, count_tokens)
    sizes = np.array([len(pieces) for pieces in chunks])
    getLogger().info(
        f"{found}; each is encoded as the mean of its chunks, "
        f"{sizes[too_long].mean():.1f} on average (long_text: mean_of_chunks)."
    )
    vectors = encode_short([piece for pieces in chunks for piece in pieces])
    first = np.cumsum(sizes) - sizes
    means = np.add.reduceat(vectors, first, axis=0) / sizes[:, None]
    return unit_rows(means).astype(np.float32)


def _chunks(text, limit, count_tokens):
    if len(text) < 2 or count_tokens([text])[0] <= limit:
        return [text]
    words = text.split()
    if len(words) > 1:
        middle = (len(words) + 1) // 2
        halves = " ".join(words[:middle]), " ".join(words[middle:])
    else:
        # One word, or a language written without spaces.
        halves = text[: len(text) // 2], text[len(text) // 2 :]
    return [piece for half in halves for piece in _chunks(half, limit, count_tokens)]
