import json
import warnings
import zipfile

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from squares import COLOURS as SQUARES
from squares import square

from recbole_whisperlite.clip import contact_sheet
from recbole_whisperlite.clip import ground as task
from recbole_whisperlite.clip.contact_sheet import Strip, Tile
from recbole_whisperlite.clip.ground import METHODS, ground
from recbole_whisperlite.clip.heatmap import COLOURS, overlay
from recbole_whisperlite.encoder.pictures import to_rgb
from recbole_whisperlite.errors import UserError


def two_squares():
    """A red square at the top left, a blue one at the bottom right."""
    return square("blue", 18, 18, picture=square("red", 2, 2))


def inside(found, left, top, size=12):
    return found[top : top + size, left : left + size].sum() / found.sum()


@pytest.mark.parametrize("method", METHODS)
def test_the_map_is_where_the_phrase_is(clip, method):
    red = ground(clip, two_squares(), "red", method)
    blue = ground(clip, two_squares(), "blue", method)
    assert red.shape == (32, 32) and red.dtype == np.float32
    assert red.min() == 0 and red.max() == 1
    y, x = np.unravel_index(red.argmax(), red.shape)
    assert x < 16 and y < 16
    y, x = np.unravel_index(blue.argmax(), blue.shape)
    assert x >= 16 and y >= 16
    assert inside(red, 2, 2) > 3 * inside(red, 18, 18)
    assert inside(blue, 18, 18) > 3 * inside(blue, 2, 2)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_of_a_tall_picture_is_cropped(clip, method):
    """CLIP's own preparation would cut off both squares."""
    picture = Image.new("RGB", (32, 96), (128, 128, 128))
    picture.paste((220, 40, 40), (4, 2, 28, 24))
    picture.paste((40, 70, 220), (4, 72, 28, 94))
    red, blue = (ground(clip, picture, phrase, method) for phrase in ("red", "blue"))
    assert red.shape == (96, 32)
    assert red.argmax() // 32 < 32 and blue.argmax() // 32 >= 64


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_of_one_colour_has_no_place(clip, method):
    found = ground(clip, Image.new("RGB", (40, 30), (128, 128, 128)), "red", method)
    assert found.shape == (30, 40)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("method", METHODS)
def test_no_place_of_a_plain_ground_is_where_a_phrase_is(clip, method):
    found = ground(clip, two_squares(), "green", method)
    seen = np.asarray(two_squares()) != 128
    assert not found[~seen.any(axis=2)].any()
    assert found.max() == 1


def test_bands_are_averaged_over_those_that_cover_a_pixel(clip, monkeypatch):
    """Recomputed one band after another."""
    monkeypatch.setattr(task, "WIDTHS", (1 / 4, 1 / 2))
    phrase = torch.from_numpy(clip.encode_texts(["red"])[0])
    pixels = clip.preprocess(two_squares())

    def similarity(picture):
        with torch.no_grad():
            return float(
                clip.model.encode_image(picture[None], normalize=True) @ phrase
            )

    whole, total, count = similarity(pixels), np.zeros((32, 32)), np.zeros((32, 32))
    for width, starts in ((8, range(0, 25, 4)), (16, range(0, 17, 8))):
        for start in starts:
            for axis in (0, 1):
                mask = np.zeros((32, 32), dtype=np.float32)
                band = [slice(None), slice(None)]
                band[axis] = slice(start, start + width)
                mask[tuple(band)] = 1
                total += mask * (similarity(pixels * torch.from_numpy(mask)) - whole)
                count += mask
    found = task._bands(clip, pixels, phrase, batch_size=5)
    np.testing.assert_allclose(found, total / count, atol=1e-5)


def test_each_patch_alone_is_the_last_blocks_value_of_it(clip):
    """By the weights: of one token, attention gives the value, projected."""
    visual = clip.model.visual
    phrase = torch.from_numpy(clip.encode_texts(["red"])[0])
    pixels = clip.preprocess(two_squares())
    with torch.no_grad():
        x = visual._embeds(pixels[None])
        for block in visual.transformer.resblocks[:-1]:
            x = block(x)
        block = visual.transformer.resblocks[-1]
        weight, bias = block.attn.in_proj_weight[64:], block.attn.in_proj_bias[64:]
        x = block.attn.out_proj(block.ln_1(x[0, 1:]) @ weight.T + bias)
        x = torch.nn.functional.normalize(visual.ln_post(x) @ visual.proj, dim=-1)
        expected = (x @ phrase).reshape(4, 4).numpy()
    (found,) = task._patches(clip, two_squares(), pixels, phrase)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("pool", ["tok", "avg"])
