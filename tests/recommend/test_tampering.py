"""Folders that are truncated, altered or foreign: one clear error, and nothing is run."""

import json
import os
import pickle
import shutil
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shops
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.folder import CONFIG, digest
from recbole_whisperlite.recommend.recommender import Recommender

FILES = {
    "WhisperLitePlus": [
        "encoder-0.npz",
        "history.npz",
        "item_embeddings.npy",
        "item_keys.npy",
        "item_pictures.npy",
        "item_queries.npy",
        "item_vectors.npy",
        "item_words.npz",
        "item_words.parquet",
        "items.parquet",
        "known.npz",
        "memory.npz",
        "model.safetensors",
        "nearest.npz",
        "neighbors.npz",
        "refused_words.npz",
        "refused_words.parquet",
        "requests.parquet",
        "similarity.npz",
        "transitions.npz",
        "users.parquet",
    ],
    "BM25": ["words.npz", "words.parquet"],
    "LateFusion": ["known.npz", "BM25-words.npz", "ItemKNN-neighbors.npz"],
}
EVERY_FILE = [(kind, file) for kind, files in FILES.items() for file in files]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for kind in FILES:
        plus = kind == "WhisperLitePlus"
        options = {"pictures": shops.picture_vectors()} if plus else {}
        shops.shop(kind, **options).save(folder / kind)
    return folder


@pytest.fixture
def copied(models, tmp_path):
    """Return a function: a kind of model -> a copy of it."""

    def copy(kind):
        return shutil.copytree(models / kind, tmp_path / "model")

    return copy


def refused(folder, message=""):
    """Loading ends in one error that names the folder."""
    with pytest.raises(UserError, match=message or "model") as error:
        Recommender.load(folder)
    assert str(folder) in str(error.value)
    assert type(error.value) is UserError
    return str(error.value)


def config_of(folder):
    return json.loads((folder / CONFIG).read_text())


def sign(folder, config=None):
    """Make sizes and digests those of the files as they are."""
    config = config or config_of(folder)
    for entry in config["files"].values() if config["files"] else ():
        path = folder / entry["stored"]
        if path.is_file():
            entry.update(bytes=path.stat().st_size, digest=digest(path))
    (folder / CONFIG).write_text(json.dumps(config))


def test_the_files_of_these_tests_are_all_there_are(models):
    for kind, files in FILES.items():
        assert {*files} <= {*config_of(models / kind)["files"]}
    assert {*FILES["WhisperLitePlus"]} == {
        *config_of(models / "WhisperLitePlus")["files"]
    }


# without knowing of the digests


@pytest.mark.parametrize("kind, file", EVERY_FILE)
def test_a_file_that_was_damaged_is_named(copied, kind, file):
    folder = copied(kind)
    path, content = folder / file, (folder / file).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert file in refused(
        folder, f"damaged or was altered: .* bytes, not {len(content)}"
    )
    path.write_bytes(content + b"\0")
    refused(folder, "bytes, not")
    for at in (0, len(content) // 2, len(content) - 1):
        flipped = bytearray(content)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        assert file in refused(folder, "not what was exported")
    path.unlink()
    assert file in refused(folder, "is missing")
    path.mkdir()
    refused(folder, "is missing")


@pytest.mark.parametrize("content", ["", "{", "[]", "5", "null", "\0", "[" * 100_000])
def test_a_broken_config_is_refused(copied, content):
    folder = copied("BM25")
    (folder / CONFIG).write_text(content)
    refused(folder)


def test_a_config_that_is_no_text_is_refused(copied):
    folder = copied("BM25")
    (folder / CONFIG).write_bytes(b"\xff\xfe\x80")
    refused(folder, "cannot be read")


def test_what_is_no_model_is_refused(tmp_path):
    refused(tmp_path / "nothing", "no folder")
    (tmp_path / "photos").mkdir()
    refused(tmp_path / "photos", "has no config.json")
    (tmp_path / "photos" / CONFIG).write_text('{"model_type": "bert"}')
    refused(tmp_path / "photos", "not an exported model of recbole-whisperlite")


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("version", 3, "version 3 .* reads version 2. Install a later"),
        ("version", 1, "version 1 .* reads version 2 only: export the model again"),
        ("version", 10**30, "Install a later"),
        ("version", "1", "has the version '1'"),
        ("version", 0, "has the version 0"),
        ("version", True, "has the version True"),
        ("version", None, "has the version None"),
        ("model", "SASRec", "is a SASRec, which this version cannot load"),
        ("model", ["BM25"], "damaged"),
        ("model", None, "cannot load"),
        ("model", "WhisperLitePlus", "damaged"),
        ("files", [], "lists no files"),
        ("files", {}, "tfidf are missing"),
        ("scorer", {}, "n_trained is missing"),
        ("scorer", [], "damaged"),
        ("catalogue", {}, "is missing"),
        ("encoder", None, "damaged"),
        ("about", "me", "where it comes from"),
    ],
)
def test_a_config_of_something_else_is_refused(copied, key, value, message):
    folder = copied("BM25")
    sign(folder, {**config_of(folder), key: value})
    refused(folder, message)


