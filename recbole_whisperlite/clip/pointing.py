"""The pointing game: does a map highlight what the phrase names?

Each picture shows several garments at places that are known to the pixel; the phrase
names one of them. A map that finds "something" but ignores the phrase is as often in a
wrong box. (Zhang et al. 2016, Top-down Neural Attention by Excitation Backprop.)
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from recbole_whisperlite.clip.plain_ground import on_white, plain_ground

MEASURES = ("hit", "mass", "mass of the garments")


class Scene(NamedTuple):
    """A picture, a phrase that names one of its garments, and the boxes of all of them.

    Attributes:
        picture (PIL.Image.Image): RGB.
        phrase (str): Such as ``navy coat``.
        box (tuple of int): left, top, right, bottom of the named garment, in pixels, the
            last two exclusive.
        others (list of tuple): Those of the other garments.
    """

    picture: Image.Image
    phrase: str
    box: tuple[int, int, int, int]
    others: list[tuple[int, int, int, int]]


def pointing_game(
    maps: dict[str, Callable[[Image.Image, str], np.ndarray]], scenes: list[Scene]
) -> dict[str, dict[str, float]]:
    """Measure maps on scenes, next to three baselines that ignore the phrase.

    Args:
        maps (dict): ``{name: function (picture, phrase) -> float [height, width]}``,
            such as :func:`ground`.
        scenes (list of Scene): At least one.

    Returns:
        dict: ``{name: {measure: float}}`` for every map and the baselines ``centred
        blob`` (a Gaussian whose standard deviation is a quarter of the sides), ``not
        the ground`` (1 where :func:`ground` sees no plain ground) and ``uniform``.
        ``hit`` is how often the map's maximum is in the right box (with several maxima,
        their share in it); ``mass`` the share of the map in the right box; ``mass of the
        garments`` the same share, counting only what is inside the box of any garment;
        ``seconds a map`` the median time.
    """
    maps = {
        **maps,
        "centred blob": lambda picture, phrase: _blob(*picture.size),
        "not the ground": lambda picture, phrase: 1.0 - plain_ground(on_white(picture)),
        "uniform": lambda picture, phrase: np.ones(picture.size[::-1]),
    }
    result = {}
    for name, find in maps.items():
        values, seconds = [], []
        for scene in tqdm(scenes, desc=f"pointing game: {name}", delay=1, disable=None):
            start = time.perf_counter()
            found = find(scene.picture, scene.phrase)
            seconds.append(time.perf_counter() - start)
            values.append(score(found, scene.box, scene.others))
        means = np.mean(values, axis=0).tolist()
        result[name] = dict(zip(MEASURES, means))
        result[name]["seconds a map"] = float(np.median(seconds))
    return result


def score(
    found: np.ndarray,
    box: tuple[int, int, int, int],
    others: list[tuple[int, int, int, int]],
) -> tuple[float, float, float]:
    """Return the :data:`MEASURES` of one map, as defined in :func:`pointing_game`.

    A map of zeros is treated as a uniform one. If nothing of a map is inside any box,
    each garment is given an equal share.

    Args:
        found (numpy.ndarray): float ``[height, width]``, not negative.
        box (tuple of int): left, top, right, bottom of the right garment.
        others (list of tuple): Those of the wrong ones.

    Returns:
        tuple of float: hit, mass, mass of the garments.
    """
    if not found.any():
        found = np.ones_like(found)
    peak = (found == found.max()).astype(float)
    right = _inside(found, box)
    garments = right + sum(_inside(found, other) for other in others)
    return (
        _inside(peak, box) / peak.sum(),
        right / found.sum(dtype=float),
        right / garments if garments else 1 / (1 + len(others)),
    )


def _inside(values, box):
    left, top, right, bottom = box
    return float(values[top:bottom, left:right].sum(dtype=float))


def _blob(width, height):
    down, across = (
        np.exp(-(((np.arange(side) - (side - 1) / 2) / (side / 4)) ** 2) / 2)
        for side in (height, width)
    )
    return np.outer(down, across)
