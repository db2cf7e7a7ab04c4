"""Frozen encoders that turn requests and item texts into vectors, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder.fitted import ENCODERS, FittedEncoder, own_encoder

if TYPE_CHECKING:
    from recbole.config import Config

__all__ = ["ENCODERS", "FittedEncoder", "encode", "own_encoder"]


def encode(
    config: Config | dict,
    texts: list[str],
    *,
    ids: list[str],
    side: str,
    fit_texts: list[str],
) -> np.ndarray:
    """Return the vectors of ``texts`` from the encoder or encoders named in ``config``.

    Args:
        config (Config or dict), fit_texts (list of str): As for :class:`FittedEncoder`.
        texts (list of str), ids (list of str), side (str): As for
            :meth:`FittedEncoder.cached`.

    Returns:
        numpy.ndarray: ``[len(texts), dim]`` of ``vector_dtype``.

    Raises:
        UserError: If a setting is wrong, a model cannot be loaded, or a vector is
            missing or not finite.
    """
    return FittedEncoder(config, fit_texts).cached(texts, ids=ids, side=side)