def test_every_pooling_and_size_has_a_patch_map(clip, pool):
    import open_clip

    class Random:
        name, device = "random", torch.device("cpu")
        model = open_clip.model.CLIP(
            embed_dim=8,
            vision_cfg={
                "image_size": 48,
                "patch_size": 12,
                "layers": 2,
                "width": 32,
                "head_width": 16,
                "pool_type": pool,
            },
            text_cfg={"width": 16, "heads": 2, "layers": 1, "vocab_size": 100},
        ).eval()

    phrase = torch.randn(8)
    found = task._alone(Random, torch.randn(3, 48, 48), phrase)
    assert found.shape == (4, 4) and found.max() > found.min()


def test_the_places_of_a_resnet_average_to_its_vector(monkeypatch):
    import open_clip

    visual = {"timm_model_name": "resnet10t", "timm_pool": "avg"}
    visual.update(timm_proj="linear", timm_model_pretrained=False, image_size=64)

    class Random:
        name, device, image_size = "random", torch.device("cpu"), 64
        model = open_clip.model.CLIP(
            embed_dim=8,
            vision_cfg=visual,
            text_cfg={"width": 16, "heads": 2, "layers": 1, "vocab_size": 100},
        ).eval()

    config = {
        "size": 64,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.2, 0.2, 0.2),
        "resize_mode": "squash",
    }
    open_clip.model.set_model_preprocess_cfg(Random.model, config)
    preprocess = image_transform_v2(PreprocessCfg(**config), is_train=False)
    # Lengths are what averaging does not keep: without them the places add up.
    monkeypatch.setattr(torch.nn.functional, "normalize", lambda x, dim: x)
    with torch.no_grad():
        whole = Random.model.visual(preprocess(two_squares())[None])[0]
    phrase = torch.randn(8)
    found = task._positions(Random, two_squares(), phrase, times=1)
    assert found.shape == (2, 2)
    assert found.mean() == pytest.approx(float(whole @ phrase), rel=1e-4, abs=1e-5)
    monkeypatch.undo()
    finer = task._patches(Random, two_squares(), None, phrase)
    assert [found.shape for found in finer] == [(2 * n, 2 * n) for n in task._ENLARGED]


def test_a_model_without_patches_is_told(clip):
    class Convolution:
        name = "RN50"
        model = type("Model", (), {"visual": torch.nn.Conv2d(3, 1, 1)})

    with pytest.raises(UserError, match="'RN50' is neither. Use bands"):
        task._patches(Convolution, None, torch.zeros(3, 8, 8), torch.zeros(4))


def test_the_heat_map_is_brightest_where_the_map_is():
    found = np.zeros((20, 10), dtype=np.float32)
    found[5:10, 2:6] = 1
    picture = overlay(Image.new("RGB", (10, 20), "grey"), found)
    assert picture.size == (200, 400)
    pixels = np.asarray(picture).astype(int)
    assert pixels[150, 80].sum() > pixels[350, 150].sum()
    grey = COLOURS @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) > 0).all()


