"""A heat map overlaid on its photo."""

from pathlib import Path

import numpy as np
from PIL import Image

from recbole_whisperlite.clip import output

#: From 0 to 1: dark violet, red, orange, pale yellow; increasingly light, so that the map
#: is readable in grey and for colour-blind people.
COLOURS = np.array([(20, 11, 52), (132, 32, 107), (229, 92, 48), (252, 255, 164)])
_SMALLEST_SIDE = 384  # pixels; smaller photos are scaled up


def overlay(picture: Image.Image, found: np.ndarray) -> Image.Image:
    """Return the photo in grey with the map in colour over it.

    Args:
        picture (PIL.Image.Image): RGB.
        found (numpy.ndarray): float32 ``[height, width]``, from 0 to 1.

    Returns:
        PIL.Image.Image: RGB, of the picture's size or, if that is small, a multiple.
    """
    times = max(1, -(-_SMALLEST_SIDE // max(picture.size)))
    size = (picture.width * times, picture.height * times)
    found = Image.fromarray(found.astype(np.float32)).resize(size)
    found = np.asarray(found).clip(0, 1)
    stops = np.linspace(0, 1, len(COLOURS))
    colours = np.stack(
        [np.interp(found, stops, COLOURS[:, channel]) for channel in range(3)], axis=-1
    )
    grey = np.asarray(picture.convert("L").resize(size), dtype=np.float32)[..., None]
    # The lower the value, the more of the photo shows through.
    weight = 0.1 + 0.65 * found[..., None]
    return Image.fromarray(((1 - weight) * grey + weight * colours).astype(np.uint8))


def write(path: str | Path, picture: Image.Image, found: np.ndarray) -> None:
    """Write :func:`overlay` to a PNG file, completely or not at all.

    Raises:
        UserError: If the file cannot be written.
    """
    with output.writing(path) as temporary:
        overlay(picture, found).save(temporary, "PNG")
