"""Picture vectors, cached in the same way as text vectors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import PIL
from tqdm import tqdm

from recbole_whisperlite.encoder import cache, digest, options
from recbole_whisperlite.encoder.base import Encoder
from recbole_whisperlite.encoder.clip.source import ClipSource
from recbole_whisperlite.encoder.pictures import read_picture
from recbole_whisperlite.encoder.presets import OFFLINE, PRESETS
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config

_MOST_WORKERS = 8
# 64 pictures of 224 x 224 pixels take 39 MB, and the workers hold several such batches.
_MOST_AT_ONCE = 64


def clip_settings(config):
    """Return the settings with the first CLIP model among the encoders, or None."""
    clips = ("open_clip", *PRESETS)
    each = options.each_encoder(config)
    return next((one for one in each if one["encoder"] in clips), None)


class ClipPictures(Encoder):
    """CLIP's frozen image tower; vectors of length 1, zero for unreadable pictures.

    The cache knows a picture by the hash of its content, so that its name and location
    do not matter.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        paths (list of str): Paths, or ``archive.zip::member``.

    Raises:
        UserError: If a setting is wrong, or no encoder can encode pictures.
    """

    divisible = False  # workers of its own read the pictures

    def __init__(self, config: Config | dict, paths: list[str]):
        super().__init__(config, [])
        named = [each["encoder"] for each in options.each_encoder(config)]
        config = clip_settings(config)
        if config is None:
            raise UserError(
                f"encoder: {', '.join(named)} cannot encode pictures, but use_image is "
                f"on. Set encoder to a CLIP model, or add one: {OFFLINE} needs no "
                f"download; {', '.join(sorted({*PRESETS} - {OFFLINE}))} and open_clip do."
            )
        self.missing = options.choice(config, "missing_image", ("skip", "error"))
        self._device = options.setting(config, "device") or "cpu"
        self._workers = _workers(config)
        size = options.positive_int(config, "encode_batch_size")
        self._batch_size = min(size, _MOST_AT_ONCE)
        self._cache_folder = options.cache_folder(config)
        self._source = ClipSource.of(config)
        self._paths = paths
        self._path_of = {}

    def contents(self) -> list[str | None]:
        """Return the hash of each picture, None where a file cannot be read."""

        def bar(paths):
            disable = None if self.show_progress else True
            return tqdm(
                paths, "read pictures", unit="picture", delay=1, disable=disable
            )

        hashes = digest.of_pictures(self._paths, self._cache_folder, bar)
        self._path_of = dict(zip(hashes, self._paths))
        return hashes

    def fingerprint(self) -> dict:
        return {
            **self._source.fingerprint(self._cache_folder),
            "pillow": PIL.__version__,
        }

    def encode(self, hashes: list[str]) -> np.ndarray:
        # Imported late: open_clip and the model take seconds to load.
        from recbole_whisperlite.encoder.clip import Clip
        from recbole_whisperlite.encoder.packed import pack

        clip = Clip(self._source, self._device)
        if clip.device.type == "cpu":
            # This copy of the model is neither trained nor saved.
            pack(getattr(clip.model.visual, "transformer", None))
        paths = [self._path_of[hash_] for hash_ in hashes]
        return clip.try_pictures(
            paths,
            self._batch_size,
            self._workers,
            self.show_progress,
            fail=self.missing == "error",
        )[0]


def encode_pictures(config: Config | dict, paths: list[str]) -> np.ndarray:
    """Return the vectors of pictures from the encoder that ``config`` names.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        paths (list of str): Paths, or ``archive.zip::member``. Equal pictures are
            encoded once.

    Returns:
        numpy.ndarray: float32 ``[len(paths), dim]``; zero rows for those that cannot be
        read. If none can be read, ``dim`` is 0.

    Raises:
        UserError: If a setting is wrong, or no encoder can encode pictures.
        PictureError: With ``missing_image: error``, at the first that cannot be read.
    """
    dtype = np.dtype(options.choice(config, "vector_dtype", ("float16", "float32")))
    encoder = ClipPictures(config, paths)
    hashes = encoder.contents()
    if encoder.missing == "error" and None in hashes:
        read_picture(paths[hashes.index(None)])  # raises, and says why
    present = [row for row, hash_ in enumerate(hashes) if hash_]
    if not present:
        return np.zeros((len(paths), 0), dtype=np.float32)
    known = [hashes[row] for row in present]
    found = cache.vectors(
        encoder, "pictures", known, options.cache_folder(config), dtype
    )
    vectors = np.zeros((len(paths), found.shape[1]), dtype=np.float32)
    vectors[present] = found
    return vectors


def _workers(config):
    workers = options.setting(config, "image_workers")
    if workers is None:
        # A container may have fewer cores than the machine; macOS cannot say.
        cores = getattr(os, "sched_getaffinity", lambda process: range(os.cpu_count()))
        return min(_MOST_WORKERS, len(cores(0)))
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
        raise UserError(
            f"image_workers: must be an integer of at least 0, not {workers}."
        )
    return workers