@pytest.mark.parametrize("key", ["format", "version", "model", "files", "scorer"])
@pytest.mark.parametrize("kind", FILES)
def test_a_config_without_a_key_is_refused(copied, kind, key):
    folder, config = copied(kind), None
    config = config_of(folder)
    del config[key]
    (folder / CONFIG).write_text(json.dumps(config))
    refused(folder)


STORED = [
    "../secret.npy",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b",
    "x" * 5000,
    "a\0b",
    "\ud800",
    CONFIG,
    None,
    5,
    ["words.npz"],
]


@pytest.mark.parametrize("stored", STORED, ids=lambda value: repr(value)[:20])
def test_a_file_outside_of_the_folder_is_not_read(copied, tmp_path, stored):
    folder = copied("BM25")
    shutil.copy(folder / "words.npz", tmp_path / "secret.npy")
    config = config_of(folder)
    config["files"]["words.npz"]["stored"] = stored
    (folder / CONFIG).write_text(json.dumps(config))
    refused(folder, "names no file|is missing|damaged")


@pytest.mark.parametrize(
    "entry", [None, 5, "words.npz", [], {}, {"stored": "words.npz"}]
)
def test_an_entry_that_says_too_little_is_refused(copied, entry):
    folder = copied("BM25")
    config = config_of(folder)
    config["files"]["words.npz"] = entry
    (folder / CONFIG).write_text(json.dumps(config))
    refused(folder, "names no file|bytes, not None")


def test_files_may_be_links_as_in_the_cache_of_the_hub(copied, tmp_path):
    folder = copied("BM25")
    for number, path in enumerate([*folder.iterdir()]):
        path.rename(tmp_path / f"blob{number}")
        path.symlink_to(tmp_path / f"blob{number}")
    assert len(Recommender.load(folder).recommend("red dress")) == 10
    (folder / "words.npz").unlink()
    (folder / "words.npz").symlink_to(tmp_path / "nowhere")
    refused(folder, "words.npz is missing")
    (folder / "words.npz").unlink()
    (folder / "words.npz").symlink_to("words.npz")
    refused(folder)


# with digests that agree


@pytest.mark.parametrize("kind, file", EVERY_FILE)
def test_a_file_of_another_kind_is_refused(copied, kind, file):
    folder = copied(kind)
    others = {path.suffix: path.read_bytes() for path in folder.iterdir()}
    for suffix in {*others} - {(folder / file).suffix, ".md"}:
        (folder / file).write_bytes(others[suffix])
        sign(folder)
        refused(folder, "damaged")
    for content in (b"", b"\0" * 200, b"PK\x05\x06" + bytes(18)):
        (folder / file).write_bytes(content)
        sign(folder)
        refused(folder, "damaged")


def test_a_file_of_another_model_is_refused(copied, models, tmp_path):
    folder = copied("WhisperLitePlus")
    shop = shops.shop("WhisperLitePlus", pictures=shops.picture_vectors())
    shop.remove_items(["i0"])
    shop.save(tmp_path / "other")
    fitting = {"encoder-0.npz", "requests.parquet", "model.safetensors", "history.npz"}
    fitting |= {"similarity.npz", "users.parquet", "item_words.parquet"}
    fitting |= {"refused_words.npz", "refused_words.parquet"}
    for file in {*FILES["WhisperLitePlus"]} - fitting:
        before = (folder / file).read_bytes()
        shutil.copy(tmp_path / "other" / file, folder / file)
        sign(folder)
        refused(folder)
        (folder / file).write_bytes(before)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def pickled_arrays():
    return np.array([Evil(), Evil()], dtype=object)


