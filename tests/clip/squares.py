"""What the tests look at: coloured squares on grey."""

from PIL import Image

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (40, 70, 220),
    "yellow": (240, 220, 50),
}
GREY = (128, 128, 128)


def square(colour, x, y, size=12, picture=None, side=32):
    """A coloured square on grey, or on a picture that has one already."""
    picture = picture or Image.new("RGB", (side, side), GREY)
    picture.paste(COLOURS[colour], (x, y, x + size, y + size))
    return picture
