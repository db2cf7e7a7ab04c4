"""That the measurement of docs/reliability.md still measures."""

import random
import shutil
import sys

import mutated_data
import pytest
from wrong_settings import write_shop


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_shop(tmp_path_factory.mktemp("source"))


@pytest.fixture
def folder(source, tmp_path):
    (tmp_path / "case" / "run").mkdir(parents=True)
    shutil.copytree(source, tmp_path / "case" / "run" / "data")
    return tmp_path / "case" / "run"


def test_what_means_nothing_changes_no_result(folder):
    whole = mutated_data.end_of(folder, "BM25", 60)
    for change in mutated_data.HARMLESS:
        for suffix in mutated_data.FILES:
            change(random.Random(1), folder / "data" / "shop" / f"shop.{suffix}")
    assert mutated_data.end_of(folder, "BM25", 60) == whole
    assert whole[0] == "ended well" and 0 < whole[2]["ndcg@5"] < 1


@pytest.mark.parametrize("change", mutated_data.HARM, ids=lambda each: each.__name__)
def test_harm_ends_in_a_sentence_or_well(folder, change):
    path = folder / "data" / "shop" / "shop.inter"
    before = sorted((each.name, each.read_bytes()) for each in path.parent.iterdir())
    change(random.Random(3), path)
    files = [each for each in path.parent.iterdir() if each.is_file()]
    assert sorted((each.name, each.read_bytes()) for each in files) != before
    end, last, _ = mutated_data.end_of(folder, "BM25", 60)
    assert end in ("ended well", "sentence"), last


def test_a_hang_and_a_traceback_are_found(folder, monkeypatch):
    monkeypatch.setattr(mutated_data, "command", lambda *argv: sys.stdin and 1 / 0)
    assert mutated_data.end_of(folder, "BM25", 60)[0] == "traceback"
    import time

    monkeypatch.setattr(mutated_data, "command", lambda *argv: time.sleep(60))
    assert mutated_data.end_of(folder, "BM25", 0.2)[0] == "hang"
