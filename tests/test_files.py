"""Files and folders that are written whole or not at all."""

import os

import pytest

from killed import left_by_a_killed_process
from recbole_whisperlite.files import part_folder, part_of, remove_leftovers, whole_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_as_it_was_if_writing_it_fails(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as part:
        part.write_text("old")
        assert part.parent == path.parent and not path.exists()
    with pytest.raises(ValueError), whole_file(path) as part:
        part.write_text("half")
        raise ValueError
    assert path.read_text() == "old" and names(path.parent) == ["a.txt"]


def test_leftovers_of_killed_processes_are_removed_and_of_running_ones_are_not(
    tmp_path,
):
    left = left_by_a_killed_process(tmp_path / "a.txt")
    left.write_text("half")
    folder = left_by_a_killed_process(tmp_path / "b")
    folder.mkdir()
    (folder / "file").write_text("half")
    mine = part_of(tmp_path / "c.txt")
    mine.write_text("half")
    elsewhere = tmp_path / f".d.txt.00000000-{os.getpid()}-0.part"
    elsewhere.write_text("of another machine, whose process may well run")
    others = tmp_path / ".notes.part"
    others.write_text("not ours")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([mine.name, elsewhere.name, others.name])


@pytest.mark.parametrize("name", ["a.txt", "model-Nov-26-2026_10-00-00-1.pth"])
def test_the_next_file_of_a_folder_removes_what_a_killed_process_left(tmp_path, name):
    left = left_by_a_killed_process(tmp_path / name)
    left.write_text("half")
    with whole_file(tmp_path / "b.txt") as part:
        part.write_text("whole")
    assert names(tmp_path) == ["b.txt"]


def test_a_folder_is_there_once_it_is_moved_there(tmp_path):
    path = tmp_path / "data"
    with pytest.raises(ValueError), part_folder(path) as part:
        (part / "a.txt").write_text("half")
        raise ValueError
    assert names(tmp_path) == []
    left_by_a_killed_process(path).mkdir()
    with part_folder(path) as part:
        (part / "a.txt").write_text("whole")
        part.rename(path)
    assert names(tmp_path) == ["data"] and names(path) == ["a.txt"]
