"""Real photos at known places; the figures of the docs are of many more of them."""

from pathlib import Path

import numpy as np
import pytest

from recbole_whisperlite.clip import sources
from recbole_whisperlite.clip.ground import ground
from recbole_whisperlite.clip.photo_scenes import GROUNDS, photo_scenes
from recbole_whisperlite.clip.pointing import MEASURES, pointing_game
from recbole_whisperlite.encoder.clip import load_clip
from recbole_whisperlite.errors import UserError
from squares import COLOURS, GREY

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "fashion-images"
REAL /= "fashion-images.zip"


@pytest.fixture
def catalogue(photos):
    """Three squares of each colour, all on grey, as products with columns."""
    rows = [f"{colour}-{n}.png,{colour},{n}" for colour in COLOURS for n in range(3)]
    (photos / "list.csv").write_text("\n".join(["image,colour,number", *rows]))
    return sources.read_catalogue(photos / "list.csv")


def of_colour(picture, phrase):
    """Which pixels have (nearly) the colour that the phrase names."""
    pixels = np.asarray(picture).astype(int)
    return np.abs(pixels - COLOURS[phrase.split()[0]]).max(axis=2) < 60


@pytest.mark.parametrize("ground", GROUNDS)
def test_each_garment_is_in_its_box_and_asked_for_once(catalogue, ground):
    scenes = photo_scenes(catalogue, "{colour} box", 10, seed=3, ground=ground)
    canvases = {}
    for scene in scenes:
        canvases.setdefault(id(scene.picture), []).append(scene)
    assert len(canvases) == 10
    for of_one in canvases.values():
        assert 2 <= len(of_one) <= 4
        assert len({scene.phrase for scene in of_one}) == len(of_one)
        boxes = {scene.box for scene in of_one}
        for scene in of_one:
            assert {scene.box, *scene.others} == boxes and len(boxes) == len(of_one)
            seen = of_colour(scene.picture, scene.phrase)
            left, top, right, bottom = scene.box
            share = seen[top:bottom, left:right].mean()
            assert share > 0.75  # squares, their edges blurred
        corner = [scene.picture.getpixel((0, 0)) for scene in of_one][0]
        assert ground != "white" or corner in (GREY, (255, 255, 255))


def test_only_cards_bring_the_ground_of_their_photos(catalogue):
    def grey(ground):
        pictures = [
            s.picture for s in photo_scenes(catalogue, "{colour}", 4, 1, ground)
        ]
        return np.mean(
            [(np.asarray(p) == GREY[0]).all(axis=2).mean() for p in pictures]
        )

    assert grey("cards") > 0.1 and grey("coloured") < 0.01


def test_the_same_seed_pastes_the_same_scenes(catalogue):
    def pasted(seed):
        scenes = photo_scenes(catalogue, "{colour}", 3, seed=seed, ground="coloured")
        return [(s.picture.tobytes(), *s[1:]) for s in scenes]

    assert pasted(1) == pasted(1) != pasted(2)


def test_garments_of_one_canvas_are_of_different_kinds(catalogue):
    kinds = [
        "warm" if c in ("red", "yellow") else "cold" for c in catalogue.column("colour")
    ]
    for scene in photo_scenes(catalogue, "{colour}", 10, kinds=kinds):
        assert len(scene.others) == 1


def test_pictures_of_no_use_are_passed_over_and_counted(catalogue, photos, caplog):
    from PIL import Image

    (photos / "red-0.png").write_bytes(b"broken")
    Image.new("RGB", (9, 9), "red").save(photos / "red-1.png")
    photo_scenes(catalogue, "{colour}", 30)
    assert "2 pictures are passed over" in caplog.text
    assert (
        "red-0.png" in caplog.text and "red-1.png: it is of one colour" in caplog.text
    )


def test_what_cannot_be_asked_is_told(catalogue, photos):
    with pytest.raises(UserError, match="no column 'color'.*Did you mean 'colour'"):
        photo_scenes(catalogue, "{color}", 1)
    with pytest.raises(UserError, match="'black' is not accepted"):
        photo_scenes(catalogue, "{colour}", 1, ground="black")
    with pytest.raises(UserError, match="12 products .* nothing to ask"):
        photo_scenes(catalogue, "{colour}", 1, kinds=["box"] * 12)
    for path in photos.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="0 products .* the file is empty"):
        photo_scenes(catalogue, "{colour}", 1)


@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL} is not here")
def test_garments_of_real_photos_are_found():
    """Most photos were trained on; those held out have the figures of docs/clip.md."""
    catalogue = sources.read_catalogue(REAL)
    catalogue = catalogue.select(range(0, len(catalogue), 20))
    clip = load_clip("whisperlite-mini")
    scenes = photo_scenes(
        catalogue,
        "{baseColour:lower} {articleType:lower}",
        5,
        ground="coloured",
        kinds=catalogue.column("articleType"),
    )
    maps = {"patches": lambda picture, phrase: ground(clip, picture, phrase)}
    found = pointing_game(maps, scenes)
    assert found["patches"]["hit"] >= 0.7
    assert all(found["patches"][m] > found["not the ground"][m] + 0.1 for m in MEASURES)
