import numpy as np
import pytest

from recbole_whisperlite.encoder import encode
from recbole_whisperlite.errors import UserError

IDS = np.array(["i1", "i2", "i3", "i4", "i5"])
VECTORS = np.arange(10, dtype=np.float64).reshape(5, 2)


@pytest.fixture
def read(settings, tmp_path):
    """Return a function (ids wanted, **arrays of the file) -> vectors."""

    def run(wanted, dtype="float32", **arrays):
        file = tmp_path / "items.npz"
        np.savez(file, **{"ids": IDS, "vectors": VECTORS, **arrays})
        config = {
            **settings,
            "encoder": "precomputed",
            "item_vectors_file": str(file),
            "vector_dtype": dtype,
        }
        texts = ["the same text"] * len(wanted)
        return encode(config, texts, ids=wanted, side="item", fit_texts=[])

    return run


def test_rows_are_found_by_id_and_stay_as_they_are(read):
    result = read(["i5", "i1", "i3"])
    assert result.tolist() == [[8, 9], [0, 1], [4, 5]]
    assert result.dtype == np.float32


def test_the_type_on_disk_does_not_matter(read):
    assert read(["i2"], "float16", vectors=VECTORS.astype("f4")).dtype == np.float16


def test_ids_may_be_numbers(read):
    assert read(["30", "10"], ids=np.array([10, 20, 30, 40, 50])).tolist() == [
        [4, 5],
        [0, 1],
    ]


def broken(row, value):
    vectors = VECTORS.copy()
    vectors[row] = value
    return vectors


@pytest.mark.parametrize(
    "wanted, arrays, message",
    [
        (
            ["a", "i1", "b", "c", "d"],
            {},
            r"items.npz has no vector for 'a', 'b', 'c' and 1 more of the 5 items in use",
        ),
        (
            ["i1"],
            {"ids": np.array(["i1", "i2", "i1", "i4", "i5"])},
            "one vector for 'i1'",
        ),
        (["i1", "i2"], {"vectors": broken(1, np.nan)}, "not finite.* for 'i2'"),
        (["i1"], {"ids": IDS[:4]}, r"shape \[5, 2\], but 'ids' has shape \[4\]"),
        (["i1"], {"vectors": VECTORS[0]}, r"shape \[2\]"),
        (["i1"], {"vectors": VECTORS.astype(int)}, "'vectors' is int64"),
        (["i1"], {"ids": IDS.astype(object)}, "allow_pickle=False.*numpy.savez"),
        (["i1"], {"ids": np.arange(5.0)}, "'ids' are float64, not str"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(read, wanted, arrays, message):
    with pytest.raises(UserError, match=message):
        read(wanted, **arrays)


def test_a_broken_vector_that_is_not_in_use_is_no_error(read):
    assert read(["i1"], vectors=broken(1, np.nan)).tolist() == [[0, 1]]


def test_numbers_too_large_for_float16_are_refused(read):
    vectors = broken(2, 1e6)
    assert read(["i3"], vectors=vectors).tolist() == [[1e6, 1e6]]
    with pytest.raises(
        UserError, match="too large for vector_dtype: float16, for 'i3'"
    ):
        read(["i3"], "float16", vectors=vectors)


def test_a_file_without_the_arrays_is_refused(settings, tmp_path):
    np.savez(tmp_path / "v.npz", names=IDS, vectors=VECTORS)
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "text.npz").write_text("i1 0 1")
    config = {**settings, "encoder": "precomputed"}
    for name, reason in {
        "v.npz": "ids is not a file in the archive",
        "v.npy": "",
        "text.npz": "",
        "none.npz": "there is no such file",
    }.items():
        config["request_vectors_file"] = str(tmp_path / name)
        with pytest.raises(
            UserError, match=f"request_vectors_file: .*{name}.*{reason}"
        ):
            encode(config, ["a"], ids=["r1"], side="request", fit_texts=[])


def test_a_side_without_a_file_is_told_which_setting_it_needs(settings):
    config = {**settings, "encoder": "precomputed"}
    with pytest.raises(UserError, match="set request_vectors_file to a .npz file"):
        encode(config, ["a"], ids=["r1"], side="request", fit_texts=[])
