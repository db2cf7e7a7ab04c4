"""Pictures that are asked for, or that come with new items, as vectors."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder.picture_vectors import clip_settings
from recbole_whisperlite.encoder.pictures import PictureError
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole_whisperlite.encoder.clip.clip import Clip


class PictureEncoder:
    """The CLIP model among the encoders of a model, loaded when it is needed.

    Args:
        settings (dict): Those of the encoder.
    """

    def __init__(self, settings: dict):
        self._settings = settings

    @functools.cached_property
    def _clip(self) -> Clip:
        from recbole_whisperlite.encoder.clip.clip import Clip
        from recbole_whisperlite.encoder.clip.source import ClipSource

        config = clip_settings(self._settings)
        if config is None:
            raise UserError(
                "This model has no CLIP model among its encoders, so it cannot encode "
                "pictures."
            )
        return Clip(ClipSource.of(config), self._settings.get("device") or "cpu")

    def encode(self, pictures: list) -> np.ndarray:
        """Return the vectors of pictures.

        Args:
            pictures (list): Paths, PIL images, or arrays uint8 ``[height, width, 3]``;
                None for no picture.

        Returns:
            numpy.ndarray: float32 ``[len(pictures), dim]``, length 1, or zero.

        Raises:
            UserError: If one cannot be read, or is of another type.
        """
        present = [row for row, picture in enumerate(pictures) if picture is not None]
        opened = [_opened(pictures[row]) for row in present]
        vectors = np.zeros((len(pictures), self._clip.dim), dtype=np.float32)
        if present:
            try:
                found, _ = self._clip.encode_pictures(opened, progress=False)
            except PictureError as error:
                raise UserError(str(error)) from None
            dtype = np.dtype(self._settings["vector_dtype"])
            vectors[present] = found.astype(dtype)
        return vectors


def _opened(picture):
    from PIL import Image

    if isinstance(picture, (str, os.PathLike, Image.Image)):
        return os.fspath(picture) if isinstance(picture, os.PathLike) else picture
    if isinstance(picture, np.ndarray):
        if picture.dtype == np.uint8 and picture.size:
            with contextlib.suppress(TypeError, ValueError):
                return Image.fromarray(picture).convert("RGB")
        raise UserError(
            "image: an array must be uint8 of shape [height, width, 3], not "
            f"{picture.dtype} of shape {list(picture.shape)}."
        )
    raise UserError(
        "image must be a path, a PIL image or an array uint8 [height, width, 3], not a "
        f"{type(picture).__name__}."
    )
