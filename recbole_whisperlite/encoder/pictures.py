"""Reads pictures of any kind as RGB, or raises an error that names the file."""

import contextlib
import functools
import os
import stat
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from recbole_whisperlite.errors import UserError

#: Between an archive and the picture in it: ``photos.zip::images/1.jpg``.
IN_ARCHIVE = "::"
# Pillow's own limit against decompression bombs.
_MOST_PIXELS = 89_478_485
# More than these pixels in any format; what is larger is not unpacked from an archive.
_MOST_BYTES = 2**30
# What Pillow decodes itself: for an EPS, whatever its name is, it starts Ghostscript.
_FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000"),
    *("ICO", "PPM", "TGA"),
)
# The shorter side is scaled to the model's: an extremely narrow picture would grow to
# gigabytes.
_LONGEST_TO_SHORTEST = 100


class PictureError(UserError):
    """A picture that cannot be used; the message names the file and says why."""


def read_picture(
    picture: str | Path | BinaryIO | Image.Image,
    name: str | None = None,
    most_pixels: int = _MOST_PIXELS,
) -> Image.Image:
    """Read a picture in one of the common formats, which Pillow decodes by itself.

    The first frame of an animation is taken; transparent areas become white; 16-bit
    grey is scaled to 8 bits; the camera's orientation (EXIF) is applied.

    Args:
        picture (str, Path, binary file or PIL.Image.Image): A path, a picture in an
            archive as ``archive.zip::member``, an open seekable file, or an image that
            is converted to RGB.
        name (str, optional): What errors call it; by default its path.
        most_pixels (int): A larger one is refused before it is decoded.

    Returns:
        PIL.Image.Image: Mode RGB, decoded.

    Raises:
        PictureError: If the file is missing, empty, not a picture, broken, too large,
            or its sides are too disproportionate.
    """
    if isinstance(picture, (str, Path)):
        with open_picture(str(picture), name) as file:
            return _decode(file, name or str(picture), most_pixels)
    name = name or getattr(picture, "name", "the picture")
    return _decode(picture, name, most_pixels)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a PIL image of any mode as RGB, as :func:`read_picture` does."""
    image.load()
    # Broken orientation metadata does not make a broken picture.
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def some(problems: list[str], total: int | None = None, shown: int = 3) -> str:
    """Return the first few of many messages, and how many more there are.

    Args:
        problems (list of str): Messages, at least the first few.
        total (int, optional): How many there are, by default ``len(problems)``.
        shown (int): How many are included.
    """
    more = (len(problems) if total is None else total) - shown
    text = " ".join(problems[:shown])
    return f"{text} And {more} more." if more > 0 else text


def _decode(picture, name, most_pixels):
    try:
        with warnings.catch_warnings():
            # Too large a picture is reported below; metadata does not matter.
            warnings.simplefilter("ignore")
            if isinstance(picture, Image.Image):
                if picture.format == "EPS":
                    raise Image.UnidentifiedImageError
                _check_size(picture.size, name, most_pixels)
                return to_rgb(picture)
            if not picture.seek(0, os.SEEK_END):
                raise PictureError(f"{name}: the file is empty (zero bytes).")
            picture.seek(0)
            with Image.open(picture, formats=_formats()) as image:
                _check_size(image.size, name, most_pixels)
                return to_rgb(image)
    except PictureError:
        raise
    except (Image.UnidentifiedImageError, Image.DecompressionBombError) as error:
        bomb = isinstance(error, Image.DecompressionBombError)
        reason = "it is too large" if bomb else "this is not a picture"
        raise PictureError(
            f"{name}: {reason}. Pictures are JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, "
            f"JPEG 2000, ICO, PPM or TGA, with at most {most_pixels:,} pixels."
        ) from error
    except Exception as error:
        # Decoders raise all sorts of errors: OSError, SyntaxError, struct.error.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"{name}: the picture is broken ({reason}).") from error


@functools.cache
def _formats():
    """Return those of the formats that the installed Pillow has."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _check_size(size, name, most_pixels):
    width, height = size
    if width * height > most_pixels:
        raise PictureError(
            f"{name}: {width} x {height} pixels are too many; at most {most_pixels:,} "
            "are accepted. Scale the picture down."
        )
    if max(size) > _LONGEST_TO_SHORTEST * min(size):
        raise PictureError(
            f"{name}: {width} x {height} pixels; the longer side may be at most "
            f"{_LONGEST_TO_SHORTEST} times the shorter. Crop the picture."
        )


def _to_8_bits(image):
    """Scale grey of more than 8 bits, which Pillow's own conversion would clip."""
    values = np.asarray(image, dtype=np.float64)
    peak = 65535 if image.mode != "F" else 1
    if values.max() > peak:
        peak = 255 if image.mode == "F" and values.max() <= 255 else values.max()
    return Image.fromarray((values.clip(0) * (255 / peak)).round().astype(np.uint8))


@contextlib.contextmanager
def open_picture(path: str, name: str | None = None) -> Iterator[BinaryIO]:
    """Yield the open binary file of a picture.

    Args:
        path (str): A path, or ``archive.zip::member``.
        name (str, optional): What errors call it; by default its path.

    Raises:
        PictureError: If there is no such file or it cannot be read.
    """
    name = name or path
    archive, found, member = path.partition(IN_ARCHIVE)
    try:
        about = os.stat(archive)
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            # reading a pipe or a device may never end
            raise PictureError(f"{name}: this is not a file, but a pipe or a device.")
        size = about.st_size
        if found:
            opened = _archive(archive, about.st_mtime_ns, os.getpid())
            size = opened.getinfo(member).file_size
        if size > _MOST_BYTES:
            raise PictureError(
                f"{name}: {size:,} bytes are too many for a picture; at most "
                f"{_MOST_BYTES:,} are accepted."
            )
        file = opened.open(member) if found else open(path, "rb")
    except PictureError:
        raise
    except KeyError:
        raise PictureError(f"{name}: {archive} has no file '{member}'.") from None
    except FileNotFoundError:
        raise PictureError(f"{name}: there is no such file.") from None
    except (
        OSError,
        ValueError,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
    ) as error:
        # open raises ValueError for a NUL in the path; zipfile raises the last two for
        # a password and an unknown compression.
        raise PictureError(f"{name}: it cannot be read ({error}).") from error
    with file:
        yield file


@functools.lru_cache(maxsize=8)
def _archive(path, stamp, process):
    """Open an archive once, since its list of files takes long to read.

    Args:
        path (str): The archive.
        stamp (int): Its modification time; a changed archive is opened again.
        process (int): The process id: forked processes must not share a file position.
    """
    return zipfile.ZipFile(path)
