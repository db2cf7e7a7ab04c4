"""Pictures of every kind become RGB; broken ones are named."""

import io
import os
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from recbole_whisperlite.encoder import pictures
from recbole_whisperlite.encoder.pictures import PictureError, read_picture, some

ORANGE = (230, 120, 20)


@pytest.fixture
def save(tmp_path):
    """Return a function (image, name, **Pillow's options) -> path."""

    def write(image, name, **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def plain(color=ORANGE, size=(8, 6)):
    return Image.new("RGB", size, color)


def colour_of(path):
    image = read_picture(path)
    assert image.mode == "RGB"
    return np.asarray(image).reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tif", "no_suffix"]
)
def test_a_plain_picture_keeps_its_colour(save, name):
    options = {} if "." in name else {"format": "PNG"}
    path = save(plain(), name, **options)
    np.testing.assert_allclose(colour_of(path), ORANGE, atol=4)
    assert read_picture(str(path)).size == (8, 6)


def test_cmyk_is_turned_into_rgb(save):
    path = save(plain().convert("CMYK"), "a.jpg", quality=100)
    np.testing.assert_allclose(colour_of(path), ORANGE, atol=6)


def test_16_bit_grey_is_scaled_and_not_clipped(save):
    # From black to white; Pillow's own conversion makes nearly all of it white.
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    path = save(Image.fromarray(ramp), "a.png")
    grey = np.asarray(read_picture(path))[:, :, 0]
    np.testing.assert_allclose(grey, np.linspace(0, 255, 64).reshape(8, 8), atol=1)


@pytest.mark.parametrize("peak", [1, 200, 5000])
def test_grey_of_floats_is_scaled_by_its_range(save, peak):
    values = np.array([[0, peak / 2], [peak / 4, peak]], dtype=np.float32)
    grey = np.asarray(read_picture(save(Image.fromarray(values), "a.tif")))[:, :, 0]
    white = 200 if peak == 200 else 255  # up to 255 it is 8 bits already
    np.testing.assert_allclose(grey, values * white / peak, atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(save, mode):
    if mode == "P":
        image = plain().quantize(2)
        path = save(image, "a.png", transparency=image.getpixel((0, 0)))
    else:
        path = save(Image.new("RGBA", (8, 6), (0, 0, 0, 0)).convert(mode), "a.png")
    assert (colour_of(path) == 255).all()


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_frame_is_taken(save, name):
    frames = [plain(), plain((0, 0, 255))]
    path = save(frames[0], name, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(colour_of(path), ORANGE, atol=4)


def test_the_cameras_orientation_is_applied(save):
    image = plain(size=(8, 6))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert read_picture(save(image, "a.jpg", exif=exif)).size == (6, 8)
    assert read_picture(save(image, "b.jpg", exif=b"Exif\0\0broken")).size == (8, 6)


def test_an_open_file_and_an_image_are_read_too(save):
    content = save(plain(), "a.png").read_bytes()
    file = io.BytesIO(content)
    file.seek(5)  # somebody looked at it before
    assert read_picture(file).getpixel((0, 0)) == ORANGE
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    assert read_picture(image).getpixel((0, 0)) == ORANGE


def noise():
    values = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp"])
def test_a_truncated_picture_is_broken(save, name):
    path = save(noise(), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureError, match=f"{name}: the picture is broken"):
        read_picture(path)


def test_an_image_that_pillow_has_not_decoded_yet_may_be_broken_too(save):
    path = save(noise(), "a.jpg")
    half = io.BytesIO(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureError, match="the third: the picture is broken"):
        read_picture(Image.open(half), "the third")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "a.jpg: the file is empty"),
        (b"<html>404 not found</html>", "a.jpg: this is not a picture.*JPEG, PNG"),
        (None, "a.jpg: there is no such file"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(PictureError, match=message):
        read_picture(tmp_path / "a.jpg")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(PictureError, match="cannot be read"):
        read_picture(tmp_path)


@pytest.mark.parametrize("width, height", [(10_000, 9_500), (60_000, 60_000)])
def test_a_small_file_that_unfolds_into_gigabytes_is_refused(width, height):
    # A PNG that so far has said only how large it is: 8 bits of RGB.
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (head, data)
    ]
    content = io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(PictureError, match="a.png: .*too (many|large).*89,478,485"):
        read_picture(content, "a.png")


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero", "/dev/null"):
        with pytest.raises(PictureError, match="not a file, but a pipe or a device"):
            read_picture(path)


def test_what_unfolds_into_too_many_bytes_is_not_unpacked(tmp_path, monkeypatch):
    assert pictures._MOST_BYTES == 2**30
    monkeypatch.setattr(pictures, "_MOST_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(1_100_000))
    with pytest.raises(PictureError, match="1,100,000 bytes are too many"):
        read_picture(tmp_path / "photos.zip::a.jpg")


def test_a_thread_of_a_picture_is_refused(save):
    assert read_picture(save(plain(size=(3, 300)), "a.png")).size == (3, 300)
    with pytest.raises(PictureError, match="3 x 301 pixels; .* 100 times"):
        read_picture(save(plain(size=(3, 301)), "b.png"))


def test_pictures_are_read_from_an_archive(tmp_path, save):
    archive = tmp_path / "photos.zip"
    for color in (ORANGE, (0, 0, 255)):  # the second is another archive of that name
        with zipfile.ZipFile(archive, "w") as file:
            file.write(save(plain(color), "a.png"), "images/1.png")
        assert (colour_of(f"{archive}::images/1.png") == color).all()
    with pytest.raises(PictureError, match="photos.zip has no file 'images/2.png'"):
        read_picture(f"{archive}::images/2.png")
    with pytest.raises(PictureError, match="none.zip::a.png: there is no such file"):
        read_picture(tmp_path / "none.zip::a.png")
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    with pytest.raises(PictureError, match="bad.zip::a.png: it cannot be read"):
        read_picture(f"{tmp_path / 'bad.zip'}::a.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_whatever_is_wrong_in_a_file_it_is_a_picture_error(kind):
    whole = io.BytesIO()
    noise().save(whole, kind)
    whole = whole.getvalue()
    rng = random.Random(0)
    refused = 0
    for _ in range(60):
        content = bytearray(whole[: rng.randrange(1, len(whole) + 1)])
        for _ in range(rng.randrange(4)):
            content[rng.randrange(min(len(content), 200))] = rng.randrange(256)
        try:
            assert read_picture(io.BytesIO(content)).mode == "RGB"
        except PictureError:
            refused += 1
    assert refused > 10


def test_of_many_messages_the_first_few_are_told():
    assert some(["a.", "b."]) == "a. b."
    assert some(list("abcde")) == "a b c And 2 more."
    assert some(["a", "b", "c"], total=9) == "a b c And 6 more."


def test_no_pixel_limit_of_ours_is_above_pillows():
    assert pictures._MOST_PIXELS == Image.MAX_IMAGE_PIXELS
