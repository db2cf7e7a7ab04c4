"""Text vectors from word counts alone: no weights to download, any language or domain."""

from __future__ import annotations

import functools
import importlib.metadata
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import digest, options
from recbole_whisperlite.encoder.base import Encoder, unit_rows
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config

# One-letter words count too ("V neck", "size M"). With word bigrams requests found fewer
# of their products: shoppers use the same words in another order.
_COUNTING = {"token_pattern": r"(?u)\b\w+\b", "sublinear_tf": True}


class Tfidf(Encoder):
    """TF-IDF, then truncated SVD (latent semantic analysis, Deerwester et al. 1990).

    Fitted on ``fit_texts``; the same texts, in any order, give bit-identical vectors.
    Where the texts have no more than ``encoder_dim`` distinct words, the TF-IDF vectors
    are used without SVD.
    """

    def __init__(self, config: Config | dict, fit_texts: list[str]):
        super().__init__(config, fit_texts)
        self._dim = options.positive_int(config, "encoder_dim")
        self._fit_texts = tuple(sorted(set(fit_texts)))

    def fingerprint(self) -> dict:
        return {
            "scikit-learn": importlib.metadata.version("scikit-learn"),
            "counting": _COUNTING,
            "dim": self._dim,
            "fit_texts": digest.of_texts(self._fit_texts),
        }

    def encode(self, texts: list[str]) -> np.ndarray:
        counter, svd = _fit(self._fit_texts, self._dim)
        with _one_thread():
            counts = counter.transform(texts)
            vectors = counts.toarray() if svd is None else svd.transform(counts)
        unknown = int((counts.getnnz(axis=1) == 0).sum())
        if unknown:
            getLogger().warning(
                f"{unknown} of {len(texts)} texts contain no word that the encoder tfidf "
                "knows from the training requests and items; their vectors are zero."
            )
        return unit_rows(vectors).astype(np.float32)


# Requests and items are encoded one after the other and share one fitted model.
@functools.lru_cache(maxsize=1)
def _fit(texts, dim):
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    getLogger().info(f"Fitting tfidf on {len(texts)} texts")
    counter = TfidfVectorizer(**_COUNTING)
    try:
        counts = counter.fit_transform(texts)
    except ValueError as error:
        raise UserError(
            f"encoder: tfidf found no word in the {len(texts)} texts of training "
            "requests and items."
        ) from error
    if counts.shape[1] <= dim:
        return counter, None
    svd = TruncatedSVD(min(dim, counts.shape[0]), random_state=0)
    with _one_thread():
        return counter, svd.fit(counts)


def _one_thread():
    """Limit BLAS to one thread: the order of additions depends on their number."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
