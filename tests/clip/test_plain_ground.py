import numpy as np
from PIL import Image

from recbole_whisperlite.clip.plain_ground import (
    border_colour,
    on_white,
    plain_ground,
    visible_box,
)

WHITE, BLUE, RED = (255, 255, 255), (60, 90, 200), (200, 30, 30)


def card(colour=BLUE):
    """A red ring on a white card on a coloured table."""
    picture = Image.new("RGB", (40, 30), colour)
    picture.paste(WHITE, (5, 4, 35, 26))
    picture.paste(RED, (10, 8, 20, 18))
    picture.paste(WHITE, (13, 11, 17, 15))
    return picture


def test_ground_is_what_is_of_the_borders_colour_and_reaches_it():
    found = plain_ground(card())
    assert found.shape == (30, 40) and found.dtype == bool
    expected = np.ones((30, 40), dtype=bool)
    expected[4:26, 5:35] = False
    np.testing.assert_array_equal(found, expected)
    assert border_colour(card()) == BLUE
    # the hole of the ring is white, too, but enclosed
    assert visible_box(card(WHITE)) == (10, 8, 20, 18)
    assert not plain_ground(card(WHITE))[13, 15]


def test_a_ground_may_vary_by_a_shadow_but_not_by_a_colour():
    levels = np.random.RandomState(0).randint(235, 256, (30, 40, 3)).astype(np.uint8)
    levels[10:20, 10:20] = (200, 220, 240)
    assert visible_box(Image.fromarray(levels)) == (10, 10, 20, 20)
    assert visible_box(Image.new("RGB", (5, 5), RED)) is None


def test_a_busy_border_is_no_ground():
    noise = np.random.RandomState(0).randint(0, 256, (30, 40, 3)).astype(np.uint8)
    assert not plain_ground(Image.fromarray(noise)).any()
    np.testing.assert_array_equal(on_white(Image.fromarray(noise)), noise)


def test_a_frame_becomes_one_ground_with_the_white_inside_it():
    painted = on_white(card())
    assert painted.getpixel((0, 0)) == WHITE and painted.getpixel((10, 8)) == RED
    assert visible_box(painted) == (10, 8, 20, 18)


def test_a_white_thing_on_a_colour_is_not_painted_over():
    picture = Image.new("RGB", (40, 30), BLUE)
    picture.paste(WHITE, (10, 8, 20, 18))
    assert on_white(picture) is picture
    assert visible_box(picture) == (10, 8, 20, 18)
