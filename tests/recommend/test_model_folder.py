"""The folder of a model: whole or not at all, and only what changed is written."""

import json
import os
import shutil
import stat

import numpy as np
import pytest

import shops
from killed import left_by_a_killed_process
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend import folder as model_folder
from recbole_whisperlite.recommend.folder import CONFIG, ModelFolder, digest
from recbole_whisperlite.recommend.recommender import Recommender


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name != ".lock"
    }


def listed(folder):
    config = json.loads((folder / CONFIG).read_text())
    return {entry["stored"] for entry in config["files"].values()}


def change(shop):
    shop.add_items([{"item_id": "n0", "title": "red hat"}])
    shop.record("u9", "i1", "red dress")
    shop.remove_items(["i5"])


@pytest.mark.parametrize("kind", [*shops.KINDS, "pictures"])
def test_a_model_that_is_saved_and_loaded_answers_the_same(kind, tmp_path):
    pictures = kind == "pictures"
    options = {"pictures": shops.picture_vectors()} if pictures else {}
    shop = shops.shop("WhisperLitePlus" if pictures else kind, **options)
    target = shop.save(tmp_path / "model")
    loaded = Recommender.load(target)
    shops.assert_same_answers(shops.answers(shop), shops.answers(loaded), 1e-5)
    assert loaded.columns == shop.columns and loaded.about == shop.about
    assert loaded.model == shop.model
    if kind != "RequestPop":
        assert [e.item for e in loaded.similar("i2")] == [
            e.item for e in shop.similar("i2")
        ]


def test_the_folder_holds_what_its_config_lists_and_a_card(tmp_path):
    shops.shop().save(tmp_path / "model")
    assert {*contents(tmp_path / "model")} == {
        *listed(tmp_path / "model"),
        CONFIG,
        "README.md",
    }
    kinds = {name.rpartition(".")[2] for name in listed(tmp_path / "model")}
    assert kinds == {"npy", "npz", "parquet", "safetensors"}
    beside = {path.name for path in tmp_path.iterdir()} - {"cache"}  # the encoder's
    assert beside == {"model"}


def test_a_model_without_users_has_no_file_of_users(tmp_path):
    shops.shop(with_users=False).save(tmp_path / "model")
    text = b"".join(contents(tmp_path / "model").values())
    assert b"u4" not in text and "users.parquet" not in listed(tmp_path / "model")
    assert Recommender.load(tmp_path / "model")._state.users is None


def test_saving_without_a_change_writes_nothing_but_the_config(tmp_path):
    shops.shop().save(tmp_path / "model")
    before = contents(tmp_path / "model")
    inodes = {p.name: p.stat().st_ino for p in (tmp_path / "model").iterdir()}
    loaded = Recommender.load(tmp_path / "model")
    loaded.save()
    assert contents(tmp_path / "model") == before
    for path in (tmp_path / "model").iterdir():
        if path.name not in (CONFIG, ".lock"):
            assert path.stat().st_ino == inodes[path.name], path.name


