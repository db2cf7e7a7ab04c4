"""Frozen encoders that turn requests and item texts into vectors, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite import own_code
from recbole_whisperlite.encoder import cache, digest, options, precomputed
from recbole_whisperlite.encoder.base import Encoder
from recbole_whisperlite.encoder.clip.open_clip import OpenClip
from recbole_whisperlite.encoder.presets import PRESETS
from recbole_whisperlite.encoder.sentence_transformers import (
    MINILM,
    MiniLM,
    SentenceTransformers,
)
from recbole_whisperlite.encoder.tfidf import Tfidf
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config

ENCODERS = {
    "tfidf": Tfidf,
    "open_clip": OpenClip,
    **dict.fromkeys(PRESETS, OpenClip),
    MINILM: MiniLM,
    "sentence_transformers": SentenceTransformers,
}


def encode(
    config: Config | dict,
    texts: list[str],
    *,
    ids: list[str],
    side: str,
    fit_texts: list[str],
) -> np.ndarray:
    """Return the vectors of ``texts`` from the encoder or encoders named in ``config``.

    Vectors have length 1, except precomputed ones, which are returned unchanged, and
    those of texts in which ``tfidf`` knows no word, which are zero. The vectors of k
    encoders are concatenated and divided by the square root of k, so that their cosine
    is the mean of the k cosines.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        texts (list of str): The texts, without padding. Equal texts are encoded once.
        ids (list of str): Their external ids, by which ``precomputed`` finds vectors.
        side (str): ``request`` or ``item``.
        fit_texts (list of str): Texts that ``tfidf`` is fitted on; the same for both
            sides, so that both have the same dimensions.

    Returns:
        numpy.ndarray: ``[len(texts), dim]`` of ``vector_dtype``, read-only and
        memory-mapped from the cache (in memory for ``precomputed`` and for several
        encoders).

    Raises:
        UserError: If a setting is wrong, a model cannot be loaded, or a vector is
            missing or not finite.
    """
    parts = [
        _encode(each, texts, ids, side, fit_texts)
        for each in options.each_encoder(config)
    ]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis=1) / np.sqrt(len(parts)).astype(parts[0].dtype)


def own_encoder(name):
    """Return the class of an encoder of the user's own, named ``module:Class``.

    Raises:
        UserError: If it cannot be imported, or is not derived from :class:`Encoder`.
    """
    found = own_code.load(name, "encoder")
    if not (isinstance(found, type) and issubclass(found, Encoder)):
        raise UserError(
            f"encoder '{name}': {found!r} is not an encoder: it must be a class derived "
            "from recbole_whisperlite.encoder.base.Encoder."
        )
    return found


def _encode_by_own(config, texts, name, fit_texts, dtype):
    made = own_encoder(name)
    encoder, folder = made(config, fit_texts), options.cache_folder(config)
    # An encoder whose code was edited gives other vectors.
    code = [digest.of_path(path, folder) for path in own_code.sources(made)]
    return cache.vectors(
        encoder, made.__name__, texts, folder, dtype, of_code=[name, code]
    )


def _encode(config, texts, ids, side, fit_texts):
    name = options.setting(config, "encoder")
    own = own_code.is_named(name)
    if not own:
        options.choice(config, "encoder", (*ENCODERS, "precomputed", "module:Class"))
    dtype = np.dtype(options.choice(config, "vector_dtype", ("float16", "float32")))
    if name == "precomputed":
        return precomputed.read(config, ids, side, dtype)
    if own:
        return _encode_by_own(config, texts, name, fit_texts, dtype)
    encoder = ENCODERS[name](config, fit_texts)
    # A preset and the same model spelt out share cached vectors.
    name = "open_clip" if name in PRESETS else name
    return cache.vectors(encoder, name, texts, options.cache_folder(config), dtype)
