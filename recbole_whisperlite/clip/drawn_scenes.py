"""Scenes of the pointing game that are drawn: two garments as in stylist-mini."""

import numpy as np
from PIL import Image

from recbole_whisperlite.clip.pointing import Scene
from recbole_whisperlite.stylist_mini import vocabulary
from recbole_whisperlite.stylist_mini.catalogue import make_products
from recbole_whisperlite.stylist_mini.drawing import BACKGROUND, draw

SIDE = 160  # pixels, of a scene
_GARMENT_SIDES = (64, 80)  # pixels, of a garment's drawing including its margin
_PRODUCTS = 300
_VISIBLE = 12  # grey levels that differ from the background


def drawn_scenes(n: int, seed: int = 2020) -> list[Scene]:
    """Draw ``n`` scenes; the same seed gives the same ones.

    Args:
        n (int): How many.
        seed (int): Seed of everything random. The garments follow the rules of the
            dataset stylist-mini but are not the same ones.

    Returns:
        list of Scene: ``n`` scenes.
    """
    rng = np.random.RandomState([seed, 77])
    products = make_products(rng, _PRODUCTS)
    return [_scene(rng, products) for _ in range(n)]


def _scene(rng, products):
    pair = [products[rng.randint(len(products))]]
    while len(pair) < 2:
        other = products[rng.randint(len(products))]
        if other["garment"] != pair[0]["garment"]:
            pair.append(other)
    picture = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    drawings, positions = [], []
    for product in pair:
        side = rng.randint(_GARMENT_SIDES[0], _GARMENT_SIDES[1] + 1)
        drawings.append(draw(product).resize((side, side), Image.Resampling.LANCZOS))
    while not positions or _overlap(positions):
        corners = [rng.randint(SIDE - d.width + 1, size=2) for d in drawings]
        positions = [
            (int(x), int(y), int(x) + d.width, int(y) + d.height)
            for (x, y), d in zip(corners, drawings)
        ]
    boxes = []
    for drawing, position in zip(drawings, positions):
        picture.paste(drawing, position)
        boxes.append(_visible_box(drawing, position))
    return Scene(picture, phrase_of(pair[0]), boxes[0], boxes[1:])


def phrase_of(product: dict) -> str:
    """Return a phrase for a product of stylist-mini: its shade and its main noun."""
    noun = vocabulary.GARMENTS[product["garment"]].product_nouns[0]
    return f"{product['shade']} {noun}"


def _overlap(positions):
    (left, top, right, bottom), other = positions
    return left < other[2] and other[0] < right and top < other[3] and other[1] < bottom


def _visible_box(drawing, position):
    """Return the box, in the scene, around what differs from the background."""
    pixels = np.asarray(drawing).astype(int)
    seen = np.abs(pixels - BACKGROUND).max(axis=2) > _VISIBLE
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    x, y = position[:2]
    return (
        x + int(columns[0]),
        y + int(rows[0]),
        x + int(columns[-1]) + 1,
        y + int(rows[-1]) + 1,
    )