def test_a_recorded_choice_rewrites_only_counts_and_users(tmp_path):
    shops.shop().save(tmp_path / "model")
    before = listed(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    loaded.record("u1", "i7", "something new")
    loaded.save()
    after = listed(tmp_path / "model")
    assert before - after == {"memory.npz", "users.parquet", "requests.parquet"}
    assert after - before == {"memory.2.npz", "users.2.parquet", "requests.2.parquet"}
    assert {*contents(tmp_path / "model")} == {*after, CONFIG, "README.md"}


def test_a_model_is_saved_again_and_again(tmp_path):
    shop = shops.shop()
    shop.save(tmp_path / "model")
    for number in range(4):
        shop.record("u1", "i7", f"something new {number}")
        shop.add_items([{"item_id": f"n{number}", "title": "red hat"}])
        shop.save()
        loaded = Recommender.load(tmp_path / "model")
        shops.assert_same_answers(shops.answers(shop), shops.answers(loaded))
    assert len(contents(tmp_path / "model")) == len(listed(tmp_path / "model")) + 2


def test_two_processes_that_save_never_mix_their_files(tmp_path):
    shops.shop().save(tmp_path / "model")
    one, other = (Recommender.load(tmp_path / "model") for _ in range(2))
    for number in range(2):  # so that names of files come back
        other.add_items([{"item_id": f"n{number}", "title": "red hat"}])
        other.save()
    one.record("u1", "i7")
    expected = shops.answers(one)
    one.save()
    loaded = Recommender.load(tmp_path / "model")
    assert len(loaded) == 12
    shops.assert_same_answers(expected, shops.answers(loaded))


def test_a_model_that_is_saved_while_it_is_loaded_is_read_again(tmp_path, monkeypatch):
    shop = shops.shop()
    shop.save(tmp_path / "model")
    check, checked = ModelFolder._check, []

    def saving(self, name, entry):
        checked.append(name)
        if len(checked) == 3:
            change(shop)
            shop.save()  # removes what this folder is about to read
        check(self, name, entry)

    monkeypatch.setattr(ModelFolder, "_check", saving)
    loaded = Recommender.load(tmp_path / "model")
    shops.assert_same_answers(shops.answers(shop), shops.answers(loaded))
    assert checked[0] == checked[checked.index(checked[0], 1)]  # began again


def test_saving_mends_a_file_that_was_lost(tmp_path):
    shop = shops.shop()
    folder = shop.save(tmp_path / "model")
    for name in ("memory.npz", "items.parquet", "item_embeddings.npy"):
        (folder / name).unlink()
    (folder / "users.parquet").write_bytes(b"broken")
    shop.save()
    loaded = Recommender.load(folder)
    shops.assert_same_answers(shops.answers(shop), shops.answers(loaded))
    assert {*contents(folder)} == {*listed(folder), CONFIG, "README.md"}


def test_a_config_made_by_somebody_else_may_be_replaced(tmp_path):
    folder = shops.shop().save(tmp_path / "model")
    config = json.loads((folder / CONFIG).read_text())
    config["files"] = {"a.(((": {"stored": "x"}, "../b": {"stored": "../b"}, "c": 5}
    (folder / CONFIG).write_text(json.dumps(config))
    (tmp_path / "b").write_text("mine")
    shops.shop("BM25").save(folder)
    assert Recommender.load(folder).model == "BM25"
    assert (tmp_path / "b").read_text() == "mine"


def test_a_model_is_saved_elsewhere_with_its_card_and_pictures(tmp_path):
    shop = shops.shop()
    state = shop._state._replace(catalogue=shops.catalogue(str(tmp_path / "photos")))
    shop._state = state
    shop.save(tmp_path / "one")
    Recommender.load(tmp_path / "one").save(tmp_path / "deep" / "down" / "two")
    shutil.rmtree(tmp_path / "one")
    loaded = Recommender.load(tmp_path / "deep" / "down" / "two")
    assert (
        tmp_path / "deep" / "down" / "two" / "README.md"
    ).read_text() == "# A card\n"
    assert loaded.recommend("x", among=["i0"])[0].picture == str(
        tmp_path / "photos" / "i0.png"
    )
    (tmp_path / "latest").symlink_to(tmp_path / "deep" / "down" / "two")
    linked = Recommender.load(tmp_path / "latest")
    assert linked.picture("i0") == str(tmp_path / "photos" / "i0.png")
    moved = Recommender.load(tmp_path / "deep" / "down" / "two", pictures="here")
    picture = moved.recommend("x", among=["i0"])[0].picture
    assert picture == os.path.abspath("here/i0.png")


def test_after_saving_the_recommender_still_answers(tmp_path):
    shop = shops.shop()
    shop.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    loaded.add_items([{"item_id": "n0", "title": "red hat"}])
    before = shops.answers(loaded)
    loaded.save()
    shops.assert_same_answers(before, shops.answers(loaded), 0)
    shutil.rmtree(tmp_path / "model")
    shops.assert_same_answers(before, shops.answers(loaded), 0)


def test_a_model_may_be_replaced_by_another_kind(tmp_path):
    shops.shop().save(tmp_path / "model")
    shops.shop("BM25").save(tmp_path / "model")
    assert Recommender.load(tmp_path / "model").model == "BM25"
    assert {*contents(tmp_path / "model")} == {
        *listed(tmp_path / "model"),
        CONFIG,
        "README.md",
    }


# where a model may be written


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    (tmp_path / "photos" / CONFIG).write_text('{"format": "something else"}')
    before = contents(tmp_path / "photos")
    with pytest.raises(UserError, match="photos exists and is not an exported model"):
        shops.shop().save(tmp_path / "photos")
    assert contents(tmp_path / "photos") == before
    (tmp_path / "file").write_text("text")
    with pytest.raises(UserError, match="is a file"):
        shops.shop().save(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        shops.shop().save(tmp_path / "file" / "model")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "model").mkdir()
    shops.shop().save(tmp_path / "model")
    assert len(Recommender.load(tmp_path / "model")) == 12


def test_without_a_folder_one_must_be_named():
    with pytest.raises(UserError, match="in no folder of its own yet"):
        shops.shop().save()
    with pytest.raises(UserError, match="in no folder of its own yet"):
        shops.shop().push("me/shop")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are POSIX's")
def test_a_read_only_folder_is_refused_and_left_alone(tmp_path, monkeypatch):
    shop = shops.shop()
    shop.save(tmp_path / "model")
    before = contents(tmp_path / "model")
    change(shop)
    (tmp_path / "model").chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.geteuid() == 0:  # whom permissions do not stop
        opened = open

        def refusing(path, mode="r", *args, **options):
            if "w" in mode and str(path).startswith(str(tmp_path)):
                raise PermissionError(13, "Permission denied", str(path))
            return opened(path, mode, *args, **options)

        monkeypatch.setattr("builtins.open", refusing)
    try:
        with pytest.raises(UserError, match="cannot be written to .*Permission denied"):
            shop.save()
    finally:
        monkeypatch.undo()
        (tmp_path / "model").chmod(0o755)
    assert contents(tmp_path / "model") == before
    shop.save()
    assert len(Recommender.load(tmp_path / "model")) == 12


# crashes


class Crash(BaseException):
    """As if the process had been stopped, as far as an exception can be like that."""


STEPS = [
    (os, "replace"),
    (os, "fsync"),
    (os, "rename"),
    (model_folder.np, "save"),
    (model_folder.np, "savez"),
    (model_folder.pq, "write_table"),
    (model_folder, "digest"),
    (model_folder.Path, "unlink"),
    (model_folder.Path, "write_text"),
]


@pytest.mark.parametrize(
    "error, new", [(Crash, False), (OSError, False), (Crash, True)]
)
def test_a_crash_at_any_step_leaves_the_old_or_the_new_model(
    tmp_path, monkeypatch, error, new
):
    old, changed = shops.shop("WhisperLite"), shops.shop("WhisperLite")
    change(changed)
    home = tmp_path / "home"
    old.save(home / "old")
    expected_old, expected_new = (shops.answers(s, ["u1"]) for s in (old, changed))
    model, n_crashes, n_old = home / "model", 0, 0
    for module, name in STEPS:
        original = getattr(module, name)
        for number in range(40):
            shutil.rmtree(model, ignore_errors=True)
            if not new:
                shutil.copytree(home / "old", model)
            calls = []

            def crashing(*args, **options):
                calls.append(args)
                if len(calls) == number + 1:
                    raise error(28, "No space left on device")
                return original(*args, **options)

            crashed = False
            with monkeypatch.context() as patched:
                patched.setattr(module, name, crashing)
                try:
                    changed.save(model)
                except (Crash, UserError):
                    crashed = True
            if len(calls) <= number:
                break
            n_crashes += 1
            if not model.exists():
                assert new and crashed
                continue
            loaded = Recommender.load(model)
            is_old = "i5" in loaded._state.catalogue.row_of
            assert crashed or not is_old
            n_old += is_old
            expected = expected_old if is_old else expected_new
            shops.assert_same_answers(expected, shops.answers(loaded, ["u1"]))
    assert n_crashes > 10
    assert new or n_old > 5
    changed.save(model)  # leaves nothing of the attempts before
    assert {*contents(model)} == {*listed(model), CONFIG, "README.md"}
    assert {path.name for path in home.iterdir()} == {"old", "model"}


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    shop = shops.shop()
    folder = shop.save(tmp_path / "model")
    left = left_by_a_killed_process(folder / "items.parquet").name
    for name in ("items.7.parquet", left, "memory.2.npz"):
        (folder / name).write_bytes(b"half")
    for name in ("notes.txt", "items.old.parquet"):  # not ours
        (folder / name).write_bytes(b"mine")
    shop.record("u1", "i7", "red hat")
    shop.save()
    others = {"notes.txt", "items.old.parquet", CONFIG, "README.md"}
    assert {*contents(folder)} == {*listed(folder), *others}


# memory


def test_arrays_of_items_stay_on_disk_until_they_are_needed(tmp_path):
    shops.shop().save(tmp_path / "model")
    scorer = Recommender.load(tmp_path / "model")._state.scorer
    assert isinstance(scorer.embeddings, np.memmap)
    assert isinstance(scorer.vectors.vectors, np.memmap)
    assert not scorer.embeddings.flags.writeable


def test_large_files_are_known_by_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(model_folder, "LARGE", 1000)
    monkeypatch.setattr(model_folder, "_SAMPLE", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(100_000))
    before = digest(path)
    for at in (0, 99_999):  # the first and the last bytes are always among them
        data = bytearray(100_000)
        data[at] = 1
        path.write_bytes(data)
        assert digest(path) != before


def test_a_folder_says_what_it_holds(tmp_path):
    shops.shop().save(tmp_path / "model")
    folder = ModelFolder(tmp_path / "model")
    assert "items.parquet" in folder and "other.npy" not in folder
    assert folder["item_embeddings.npy"].shape == (12, 6)
    assert folder.card() == "# A card\n"
