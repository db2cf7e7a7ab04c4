"""The plain ground of a product photo: what surrounds the product, of one colour."""

import numpy as np
from PIL import Image, ImageChops
from scipy import ndimage

_TOLERANCE = 24  # grey levels by which a ground varies: shadows, traces of compression
_LEAST_OF_BORDER = 0.5


def border_colour(picture: Image.Image) -> tuple[int, int, int]:
    """Return the median colour of the outermost pixels of an RGB picture."""
    red, green, blue = np.median(_border(np.asarray(picture)), axis=0)
    return int(red), int(green), int(blue)


def plain_ground(picture: Image.Image) -> np.ndarray:
    """Return which pixels are plain ground: of the border's colour, and connected to it.

    What has that colour but is enclosed by something else, such as a white print on a
    shirt, is no ground. If less than half of the border has one colour, nothing is.

    Args:
        picture (PIL.Image.Image): RGB.

    Returns:
        numpy.ndarray: bool ``[height, width]``.
    """
    ground = Image.new("RGB", picture.size, border_colour(picture))
    red, green, blue = ImageChops.difference(picture, ground).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    plain = np.asarray(most) <= _TOLERANCE
    if _border(plain).mean() < _LEAST_OF_BORDER:
        return np.zeros_like(plain)
    regions, count = ndimage.label(plain)
    is_ground = np.zeros(count + 1, dtype=bool)
    is_ground[_border(regions)] = True
    is_ground[0] = False  # what is not plain
    return is_ground[regions]


def on_white(picture: Image.Image) -> Image.Image:
    """Return a picture with its plain ground painted white, as most product photos are.

    A card on a coloured table, or a frame around a photo, becomes one ground with the
    white inside it. If nothing but ground would be left, the picture stays as it is.

    Args:
        picture (PIL.Image.Image): RGB.

    Returns:
        PIL.Image.Image: RGB, of the same size.
    """
    white = Image.new("RGB", picture.size, "white")
    painted = Image.composite(white, picture, Image.fromarray(plain_ground(picture)))
    return picture if plain_ground(painted).all() else painted


def visible_box(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the smallest box around what is not plain ground, None if all of it is.

    Args:
        picture (PIL.Image.Image): RGB.

    Returns:
        tuple of int: left, top, right, bottom, in pixels, the last two exclusive.
    """
    return Image.fromarray(~plain_ground(picture)).getbbox()


def _border(pixels):
    """Return the outermost pixels of ``[height, width, …]``, the corners twice."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
