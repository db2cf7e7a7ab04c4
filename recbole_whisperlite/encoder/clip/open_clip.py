"""Text vectors of CLIP models, loaded by open_clip."""

from recbole_whisperlite.encoder import long_text, options
from recbole_whisperlite.encoder.base import Encoder
from recbole_whisperlite.encoder.clip.source import ClipSource


class OpenClip(Encoder):
    """CLIP's frozen text tower; vectors of length 1, as its similarity compares them.

    The settings ``encoder``, ``clip_model`` and ``clip_pretrained`` name the model as
    :class:`~recbole_whisperlite.encoder.clip.source.ClipSource` says.
    """

    def __init__(self, config, fit_texts):
        super().__init__(config, fit_texts)
        self._long_text = options.choice(config, "long_text", long_text.CHOICES)
        self._batch_size = options.positive_int(config, "encode_batch_size")
        self._device = options.setting(config, "device") or "cpu"
        self._cache_folder = options.cache_folder(config)
        self.source = ClipSource.of(config)

    def fingerprint(self):
        return {
            **self.source.fingerprint(self._cache_folder),
            "long_text": self._long_text,
        }

    def encode(self, texts):
        # Only here: open_clip and the model take seconds to load.
        from recbole_whisperlite.encoder.text_tower import TextTower

        model, tokenizer, _ = self.source.load()
        tower = TextTower(model, tokenizer, self._device, self.progress)
        return long_text.encode(
            texts,
            self._long_text,
            tower.context_length,
            tower.count_tokens,
            lambda short: tower.encode(short, self._batch_size),
        )