@pytest.mark.parametrize("kind, file", EVERY_FILE)
def test_nothing_in_a_folder_is_unpickled(copied, kind, file):
    folder = copied(kind)
    with open(folder / file, "wb") as out:
        if file.endswith(".npz"):
            names = np.load(models_file(folder, file, kind), allow_pickle=False)
            np.savez(out, **{name: pickled_arrays() for name in names})
        elif file.endswith(".npy"):
            np.save(out, pickled_arrays(), allow_pickle=True)
        else:
            pickle.dump(Evil(), out)
    sign(folder)
    refused(folder)
    assert not os.path.exists("executed")


def models_file(folder, file, kind):
    """The names of the arrays of the file, which has been emptied by now."""
    known = {
        "encoder-0.npz": ("words", "idf"),
        "history.npz": ("mean", "projection"),
        "memory.npz": ("begin", "item", "value", "popularity"),
        "nearest.npz": ("begin", "item", "value", "least"),
        "similarity.npz": ("to_key", "to_query", "position"),
        "known.npz": ("known",),
        "words.npz": ("begin", "item", "value", "idf"),
    }
    names = known.get(file, ("begin", "item", "value"))
    path = folder.parent / "names.npz"
    np.savez(path, **{name: np.zeros(1) for name in names})
    return path


def set_array(folder, file, name, change):
    path = folder / file
    if file.endswith(".npy"):
        array = np.load(path)
        np.save(path, change(array))
    elif file.endswith(".npz"):
        arrays = dict(np.load(path))
        arrays[name] = change(arrays[name])
        np.savez(path, **arrays)
    elif file.endswith(".safetensors"):
        from safetensors.numpy import load_file, save_file

        arrays = load_file(path)
        arrays[name] = np.ascontiguousarray(change(arrays[name]))
        save_file(arrays, path)
    sign(folder)


def at(index, value):
    def change(array):
        array = array.copy()
        array[index] = value
        return array

    return change


NAN, INF = float("nan"), float("inf")
PLUS = [
    ("item_embeddings.npy", None, at((3, 2), NAN)),
    ("item_embeddings.npy", None, at((3, 2), INF)),
    ("item_embeddings.npy", None, lambda a: a[:-1]),
    ("item_embeddings.npy", None, lambda a: a[:, 0]),
    ("item_embeddings.npy", None, lambda a: a.astype(complex)),
    ("item_embeddings.npy", None, lambda a: a.astype(str)),
    ("item_embeddings.npy", None, lambda a: a.astype("M8[s]")),
    ("item_vectors.npy", None, lambda a: np.vstack([a, a])),
    ("item_vectors.npy", None, lambda a: a[:, :-1]),
    ("item_pictures.npy", None, at((0, 0), NAN)),
    ("history.npz", "mean", lambda a: a[:-1]),
    ("history.npz", "projection", at((0, 0), NAN)),
    ("memory.npz", "popularity", at(0, -1)),
    ("memory.npz", "popularity", at(0, NAN)),
    ("memory.npz", "popularity", lambda a: a[:5]),
    ("known.npz", "known", lambda a: a.astype(float)),
    ("known.npz", "known", lambda a: a[:5]),
    ("nearest.npz", "least", lambda a: a[:5]),
    ("nearest.npz", "least", at(0, NAN)),
    ("nearest.npz", "value", at(0, -0.5)),
    ("transitions.npz", "value", at(0, -3)),
    ("refused_words.npz", "value", at(0, NAN)),
    ("refused_words.npz", "item", at(0, 3)),
    ("item_words.npz", "item", at(0, 3)),
    ("item_words.npz", "value", at(0, -1)),
    ("item_keys.npy", None, lambda a: a[:, :-1]),
    ("item_queries.npy", None, lambda a: a[:-1]),
    ("item_queries.npy", None, at((0, 0), INF)),
    ("similarity.npz", "position", lambda a: a[:0]),
    ("similarity.npz", "to_key", lambda a: a.T),
    ("similarity.npz", "to_query", lambda a: a[:, :-1]),
    ("memory.npz", "begin", at(0, -1)),
    ("memory.npz", "begin", at(1, -1)),
    ("memory.npz", "begin", at(-1, -1)),
    ("memory.npz", "begin", at(-1, 2**62)),
    ("memory.npz", "begin", at(1, 10**6)),
    ("memory.npz", "begin", lambda a: a[::-1].copy()),
    ("memory.npz", "begin", lambda a: a.astype(float)),
    ("memory.npz", "item", at(0, 12)),
    ("memory.npz", "item", at(0, -1)),
    ("memory.npz", "item", lambda a: a.astype(float)),
    ("memory.npz", "value", at(0, NAN)),
    ("memory.npz", "value", at(0, -3)),
    ("memory.npz", "value", lambda a: a.astype(str)),
    ("neighbors.npz", "begin", lambda a: a[:-1]),
    ("neighbors.npz", "value", at(0, -3)),
    ("neighbors.npz", "item", at(0, 10**6)),
    ("encoder-0.npz", "words", lambda a: a[:-1]),
    ("encoder-0.npz", "words", lambda a: np.repeat(a[:1], len(a))),
    ("encoder-0.npz", "words", lambda a: np.arange(len(a))),
    ("encoder-0.npz", "idf", lambda a: a.astype(str)),
    ("encoder-0.npz", "idf", at(0, NAN)),
    ("model.safetensors", "request_tower.0.weight", at((0, 0), NAN)),
    ("model.safetensors", "request_tower.0.weight", lambda a: a[:, 0]),
    ("model.safetensors", "request_tower.1.weight", lambda a: a[:, :-1]),
    ("model.safetensors", "item_tower.0.bias", lambda a: a[:-1]),
    ("model.safetensors", "item_tower.1.bias", lambda a: a.astype("i4")),
]


