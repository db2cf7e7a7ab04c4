"""Text vectors from word counts alone: no weights to download, any language or domain."""

from __future__ import annotations

import functools
import importlib.metadata
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import cache, digest, options
from recbole_whisperlite.encoder.base import Encoder, unit_rows
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.words import words_of

if TYPE_CHECKING:
    from recbole.config import Config

# One-letter words count too ("V neck", "size M"). With word bigrams requests found fewer
# of their products: shoppers use the same words in another order.
_COUNTING = {
    "tokenizer": words_of,
    "token_pattern": None,
    "lowercase": False,
    "sublinear_tf": True,
}
#: The most texts that the SVD is fitted on: more are a sample of them, since a million in
#: double precision, several times, do not fit in 16 GB.
MOST_FITTED = 2**18
# Texts that are encoded at once.
_BLOCK = 2**15


class Tfidf(Encoder):
    """TF-IDF, then truncated SVD (latent semantic analysis, Deerwester et al. 1990).

    Fitted on ``fit_texts``; the same texts, in any order, give bit-identical vectors.
    Where the texts have no more than ``encoder_dim`` distinct words, the TF-IDF vectors
    are used without SVD. Of more than :data:`MOST_FITTED` texts the SVD is that of a random
    sample, the same each time; words and their frequencies are those of all. What was fitted is kept in the cache, too, so that a run whose
    vectors are there needs no fitting to store it in a checkpoint.
    """

    def __init__(self, config: Config | dict, fit_texts: list[str]):
        super().__init__(config, fit_texts)
        self._dim = options.positive_int(config, "encoder_dim")
        self._fit_texts = tuple(sorted(set(fit_texts)))
        self._cache_folder = options.cache_folder(config)
        self._state, self._is_loaded = None, False

    def fingerprint(self) -> dict:
        fitted = {"fit_texts": digest.of_texts(self._fit_texts)}
        if self._is_loaded:
            fitted = {"state": digest.of_arrays(self._state)}
        return {
            "scikit-learn": importlib.metadata.version("scikit-learn"),
            "counting": {"words_of": 1, "sublinear_tf": True},  # 1: as words are split
            "dim": self._dim,
            **({"sample": MOST_FITTED} if len(self._fit_texts) > MOST_FITTED else {}),
            **fitted,
        }

    def state(self) -> dict[str, np.ndarray]:
        """Return the fitted words, their idf and the components.

        Returns:
            dict: ``words``, str ``[n_words]``; ``idf``, float64 ``[n_words]``; and, if
            there is an SVD, ``components``, float64 ``[dim, n_words]``.
        """
        if self._state is None:
            key = digest.of_json(self.fingerprint())
            path = self._cache_folder / f"tfidf-{key}.fitted.npz"
            self._state = cache.arrays(path, lambda: _fit(self._fit_texts, self._dim))
        return self._state

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        words, idf = state.get("words"), state.get("idf")
        components = state.get("components")
        if (
            words is None
            or idf is None
            or words.dtype.kind != "U"
            or words.ndim != 1
            or len({*words.tolist()}) < len(words)
            or idf.shape != words.shape
            or (components is not None and components.shape[1:] != words.shape)
            or not all(
                each.dtype.kind == "f" and np.isfinite(each).all()
                for each in (idf, components)
                if each is not None
            )
        ):
            raise UserError("The stored words of the encoder tfidf are damaged.")
        self._state, self._is_loaded = dict(state), True

    @property
    def words(self) -> list[str]:
        """list of str: The words that it knows."""
        return self.state()["words"].tolist()

    def size(self) -> int:
        return sum(each.nbytes for each in self.state().values())

    def encode(self, texts: list[str]) -> np.ndarray:
        counter, svd = self._fitted
        dim = len(self.state()["words"] if svd is None else svd.components_)
        found = np.empty((len(texts), dim), dtype=np.float32)
        # in double precision, of which all texts of a large catalogue would be too many
        for begin in range(0, len(texts), _BLOCK):
            counts = counter.transform(texts[begin : begin + _BLOCK])
            vectors = counts.toarray() if svd is None else svd.transform(counts)
            found[begin : begin + _BLOCK] = unit_rows(vectors)
        return found

    def report(self, vectors: np.ndarray) -> None:
        unknown = int((~vectors.any(axis=1)).sum())
        if unknown:
            getLogger().warning(
                f"{unknown} of {len(vectors)} texts contain no word that the encoder tfidf "
                "knows from the training requests and items; their vectors are zero."
            )

    @functools.cached_property
    def _fitted(self):
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        state = self.state()
        words = {word: column for column, word in enumerate(state["words"].tolist())}
        counter = TfidfVectorizer(vocabulary=words, **_COUNTING)
        counter.idf_ = state["idf"]
        if "components" not in state:
            return counter, None
        svd = TruncatedSVD(len(state["components"]))
        # the order in which sklearn needs them; it would change it for every text
        svd.components_ = np.asfortranarray(state["components"])
        return counter, svd


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
    state = {"words": counter.get_feature_names_out().astype(str), "idf": counter.idf_}
    if counts.shape[1] > dim:
        if counts.shape[0] > MOST_FITTED:
            random = np.random.default_rng(0)
            chosen = random.choice(counts.shape[0], MOST_FITTED, replace=False)
            counts = counts[np.sort(chosen)]
        svd = TruncatedSVD(min(dim, counts.shape[0]), random_state=0)
        with _one_thread():
            state["components"] = svd.fit(counts).components_
    return state


def _one_thread():
    """Limit BLAS to one thread: the order of additions depends on their number."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
