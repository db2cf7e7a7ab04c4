"""The pointing game: is the map where the phrase is? On pictures that we draw ourselves.

Each picture holds two different garments of stylist-mini's at random places, so that
where each one is is known to the pixel; the phrase names one of the two. A map that
finds "something" but does not read the phrase gets half of what there is to get.
(Zhang et al. 2016, Top-down Neural Attention by Excitation Backprop.)
"""

import time
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from recbole_whisperlite.stylist_mini import vocabulary
from recbole_whisperlite.stylist_mini.catalogue import make_products
from recbole_whisperlite.stylist_mini.drawing import BACKGROUND, draw

SIDE = 160  # pixels of a scene
_GARMENT_SIDES = (64, 80)  # pixels of a garment's own drawing, margin included
_PRODUCTS = 300
_VISIBLE = 12  # levels of difference to the background

MEASURES = ("hit", "mass", "mass of the two")


class Scene(NamedTuple):
    """A picture, a phrase that names one of its two garments, and where both are.

    Attributes:
        picture (PIL.Image.Image): RGB.
        phrase (str): Such as ``a navy coat``.
        box (tuple): left, top, right, bottom of the garment that is meant, in pixels,
            the last two exclusive.
        other (tuple): Those of the other garment.
    """

    picture: Image.Image
    phrase: str
    box: tuple
    other: tuple


def make_scenes(n, seed=2020):
    """Draw ``n`` scenes; the same seed gives the same ones.

    Args:
        n (int): How many.
        seed (int): From which everything is drawn; the garments are not those of the
            dataset stylist-mini but others by the same rules.

    Returns:
        list of Scene
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
    drawings, places = [], []
    for product in pair:
        side = rng.randint(_GARMENT_SIDES[0], _GARMENT_SIDES[1] + 1)
        drawings.append(draw(product).resize((side, side), Image.Resampling.LANCZOS))
    while not places or _overlap(places):
        corners = [rng.randint(SIDE - d.width + 1, size=2) for d in drawings]
        places = [
            (int(x), int(y), int(x) + d.width, int(y) + d.height)
            for (x, y), d in zip(corners, drawings)
        ]
    boxes = []
    for drawing, place in zip(drawings, places):
        picture.paste(drawing, place)
        boxes.append(_visible_box(drawing, place))
    return Scene(picture, phrase_of(pair[0]), *boxes)


def phrase_of(product):
    """Return the words for a product: its shade and its commonest noun."""
    noun = vocabulary.GARMENTS[product["garment"]].product_nouns[0]
    return f"{product['shade']} {noun}"


def _overlap(places):
    (left, top, right, bottom), other = places
    return left < other[2] and other[0] < right and top < other[3] and other[1] < bottom


def _visible_box(drawing, place):
    """Return the box around what differs from the background, where it was put."""
    pixels = np.asarray(drawing).astype(int)
    seen = np.abs(pixels - BACKGROUND).max(axis=2) > _VISIBLE
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    x, y = place[:2]
    return (
        x + int(columns[0]),
        y + int(rows[0]),
        x + int(columns[-1]) + 1,
        y + int(rows[-1]) + 1,
    )


def pointing_game(maps, n=200, seed=2020):
    """Measure maps on drawn scenes, beside two that do not look at the picture.

    Args:
        maps (dict): ``{name: function (picture, phrase) -> float [height, width]}``,
            such as :func:`ground`.
        n (int): Scenes.
        seed (int): Of the scenes.

    Returns:
        dict: ``{name: {measure: float}}`` for every map, ``centred blob`` (a Gaussian of
        a quarter of the side) and ``uniform``: ``hit``, how often the map's highest
        point lies in the right box; ``mass``, which share of the map lies in it;
        ``mass of the two``, which share of what lies in either box is in the right
        one (0.5 for a map that does not read the phrase); ``seconds a map``, the
        median. Among equal highest points the hit is their share in the box.
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
        for scene in tqdm(scenes, desc=f"pointing game: {name}", delay=1):
            start = time.perf_counter()
            found = find(scene.picture, scene.phrase)
            seconds.append(time.perf_counter() - start)
            values.append(score(found, scene.box, scene.other))
        means = np.mean(values, axis=0).tolist()
        result[name] = dict(zip(MEASURES, means))
        result[name]["seconds a map"] = float(np.median(seconds))
    return result


def score(found, box, other):
    """Return the :data:`MEASURES` of one map, as :func:`pointing_game` has them.

    A map of zeros says nothing, and is taken for a uniform one.

    Args:
        found (numpy.ndarray): float ``[height, width]``, not negative.
        box (tuple): left, top, right, bottom of the right garment.
        other (tuple): Those of the wrong one.

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