@pytest.mark.parametrize("file, name, change", PLUS)
def test_arrays_that_make_no_sense_are_refused(copied, file, name, change):
    folder = copied("WhisperLitePlus")
    set_array(folder, file, name, change)
    refused(folder)


ASKED = [
    ("model.safetensors", "request_tower.0.weight", lambda a: a[:, :-1]),
    ("model.safetensors", "request_tower.1.weight", lambda a: a[:-1]),
    ("item_embeddings.npy", None, lambda a: a[:, :-1]),
]


@pytest.mark.parametrize("file, name, change", ASKED)
def test_sizes_that_only_the_encoder_can_tell_are_refused_when_asked(
    copied, file, name, change
):
    folder = copied("WhisperLitePlus")
    set_array(folder, file, name, change)
    with pytest.raises(UserError, match="damaged"):
        Recommender.load(folder).recommend("red dress")


def test_duplicates_in_counts_are_added_up(copied):
    folder = copied("WhisperLitePlus")
    arrays = dict(np.load(folder / "memory.npz"))
    before = Recommender.load(folder)._state.scorer.memory.counts.times("red dress", 2)
    first = arrays["begin"][0]
    arrays["begin"][1:] += 2
    arrays["item"] = np.insert(arrays["item"], first, [2, 2])
    arrays["value"] = np.insert(arrays["value"], first, [3, 4]).astype("f4")
    np.savez(folder / "memory.npz", **arrays)
    sign(folder)
    shop = Recommender.load(folder)
    assert shop.explain("red dress", "i2").chosen_before == before + 7
    for each in shop.recommend("red dress", k=12):
        assert sum(each.parts.values()) == pytest.approx(each.score, abs=1e-4)


def test_a_missing_array_is_named(copied):
    folder = copied("WhisperLitePlus")
    arrays = dict(np.load(folder / "memory.npz"))
    del arrays["popularity"]
    np.savez(folder / "memory.npz", **arrays)
    sign(folder)
    assert "popularity is missing" in refused(folder)


