"""Picture vectors through the cache that texts go through."""

import os

import numpy as np
import PIL
from tqdm import tqdm

from recbole_whisperlite.encoder import cache, digest, options
from recbole_whisperlite.encoder.base import Encoder
from recbole_whisperlite.encoder.clip.source import ClipSource
from recbole_whisperlite.encoder.pictures import read_picture
from recbole_whisperlite.encoder.presets import OFFLINE, PRESETS
from recbole_whisperlite.errors import UserError

_MOST_WORKERS = 8
# 64 pictures of 224 pixels a side are 39 MB, of which several wait in the workers.
_MOST_AT_ONCE = 64


def _the_clip(config):
    """Return the settings with the first CLIP model among the encoders, or None."""
    clips = ("open_clip", *PRESETS)
    each = options.each_encoder(config)
    return next((one for one in each if one["encoder"] in clips), None)


class ClipPictures(Encoder):
    """CLIP's frozen image tower; vectors of length 1, zero for what cannot be read.

    To the cache a picture is the hash of its content, so that neither a name nor a
    place has any say in what is found there.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        paths (list of str): Paths, or ``archive.zip::member``.

    Raises:
        UserError: If a setting is wrong, or the encoder sees no pictures.
    """

    def __init__(self, config, paths):
        super().__init__(config, [])
        named = [each["encoder"] for each in options.each_encoder(config)]
        config = _the_clip(config)
        if config is None:
            raise UserError(
                f"encoder: {', '.join(named)} sees no pictures, and use_image is on. Set "
                f"encoder to a CLIP model, or add one: {OFFLINE} needs no download; "
                f"{', '.join(sorted({*PRESETS} - {OFFLINE}))} and open_clip do."
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

    def contents(self):
        """Return the hashes of the pictures, None where a file cannot be read."""

        def bar(paths):
            disable = not self.show_progress
            return tqdm(
                paths, "read pictures", unit="picture", delay=1, disable=disable
            )

        hashes = digest.of_pictures(self._paths, self._cache_folder, bar)
        self._path_of = dict(zip(hashes, self._paths))
        return hashes

    def fingerprint(self):
        return {
            **self._source.fingerprint(self._cache_folder),
            "pillow": PIL.__version__,
        }

    def encode(self, hashes):
        # Only here: open_clip and the model take seconds to load.
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


def encode_pictures(config, paths):
    """Return the vectors of pictures by the encoder that ``config`` names.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        paths (list of str): Paths, or ``archive.zip::member``. Equal pictures are
            encoded once.

    Returns:
        numpy.ndarray: float32 ``[len(paths), dim]``; zero for those that cannot be
        read.

    Raises:
        UserError: If a setting is wrong, or the encoder sees no pictures.
        PictureError: With ``missing_image: error``, at the first that cannot be read.
    """
    dtype = np.dtype(options.choice(config, "vector_dtype", ("float16", "float32")))
    encoder = ClipPictures(config, paths)
    hashes = encoder.contents()
    if encoder.missing == "error" and None in hashes:
        read_picture(paths[hashes.index(None)])  # raises, and says why
    there = [place for place, hash_ in enumerate(hashes) if hash_]
    if not there:
        return np.zeros((len(paths), 0), dtype=np.float32)
    known = [hashes[place] for place in there]
    found = cache.vectors(
        encoder, "pictures", known, options.cache_folder(config), dtype
    )
    vectors = np.zeros((len(paths), found.shape[1]), dtype=np.float32)
    vectors[there] = found
    return vectors


def _workers(config):
    workers = options.setting(config, "image_workers")
    if workers is None:
        # A container may lend fewer cores than the machine has; macOS cannot tell.
        lent = getattr(os, "sched_getaffinity", lambda process: range(os.cpu_count()))
        return min(_MOST_WORKERS, len(lent(0)))
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
        raise UserError(
            f"image_workers: a whole number of at least 0 is needed, not {workers}."
        )
    return workers
