"""Text vectors of CLIP models, loaded by open_clip."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import long_text, options
from recbole_whisperlite.encoder.base import Encoder
from recbole_whisperlite.encoder.clip.source import ClipSource

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_whisperlite.encoder.text_tower import TextTower


class OpenClip(Encoder):
    """CLIP's frozen text tower; vectors of length 1, to be compared by their cosine.

    The settings ``encoder``, ``clip_model`` and ``clip_pretrained`` name the model, see
    :class:`~recbole_whisperlite.encoder.clip.source.ClipSource`.
    """

    def __init__(self, config: Config | dict, fit_texts: list[str]):
        super().__init__(config, fit_texts)
        self._long_text = options.choice(config, "long_text", long_text.CHOICES)
        self.batch_size = options.positive_int(config, "encode_batch_size")
        self._device = options.setting(config, "device") or "cpu"
        self._cache_folder = options.cache_folder(config)
        self.source = ClipSource.of(config)

    def fingerprint(self) -> dict:
        return {
            **self.source.fingerprint(self._cache_folder),
            "long_text": self._long_text,
        }

    def encode(self, texts: list[str]) -> np.ndarray:
        tower = self.tower
        return long_text.encode(
            texts,
            self._long_text,
            tower.context_length,
            tower.count_tokens,
            lambda short: tower.encode(short, self.batch_size),
        )

    def size(self) -> int:
        parameters = self.tower.model.parameters()
        return sum(each.numel() * each.element_size() for each in parameters)

    def shards(self, texts: list[str], size: int) -> list[np.ndarray]:
        """Return parts whose vectors are bit-identical to those of all at once, unless
        texts are too long and ``long_text`` is ``mean_of_chunks``."""
        return self.tower.shards(texts, self.batch_size, size)

    @functools.cached_property
    def tower(self) -> TextTower:
        """TextTower: The loaded model; loading takes seconds."""
        # Imported late: open_clip and the model take seconds to load.
        from recbole_whisperlite.encoder.text_tower import TextTower

        model, tokenizer, _ = self.source.load()
        return TextTower(model, tokenizer, self._device, self.progress)

    def unload(self) -> None:
        self.__dict__.pop("tower", None)