def test_no_function_is_used_that_pillow_is_about_to_remove(clip, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I", "F"):
            assert to_rgb(two_squares().convert(mode)).mode == "RGB"
        found = ground(clip, two_squares(), "red", "patches")
        overlay(two_squares(), found)
        tile = Tile("", "a", 0.5, "text")
        strips = [Strip("red", two_squares(), [tile])]
        contact_sheet.write(tmp_path / "sheet.png", strips)
        contact_sheet.write(tmp_path / "sheet.html", strips)


# ---------------------------------------------------------------- command line


def test_the_command_writes_maps(run, flags, tmp_path):
    two_squares().save(tmp_path / "two.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "two.png").read_bytes()[:60])
    folder = tmp_path / "maps"
    pictures = ["--data", tmp_path / "two.png", tmp_path / "cut.png"]
    argv = [*pictures, "--phrase", "red", "a Blue/sky", "--method", *METHODS]
    status, out, err = run("ground", *flags, *argv, "--output", folder)
    assert status == 0, err
    assert len(list(folder.iterdir())) == 8
    found = np.load(folder / f"two-red-{METHODS[0]}.npy")
    assert found.shape == (32, 32) and found.max() == 1
    with Image.open(folder / f"two-a-blue-sky-{METHODS[1]}.png") as picture:
        assert picture.size == (384, 384)
    assert len(out.splitlines()) == 4


def test_maps_of_a_picture_in_an_archive_have_the_pictures_name(run, flags, tmp_path):
    two_squares().save(tmp_path / "two.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(tmp_path / "two.png", "two.png")
    picture = f"--picture={tmp_path / 'a.zip'}::two.png"
    folder = tmp_path / "maps"
    argv = [picture, "--phrase=red", "--output", folder]
    status, _, err = run("ground", *flags, *argv)
    assert status == 0, err
    assert {file.name for file in folder.iterdir()} == {
        "two-red-patches.npy",
        "two-red-patches.png",
    }
    status, out, err = run("ground", *flags, "--data", tmp_path / "a.zip", *argv[1:])
    assert status == 0 and len(out.splitlines()) == 1, err


def test_a_seed_below_zero_is_told(run, flags, capsys):
    with pytest.raises(SystemExit):
        run("ground", *flags, "--benchmark=1", "--seed=-1")
    assert "argument --seed: -1 is less than 0" in capsys.readouterr().err


def test_the_command_plays_the_pointing_game(run, flags, tmp_path):
    output = tmp_path / "game.json"
    status, out, err = run("ground", *flags, "--benchmark=3", "--output", output)
    assert status == 0, err
    assert "centred blob" in out and "uniform" in out
    maps = json.loads(output.read_text())["maps"]
    baselines = {"centred blob", "not the ground", "uniform"}
    assert set(maps) == {"drawn"} and set(maps["drawn"]) == {*METHODS, *baselines}


def test_the_command_plays_it_on_photos(run, flags, photos, tmp_path):
    lines = [f"{colour}-{n}.png,{colour}" for colour in SQUARES for n in range(3)]
    (photos / "list.csv").write_text("\n".join(["image,colour", *lines]))
    output = tmp_path / "game.json"
    argv = ["--benchmark=2", "--data", photos / "list.csv", "--phrase={colour}"]
    status, out, err = run("ground", *flags, *argv, "--output", output)
    assert status == 0, err
    found = json.loads(output.read_text())
    assert set(found["maps"]) == {"white", "cards", "coloured"}
    assert found["phrase"] == "{colour}" and "white: 2 pictures" in out


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "There is no input: give --data"),
        (["--picture=a.png"], "There is no phrase"),
        (["--picture=a.png", "--phrase", "red", " "], "phrase 2 is empty"),
        (["--picture=a.png", "--phrase=red"], "give the folder"),
        (["--picture=a.png", "--phrase=red", "--output=maps"], "no such file"),
        (["--picture=a.png", "--phrase=red", "--output=file.txt"], "cannot be written"),
        (["--benchmark=2", "--output=."], "this is a folder"),
        (["--benchmark=2", "--phrase=red"], "give neither or both"),
        (["--benchmark=2", "--data=a.png"], "give neither or both"),
        (["--benchmark=2", "--ids=file.txt"], "are for photos: give --data"),
        (["--benchmark=2", "--data=a.png", "--phrase={x}"], "no column 'x'"),
        (["--data=a.png", "--phrase=x", "--label_column=x"], "is for --benchmark"),
    ],
)
def test_mistakes_are_told_in_one_line(run, flags, tmp_path, argv, message):
    (tmp_path / "file.txt").write_text("in the way")
    status, _, err = run("ground", *flags, *argv)
    assert status == 2 and message in err, err
    assert "Traceback" not in err


def test_an_unknown_method_is_told(clip):
    with pytest.raises(UserError, match="'magic' is not accepted"):
        ground(clip, two_squares(), "red", "magic")
