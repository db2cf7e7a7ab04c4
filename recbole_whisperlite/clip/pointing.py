"""The pointing game on drawn pictures: does a map highlight what the phrase names?

Each picture shows two different garments in the style of stylist-mini at random
positions, which are known to the pixel; the phrase names one of the two. A map that finds
"something" but ignores the phrase gets half of the achievable score. (Zhang et al. 2016,
Top-down Neural Attention by Excitation Backprop.)
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from recbole_whisperlite.stylist_mini import vocabulary
from recbole_whisperlite.stylist_mini.catalogue import make_products
from recbole_whisperlite.stylist_mini.drawing import BACKGROUND, draw

SIDE = 160  # pixels, of a scene
_GARMENT_SIDES = (64, 80)  # pixels, of a garment's drawing including its margin
_PRODUCTS = 300
_VISIBLE = 12  # grey levels that differ from the background

MEASURES = ("hit", "mass", "mass of the two")


class Scene(NamedTuple):
    """A picture, a phrase that names one of its two garments, and the boxes of both.

    Attributes:
        picture (PIL.Image.Image): RGB.
        phrase (str): Such as ``navy coat``.
        box (tuple of int): left, top, right, bottom of the named garment, in pixels, the
            last two exclusive.
        other (tuple of int): Those of the other garment.
    """

    picture: Image.Image
    phrase: str
    box: tuple[int, int, int, int]
    other: tuple[int, int, int, int]


def make_scenes(n: int, seed: int = 2020) -> list[Scene]:
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
    return Scene(picture, phrase_of(pair[0]), *boxes)


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


def pointing_game(
    maps: dict[str, Callable[[Image.Image, str], np.ndarray]],
    n: int = 200,
    seed: int = 2020,
) -> dict[str, dict[str, float]]:
    """Measure maps on drawn scenes, next to two baselines that ignore the picture.

    Args:
        maps (dict): ``{name: function (picture, phrase) -> float [height, width]}``,
            such as :func:`ground`.
        n (int): The number of scenes.
        seed (int): Seed of the scenes.

    Returns:
        dict: ``{name: {measure: float}}`` for every map and the baselines ``centred
        blob`` (a Gaussian whose standard deviation is a quarter of the side) and
        ``uniform``. ``hit`` is how often the map's maximum is in the right box (with
        several maxima, their share in it); ``mass`` the share of the map in the right
        box; ``mass of the two`` the same share, counting only what is inside either box
        (0.5 for a map that ignores the phrase); ``seconds a map`` the median time.
    """
    scenes = make_scenes(n, seed)
    blob, flat = _blob(), np.ones((SIDE, SIDE), dtype=np.float32)
    maps = {
        **maps,
        "centred blob": lambda picture, phrase: blob,
        "uniform": lambda picture, phrase: flat,
    }
    result = {}
    for name, find in maps.items():
        values, seconds = [], []
        for scene in tqdm(scenes, desc=f"pointing game: {name}", delay=1, disable=None):
            start = time.perf_counter()
            found = find(scene.picture, scene.phrase)
            seconds.append(time.perf_counter() - start)
            values.append(score(found, scene.box, scene.other))
        means = np.mean(values, axis=0).tolist()
        result[name] = dict(zip(MEASURES, means))
        result[name]["seconds a map"] = float(np.median(seconds))
    return result


def score(
    found: np.ndarray,
    box: tuple[int, int, int, int],
    other: tuple[int, int, int, int],
) -> tuple[float, float, float]:
    """Return the :data:`MEASURES` of one map, as defined in :func:`pointing_game`.

    A map of zeros is treated as a uniform one.

    Args:
        found (numpy.ndarray): float ``[height, width]``, not negative.
        box (tuple of int): left, top, right, bottom of the right garment.
        other (tuple of int): Those of the wrong one.

    Returns:
        tuple of float: hit, mass, mass of the two.
    """
    if not found.any():
        found = np.ones_like(found)
    peak = (found == found.max()).astype(float)
    right, wrong = _inside(found, box), _inside(found, other)
    both = right + wrong
    return (
        _inside(peak, box) / peak.sum(),
        right / found.sum(dtype=float),
        right / both if both else 0.5,
    )


def _inside(values, box):
    left, top, right, bottom = box
    return float(values[top:bottom, left:right].sum(dtype=float))


def _blob():
    offset = (np.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 4)
    bell = np.exp(-(offset**2) / 2)
    return np.outer(bell, bell).astype(np.float32)
