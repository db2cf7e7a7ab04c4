"""The encoder, or the several, that a config names, and what they were fitted on."""

from __future__ import annotations

import json
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
# The name in the state of a class of the user's own that keeps no state itself.
_FIT_TEXTS = "fit_texts"


class FittedEncoder:
    """Encodes texts as in training.

    Vectors have length 1, except precomputed ones, which are returned unchanged, and
    those of texts in which ``tfidf`` knows no word, which are zero. The vectors of k
    encoders are concatenated and divided by the square root of k, so that their cosine
    is the mean of the k cosines.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        fit_texts (list of str): Texts that ``tfidf`` is fitted on: those of the training
            part.
        state (dict, optional): What :meth:`state` returned in training; then nothing is
            fitted.

    Raises:
        UserError: If a setting is wrong, or the state is damaged.
    """

    def __init__(
        self,
        config: Config | dict,
        fit_texts: list[str],
        state: dict[str, dict[str, np.ndarray]] | None = None,
    ):
        self._configs = options.each_encoder(config)
        self._fit_texts = fit_texts
        self._texts_of_own = {}  # of encoders that may keep no state themselves
        state = state or {}
        self._parts = [
            self._make(each, state.get(options.setting(each, "encoder"), {}))
            for each in self._configs
        ]

    def _make(self, config, state):
        name = options.setting(config, "encoder")
        if own_code.is_named(name):
            return self._make_own(config, name, state)
        options.choice(config, "encoder", (*ENCODERS, "precomputed", "module:Class"))
        if name == "precomputed":
            return None
        encoder = ENCODERS[name](config, self._fit_texts)
        if state:
            encoder.load_state(state)
        return encoder

    def _make_own(self, config, name, state):
        fit_texts = self._fit_texts
        if _FIT_TEXTS in state:
            fit_texts = json.loads(state[_FIT_TEXTS].tobytes())
        encoder = own_encoder(name)(config, fit_texts)
        self._texts_of_own[name] = fit_texts
        if state and _FIT_TEXTS not in state:
            encoder.load_state(state)
        return encoder

    @property
    def names(self) -> list[str]:
        """list of str: The encoders."""
        return [options.setting(each, "encoder") for each in self._configs]

    @property
    def first(self) -> Encoder | None:
        """Encoder or None: The first encoder; None for ``precomputed``."""
        return self._parts[0]

    def state(self) -> dict[str, dict[str, np.ndarray]]:
        """Return what was fitted: arrays by name, by encoder; for the argument ``state``."""
        found = {}
        for name, encoder in zip(self.names, self._parts):
            if encoder is None:
                continue
            state = encoder.state()
            if own_code.is_named(name) and type(encoder).state is Encoder.state:
                texts = json.dumps(list(self._texts_of_own[name])).encode()
                state = {_FIT_TEXTS: np.frombuffer(texts, dtype=np.uint8)}
            if state:
                found[name] = state
        return found

    def fingerprints(self) -> dict[str, dict]:
        """Return what determines the vectors of encoders that are not fitted, by name."""
        return {
            name: encoder.fingerprint()
            for name, encoder in zip(self.names, self._parts)
            if encoder is not None and not own_code.is_named(name) and name != "tfidf"
        }

    def cached(self, texts: list[str], *, ids: list[str], side: str) -> np.ndarray:
        """Return the vectors of the texts of a dataset, from the cache if it has them.

        Args:
            texts (list of str): The texts, without padding. Equal texts are encoded once.
            ids (list of str): Their external ids, by which ``precomputed`` finds vectors.
            side (str): ``request`` or ``item``.

        Returns:
            numpy.ndarray: ``[len(texts), dim]`` of ``vector_dtype``, read-only and
            memory-mapped from the cache (in memory for ``precomputed`` and for several
            encoders).

        Raises:
            UserError: If a model cannot be loaded, or a vector is missing or not finite.
        """
        return _join([self._cached(*part, texts, ids, side) for part in self._each()])

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return the vectors of new texts, without the cache.

        Args:
            texts (list of str): The texts.

        Returns:
            numpy.ndarray: ``[len(texts), dim]`` of ``vector_dtype``, the same as from
            :meth:`cached` up to rounding.

        Raises:
            UserError: If a model cannot be loaded, or the encoder is ``precomputed``.
        """
        parts = []
        for config, encoder in self._each():
            if encoder is None:
                raise UserError(
                    "encoder: precomputed has vectors for the texts of its file only, and "
                    "cannot encode others."
                )
            parts.append(encoder.encode(list(texts)).astype(_dtype(config)))
        return _join(parts)

    def unload(self) -> None:
        """Free the loaded weights; they are loaded again when they are needed."""
        for encoder in filter(None, self._parts):
            encoder.unload()

    def _each(self):
        return zip(self._configs, self._parts)

    def _cached(self, config, encoder, texts, ids, side):
        name, dtype = options.setting(config, "encoder"), _dtype(config)
        if encoder is None:
            return precomputed.read(config, ids, side, dtype)
        folder = options.cache_folder(config)
        if own_code.is_named(name):
            made = type(encoder)
            # An encoder whose code was edited gives other vectors.
            code = [digest.of_path(path, folder) for path in own_code.sources(made)]
            return cache.vectors(
                encoder, made.__name__, texts, folder, dtype, of_code=[name, code]
            )
        # A preset and the same model spelt out share cached vectors.
        name = "open_clip" if name in PRESETS else name
        return cache.vectors(encoder, name, texts, folder, dtype)


def _dtype(config):
    return np.dtype(options.choice(config, "vector_dtype", ("float16", "float32")))


def _join(parts):
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis=1) / np.sqrt(len(parts)).astype(parts[0].dtype)


def own_encoder(name: str) -> type[Encoder]:
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