def test_an_archive_that_would_fill_the_memory_is_refused(copied):
    folder = copied("BM25")
    with zipfile.ZipFile(folder / "words.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    huge = members["idf.npy"] + bytes(10_000_000)
    with zipfile.ZipFile(folder / "words.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, "idf.npy": huge}.items():
            archive.writestr(name, content)
    sign(folder)
    refused(folder, "would take")


def test_an_array_of_an_absurd_size_is_refused(copied):
    folder = copied("WhisperLitePlus")
    content = (folder / "item_embeddings.npy").read_bytes()
    for shape in (
        b"(12, 99999999999999)",
        b"(-12, 6)",
        b"(99999999999, 6)",
        b"(12, 6, 0)",
    ):
        old, new = b"(12, 6), }", shape + b", }"
        header = content.replace(old + b" " * (len(new) - len(old)), new)
        assert header != content and len(header) == len(content)
        (folder / "item_embeddings.npy").write_bytes(header)
        sign(folder)
        refused(folder)


TABLES = [
    ("items.parquet", lambda t: t.drop(["title"])),
    ("items.parquet", lambda t: t.append_column("more", t["title"])),
    ("items.parquet", lambda t: t.slice(1)),
    ("items.parquet", lambda t: pa.concat_tables([t, t.slice(0, 1)])),
    ("items.parquet", lambda t: with_column(t, "item_id", [None, *shops.IDS[1:]])),
    ("items.parquet", lambda t: with_column(t, "item_id", list(range(12)))),
    ("items.parquet", lambda t: with_column(t, "price", ["cheap"] * 12)),
    ("items.parquet", lambda t: with_column(t, "title", [b"x"] * 12)),
    ("items.parquet", lambda t: with_column(t, "item text:", [None] * 12)),
    ("users.parquet", lambda t: t.drop(["items"])),
    ("users.parquet", lambda t: with_column(t, "user", ["u1"] * 5)),
    ("users.parquet", lambda t: with_column(t, "user", [None, "a", "b", "c", "d"])),
    ("users.parquet", lambda t: with_column(t, "user", [1, 2, 3, 4, 5])),
    ("users.parquet", lambda t: with_column(t, "items", [[12], [], [], [], []])),
    ("users.parquet", lambda t: with_column(t, "items", [[-1], [], [], [], []])),
    ("users.parquet", lambda t: with_column(t, "items", [[None], [], [], [], []])),
    ("users.parquet", lambda t: with_column(t, "items", [None, [], [], [], [1]])),
    ("users.parquet", lambda t: with_column(t, "items", [[0.5], [], [], [], []])),
    ("users.parquet", lambda t: with_column(t, "items", ["a"] * 5)),
    ("requests.parquet", lambda t: t.drop(["request"])),
    ("requests.parquet", lambda t: t.slice(1)),
    ("requests.parquet", lambda t: with_column(t, "request", [1, 2, 3, 4])),
    ("requests.parquet", lambda t: with_column(t, "request", [None] * 4)),
]


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize("file, change", TABLES)
def test_tables_that_make_no_sense_are_refused(copied, file, change):
    folder = copied("WhisperLitePlus")
    pq.write_table(change(pq.read_table(folder / file)), folder / file)
    sign(folder)
    refused(folder)


SETTINGS = [
    ("WhisperLitePlus", "scale", NAN),
    ("WhisperLitePlus", "scale", INF),
    ("WhisperLitePlus", "scale", "7"),
    ("WhisperLitePlus", "scale", True),
    ("WhisperLitePlus", "scale", None),
    ("WhisperLitePlus", "scale", 10**400),
    ("WhisperLitePlus", "use_text", 1),
    ("WhisperLitePlus", "use_image", "yes"),
    ("WhisperLitePlus", "normalize", None),
    ("WhisperLitePlus", "splits_requests", "no"),
    ("WhisperLitePlus", "negated_names", "no show"),
    ("WhisperLitePlus", "negated_names", [""]),
    ("WhisperLitePlus", "negated_names", [7]),
    ("WhisperLitePlus", "weights", []),
    ("WhisperLitePlus", "weights", {}),
    ("WhisperLitePlus", "weights", {"towers": "1"}),
    ("WhisperLitePlus", "weights", {"towers": 1.0, "tower": 1.0}),
    ("WhisperLitePlus", "weights", {"towers": 1.0, "popularity": 1.0}),
    ("WhisperLitePlus", "history_length", 0),
    ("WhisperLitePlus", "history_length", 0.5),
    ("WhisperLitePlus", "history_length", -3),
    ("WhisperLitePlus", "n_nearest", 0),
    ("WhisperLitePlus", "new_log_factor", "1"),
    ("WhisperLitePlus", "prior_count", -20),
    ("WhisperLitePlus", "unseen", 0),
    ("WhisperLitePlus", "attention_scale", {}),
    ("BM25", "average_length", 0),
    ("BM25", "k1", None),
    ("BM25", "b", "x"),
    ("LateFusion", "weights", {}),
    ("LateFusion", "weights", {"RequestPop": 1, "ItemKNN": 1, "BM25": 1}),
    ("LateFusion", "weights", dict.fromkeys(("RequestPop", "ItemKNN", "BM25", "Pop"))),
    ("LateFusion", "parts", {}),
    ("LateFusion", "parts", []),
    ("LateFusion", "parts", {"a": {"model": "LateFusion", "settings": {"parts": {}}}}),
    ("LateFusion", "parts", {"../x": {"model": "BM25", "settings": {}}}),
]


@pytest.mark.parametrize("kind, name, value", SETTINGS, ids=str)
def test_settings_that_make_no_sense_are_refused(copied, kind, name, value):
    folder = copied(kind)
    config = config_of(folder)
    assert name in config["scorer"]
    config["scorer"][name] = value
    (folder / CONFIG).write_text(json.dumps(config))
    refused(folder)


CATALOGUE = [
    ("id_field", "nothing"),
    ("id_field", None),
    ("text_fields", []),
    ("text_fields", ["nothing"]),
    ("text_fields", None),
    ("types", {}),
    ("types", {**shops.TYPES, "price": "token"}),
    ("types", {**shops.TYPES, "title": "float"}),
    ("types", {**shops.TYPES, "title": "object"}),
    ("types", {**shops.TYPES, "more": "token"}),
    ("seq_separator", ""),
    ("seq_separator", 5),
    ("pictures", 5),
]


@pytest.mark.parametrize("name, value", CATALOGUE, ids=str)
def test_columns_that_make_no_sense_are_refused(copied, name, value):
    folder = copied("BM25")
    config = config_of(folder)
    config["catalogue"][name] = value
    (folder / CONFIG).write_text(json.dumps(config))
    refused(folder)


# code


@pytest.mark.parametrize("where", ["names", "settings", "list"])
def test_code_that_a_folder_names_is_not_imported(copied, write_module, where):
    write_module("evil", "import os\nos.mkdir('executed')\nclass Encoder: pass")
    folder = copied("BM25")
    config = config_of(folder)
    encoder = config["encoder"]
    if where == "names":
        encoder["names"] = ["evil:Encoder"]
        encoder["settings"]["encoder"] = "evil:Encoder"
    elif where == "settings":  # behind the back of the names
        encoder["settings"]["encoder"] = "evil:Encoder"
    else:
        encoder["settings"]["encoder"] = ["tfidf", "evil:Encoder"]
    (folder / CONFIG).write_text(json.dumps(config))
    refused(folder, "own_code=True")
    assert "evil" not in sys.modules and not os.path.exists("executed")


def test_an_encoder_that_does_not_exist_is_refused(copied):
    folder = copied("BM25")
    for value in ("bert", "", [], 5, None, ["tfidf", "tfidf"], {"a": 1}):
        config = config_of(folder)
        config["encoder"]["settings"]["encoder"] = value
        (folder / CONFIG).write_text(json.dumps(config))
        refused(folder)


# at random

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["", "tfidf", "BM25", "LateFusion", "token", "float", "../x", [], {}]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(node, path=()):
    """All places in a config, as paths of keys."""
    if isinstance(node, dict):
        for key in node:
            yield (*path, key)
            yield from places(node[key], (*path, key))
    elif isinstance(node, list):
        for index in range(len(node)):
            yield (*path, index)
            yield from places(node[index], (*path, index))


@pytest.mark.parametrize("kind", FILES)
def test_a_config_with_values_at_random_is_refused_or_answers(models, kind, tmp_path):
    folder = shutil.copytree(models / kind, tmp_path / "model")
    original = config_of(folder)
    where = [each for each in places(original) if each[0] != "about"]
    outcomes = {"refused": 0, "answered": 0}

    @settings(derandomize=True, deadline=None, max_examples=150)
    @given(st.sampled_from(where), VALUES, st.booleans())
    def mutate(path, value, remove):
        config = json.loads(json.dumps(original))
        node = config
        for key in path[:-1]:
            node = node[key]
        if remove:
            del node[path[-1]]
        else:
            node[path[-1]] = value
        (folder / CONFIG).write_text(json.dumps(config))
        try:
            shop = Recommender.load(folder)
        except UserError as error:
            assert str(folder) in str(error)
            outcomes["refused"] += 1
            return
        shop._pictures = shops.Pictures(shops.picture_vectors())
        try:
            for answer in shop.recommend(["red dress, no stripes", "", "zzz"], "u4"):
                assert all(np.isfinite(each.score) for each in answer)
            for column in shop.columns:
                shop.recommend("red", where={column: 5})
            shop.similar("i2")
            shop.explain("red dress", "i2", "u1")
            shop.add_items([{"item_id": "n", "title": "red dress"}])
            shop.record("u1", "i2", "red dress")
            shop.remove_items(["i3"])
            shop.recommend("red dress", "u1")
        except UserError:
            outcomes["refused"] += 1
            return
        outcomes["answered"] += 1

    mutate()
    assert outcomes["refused"] > 10 and outcomes["answered"] > 3, outcomes
