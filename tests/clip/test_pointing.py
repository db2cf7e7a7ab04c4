import numpy as np
import pytest
from PIL import Image

from recbole_whisperlite.clip import drawn_scenes as drawing
from recbole_whisperlite.clip import pointing
from recbole_whisperlite.clip.drawn_scenes import SIDE, drawn_scenes
from recbole_whisperlite.stylist_mini.drawing import BACKGROUND


def differs(scene):
    pixels = np.asarray(scene.picture).astype(int)
    return np.abs(pixels - BACKGROUND).max(axis=2) > drawing._VISIBLE


def test_a_scene_holds_its_two_garments_and_nothing_else():
    for scene in drawn_scenes(20):
        seen = differs(scene)
        for left, top, right, bottom in (scene.box, *scene.others):
            part = seen[top:bottom, left:right]
            # the box is tight: each of its sides is touched
            assert part[0].any() and part[-1].any()
            assert part[:, 0].any() and part[:, -1].any()
            seen[top:bottom, left:right] = False
        assert not seen.any()
        assert scene.phrase.strip() and len(scene.others) == 1


def test_the_same_seed_draws_the_same_scenes():
    first, again = drawn_scenes(3, seed=5), drawn_scenes(3, seed=5)
    assert [s[1:] for s in first] == [s[1:] for s in again]
    assert [s.picture.tobytes() for s in first] == [s.picture.tobytes() for s in again]
    assert [s[1:] for s in drawn_scenes(3, seed=6)] != [s[1:] for s in first]


def test_places_are_spread_over_the_picture():
    scenes = drawn_scenes(100)
    centres = np.array([[s.box[0] + s.box[2], s.box[1] + s.box[3]] for s in scenes]) / 2
    assert (centres.min(axis=0) < SIDE * 0.3).all()
    assert (centres.max(axis=0) > SIDE * 0.7).all()


def test_measures_by_hand():
    found = np.zeros((10, 10))
    found[1, 1], found[8, 8], found[5, 5], found[1, 8] = 3, 1, 4, 1
    box, others = (0, 0, 2, 2), [(8, 8, 10, 10), (8, 0, 10, 2)]
    assert pointing.score(found, box, others) == (0, 3 / 9, 3 / 5)
    assert pointing.score(found, box, others[:1]) == (0, 3 / 9, 3 / 4)
    found[5, 5] = 3  # as high as the one in the box
    assert pointing.score(found, box, others) == (1 / 2, 3 / 8, 3 / 5)
    assert pointing.score(np.zeros((10, 10)), box, others) == (0.04, 0.04, 1 / 3)
    found[:] = 0
    found[5, 5] = 1  # in no box
    assert pointing.score(found, box, others) == (0, 0, 1 / 3)


def test_a_perfect_map_gets_everything_and_a_uniform_one_its_share():
    scenes = drawn_scenes(10)
    boxes = {s.picture.tobytes(): s.box for s in scenes}

    def perfect(picture, phrase):
        left, top, right, bottom = boxes[picture.tobytes()]
        found = np.zeros((SIDE, SIDE))
        found[top:bottom, left:right] = 1
        return found

    result = pointing.pointing_game({"perfect": perfect}, scenes)
    assert [result["perfect"][name] for name in pointing.MEASURES] == [1, 1, 1]
    shares = [
        (right - left) * (bottom - top) / SIDE**2
        for left, top, right, bottom in boxes.values()
    ]
    assert result["uniform"]["mass"] == pytest.approx(np.mean(shares))
    assert result["uniform"]["hit"] == pytest.approx(np.mean(shares))
    assert result["centred blob"]["hit"] < 0.5


def test_a_map_of_all_that_is_no_ground_hits_each_of_two_squares_half_of_the_time():
    picture = Image.new("RGB", (40, 30), "white")
    picture.paste("navy", (2, 3, 12, 13))
    picture.paste("red", (22, 13, 32, 23))
    scene = pointing.Scene(picture, "red", (22, 13, 32, 23), [(2, 3, 12, 13)])
    result = pointing.pointing_game({}, [scene])["not the ground"]
    assert [result[name] for name in pointing.MEASURES] == [0.5, 0.5, 0.5]
