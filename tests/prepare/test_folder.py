"""A dataset's folder is replaced as a whole or left as it was."""

import os

import pytest

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.folder import replacing


def write(output, content):
    with replacing(output) as folder:
        for kind in ("inter", "item", "request"):
            (folder / f"d.{kind}").write_text(content)


def read(output):
    return {path.name: path.read_text() for path in output.iterdir()}


def test_files_appear_when_the_block_ends_and_nothing_else_is_left(tmp_path):
    with replacing(tmp_path / "a" / "d") as folder:
        (folder / "d.inter").write_text("new")
        assert not (tmp_path / "a" / "d" / "d.inter").exists()
    assert read(tmp_path / "a" / "d") == {"d.inter": "new"}


def test_an_error_in_the_block_leaves_no_new_folder_and_an_old_one_as_it_was(tmp_path):
    for before in (None, "old"):
        if before:
            write(tmp_path / "d", before)
        with pytest.raises(ZeroDivisionError):
            with replacing(tmp_path / "d") as folder:
                (folder / "d.item").write_text("new")
                1 / 0
        assert (tmp_path / "d").exists() == bool(before)
    assert set(read(tmp_path / "d").values()) == {"old"}


def test_interrupted_among_the_replacements_no_interactions_are_left(
    tmp_path, monkeypatch
):
    write(tmp_path / "d", "old")

    def interrupted(source, target):
        if target.name == "d.request":
            raise KeyboardInterrupt
        replace(source, target)

    replace = os.replace
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "d", "new")
    assert read(tmp_path / "d") == {"d.item": "new", "d.request": "old"}


def test_what_the_operating_system_refuses_is_told_with_the_folder(tmp_path):
    with pytest.raises(UserError, match="d: the dataset was not written.*No space"):
        with replacing(tmp_path / "d"):
            raise OSError(28, "No space left on device")


def test_what_an_earlier_data_set_had_more_goes_and_other_files_stay(tmp_path):
    write(tmp_path / "d", "old")
    for name in ("d.request.json", "d.net", "photo.jpg"):
        (tmp_path / "d" / name).write_text("old")
    with replacing(tmp_path / "d") as folder:  # requests that are composed at run time
        (folder / "d.inter").write_text("new")
        (folder / "d.item").write_text("new")
    assert read(tmp_path / "d") == {
        "d.inter": "new",
        "d.item": "new",
        "d.net": "old",
        "photo.jpg": "old",
    }


def test_a_folder_without_a_name_is_refused():
    with pytest.raises(UserError, match="give a folder with a name"):
        with replacing("/"):
            pass
