import numpy as np
import pytest

from recbole_whisperlite.clip import pointing
from recbole_whisperlite.stylist_mini.drawing import BACKGROUND


def differs(scene):
    pixels = np.asarray(scene.picture).astype(int)
    return np.abs(pixels - BACKGROUND).max(axis=2) > pointing._VISIBLE


def test_a_scene_holds_its_two_garments_and_nothing_else():
    for scene in pointing.make_scenes(20):
        seen = differs(scene)
        for left, top, right, bottom in (scene.box, scene.other):
            part = seen[top:bottom, left:right]
            # the box is tight: each of its sides is touched
            assert part[0].any() and part[-1].any()
            assert part[:, 0].any() and part[:, -1].any()
            seen[top:bottom, left:right] = False
        assert not seen.any()
        assert scene.phrase.strip()


def test_the_same_seed_draws_the_same_scenes():
    first, again = pointing.make_scenes(3, seed=5), pointing.make_scenes(3, seed=5)
    assert [s[1:] for s in first] == [s[1:] for s in again]
    assert [s.picture.tobytes() for s in first] == [s.picture.tobytes() for s in again]
    assert [s[1:] for s in pointing.make_scenes(3, seed=6)] != [s[1:] for s in first]


def test_places_are_spread_over_the_picture():
    scenes = pointing.make_scenes(100)
    centres = np.array([[s.box[0] + s.box[2], s.box[1] + s.box[3]] for s in scenes]) / 2
    assert (centres.min(axis=0) < pointing.SIDE * 0.3).all()
    assert (centres.max(axis=0) > pointing.SIDE * 0.7).all()


def test_measures_by_hand():
    found = np.zeros((10, 10))
    found[1, 1], found[8, 8], found[5, 5] = 3, 1, 4
    box, other = (0, 0, 2, 2), (8, 8, 10, 10)
    assert pointing.score(found, box, other) == (0, 3 / 8, 3 / 4)
    found[5, 5] = 3  # as high as the one in the box
    assert pointing.score(found, box, other) == (1 / 2, 3 / 7, 3 / 4)
    assert pointing.score(np.zeros((10, 10)), box, other) == (0.04, 0.04, 0.5)


def test_a_perfect_map_gets_everything_and_a_uniform_one_its_share():
    boxes = {s.picture.tobytes(): s.box for s in pointing.make_scenes(10)}

    def perfect(picture, phrase):
        left, top, right, bottom = boxes[picture.tobytes()]
        found = np.zeros((pointing.SIDE, pointing.SIDE))
        found[top:bottom, left:right] = 1
        return found

    result = pointing.pointing_game({"perfect": perfect}, n=10)
    assert [result["perfect"][name] for name in pointing.MEASURES] == [1, 1, 1]
    shares = [
        (right - left) * (bottom - top) / pointing.SIDE**2
        for left, top, right, bottom in boxes.values()
    ]
    assert result["uniform"]["mass"] == pytest.approx(np.mean(shares))
    assert result["uniform"]["hit"] == pytest.approx(np.mean(shares))
    assert result["centred blob"]["hit"] < 0.5
