"""Pictures are encoded once, and found again by their content."""

import shutil

import numpy as np
import pytest
from PIL import Image

from recbole_whisperlite.encoder import digest
from recbole_whisperlite.encoder.clip import Clip, load_clip
from recbole_whisperlite.encoder.picture_vectors import encode_pictures
from recbole_whisperlite.encoder.pictures import PictureError
from recbole_whisperlite.errors import UserError


@pytest.fixture
def config(settings, clip_folder):
    return {
        **settings,
        "encoder": "open_clip",
        "clip_model": str(clip_folder / "tiny_clip.json"),
        "clip_pretrained": str(clip_folder / "weights.pt"),
        "missing_image": "skip",
        "image_workers": 0,
    }


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"{n}.png") for n in range(3)]
    for path in paths:
        values = rng.integers(0, 255, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(values).save(path)
    return paths


@pytest.fixture
def encoded(monkeypatch):
    """The pictures that went through the model, call by call."""
    calls = []
    try_pictures = Clip.try_pictures

    def spy(self, pictures, *args, **kwargs):
        calls.append(list(pictures))
        return try_pictures(self, pictures, *args, **kwargs)

    monkeypatch.setattr(Clip, "try_pictures", spy)
    return calls


def test_vectors_follow_the_paths_and_equal_pictures_are_encoded_once(
    config, paths, encoded, tmp_path
):
    copy = shutil.copy(paths[0], tmp_path / "copy.png")
    vectors = encode_pictures(config, [*paths, str(copy)])
    assert vectors.dtype == np.float32 and [len(call) for call in encoded] == [3]
    clip = load_clip("open_clip", config["clip_model"], config["clip_pretrained"])
    expected, _ = clip.encode_pictures([*paths, copy])
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)


def test_the_same_pictures_under_other_names_are_found_in_the_cache(
    config, paths, encoded, tmp_path
):
    first = encode_pictures(config, paths)
    moved = shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name} moved")
    others = [str(moved / f"renamed {n}.jpg") for n in range(3)]
    for path, other in zip(paths, others):
        shutil.copy(path, other)
    np.testing.assert_array_equal(encode_pictures(config, others), first)
    assert len(encoded) == 1


def test_other_pictures_under_the_same_names_are_encoded_anew(config, paths, encoded):
    first = encode_pictures(config, paths)
    shutil.copy(paths[2], paths[0])
    second = encode_pictures(config, paths)
    assert len(encoded) == 2
    np.testing.assert_allclose(second[0], first[2], atol=1e-5)
    assert np.abs(second[0] - first[0]).max() > 1e-3


def test_another_model_is_asked_anew(config, paths, encoded, make_clip):
    first = encode_pictures(config, paths)
    config["clip_pretrained"] = str(make_clip(seed=1) / "weights.pt")
    assert np.abs(encode_pictures(config, paths) - first).max() > 1e-2
    assert len(encoded) == 2


def test_a_second_run_reads_no_picture(config, paths, monkeypatch):
    first = encode_pictures(config, paths)

    def fail(*args, **kwargs):
        raise AssertionError("read again")

    monkeypatch.setattr(digest, "open_picture", fail)
    np.testing.assert_array_equal(encode_pictures(config, paths), first)


def test_what_cannot_be_read_is_zero_in_the_cache_too(config, paths, encoded):
    with open(paths[1], "wb") as file:
        file.write(b"not a picture")
    missing = paths[0] + ".none"
    for _ in range(2):
        vectors = encode_pictures(config, [*paths, missing])
        assert vectors.any(axis=1).tolist() == [True, False, True, False]
    assert encoded == [paths]
    assert not encode_pictures(config, [missing]).any()


def test_an_error_comes_before_anything_is_encoded_or_kept(
    config, paths, encoded, tmp_path
):
    config["missing_image"] = "error"
    with pytest.raises(PictureError, match="none.png: there is no such file"):
        encode_pictures(config, [*paths, str(tmp_path / "none.png")])
    assert not encoded
    with open(paths[1], "wb") as file:
        file.write(b"not a picture")
    with pytest.raises(PictureError, match="1.png: this is not a picture"):
        encode_pictures(config, paths)
    assert not list((tmp_path / "vectors").glob("*.npy"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"encoder": "tfidf"}, "tfidf sees no pictures.* whisperlite-mini needs no"),
        ({"encoder": "precomputed"}, "precomputed sees no pictures"),
        ({"missing_image": "ignore"}, "Accepted are skip, error"),
        ({"image_workers": -1}, "image_workers: a whole number of at least 0"),
        ({"image_workers": True}, "image_workers: a whole number of at least 0"),
    ],
)
def test_a_wrong_setting_is_named(config, paths, change, message):
    with pytest.raises(UserError, match=message):
        encode_pictures({**config, **change}, paths)


def test_workers_are_as_many_as_cores_by_default(config, paths):
    config["image_workers"] = None
    config["encode_batch_size"] = 1  # more pictures than one batch, so they are used
    several = encode_pictures(config, paths)
    config.update(image_workers=0, cache_dir=config["cache_dir"] + "2")
    np.testing.assert_allclose(encode_pictures(config, paths), several, atol=1e-5)
