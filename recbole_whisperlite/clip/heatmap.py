"""A map laid over its photo."""

import numpy as np
from PIL import Image

from recbole_whisperlite.clip import output

#: From nothing to most: dark violet, red, orange, pale yellow; lighter throughout, so
#: that the map reads in grey and by colour-blind people too.
COLOURS = np.array([(20, 11, 52), (132, 32, 107), (229, 92, 48), (252, 255, 164)])
_SMALLEST_SIDE = 384  # pixels; smaller photos are scaled up


def overlay(picture, found):
    """Return the photo in grey under the map in colour.

    Args:
        picture (PIL.Image.Image): RGB.
        found (numpy.ndarray): float32 ``[height, width]`` from 0 to 1.

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
    # What matters least shows the photo best.
    weight = 0.1 + 0.65 * found[..., None]
    return Image.fromarray(((1 - weight) * grey + weight * colours).astype(np.uint8))


def write(path, picture, found):
    """Write :func:`overlay` to a PNG file, whole or not at all."""
    with output.writing(path) as temporary:
        overlay(picture, found).save(temporary, "PNG")
