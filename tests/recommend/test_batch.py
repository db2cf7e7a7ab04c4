import csv
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from filelock import FileLock

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend import batch, result_parts, shards
from recbole_whisperlite.recommend.result_parts import ResultParts, falling

REQUESTS = [
    {"request": "a red dress", "user": "u1"},
    {"request": "shoes, no heels"},
    {"request": "blue", "user": "u2", "history": ["i4", "i5"]},
    {"request": "hat", "user": "u3", "exclude": ["i2", "i8"]},
    {"request": "hat", "user": "u3", "exclude_seen": False},
    {"request": 'a "white" coat,\nwarm', "history": []},
    {"request": "scarf", "history": ["i6"], "exclude": ["i11"], "exclude_seen": False},
]


@pytest.fixture
def requests(tmp_path):
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, REQUESTS)))
    return path


def expected(shop, k):
    """(number, rank, item, score), asked one by one."""
    for number, row in enumerate(REQUESTS, start=1):
        answer = shop.recommend(
            row["request"],
            row.get("user"),
            k=k,
            history=row.get("history"),
            exclude=row.get("exclude", ()),
            exclude_seen=row.get("exclude_seen", True),
        )
        for rank, each in enumerate(answer, start=1):
            yield str(number), rank, each.item, each.score


def rows_of(path):
    if path.suffix == ".csv":
        rows = list(csv.DictReader(open(path, encoding="utf-8", newline="")))
        return [{name: value or None for name, value in row.items()} for row in rows]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return pd.read_parquet(path).to_dict("records")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_gets_the_answers_that_each_request_gets_alone(
    ask, shop, requests, tmp_path, kind
):
    output = tmp_path / f"found.{kind}"
    status, out, err = ask("--requests", requests, "--output", output, "--k", 4)
    assert (status, out) == (0, "") and "7 requests, 28 rows" in err
    rows, wanted = rows_of(output), list(expected(shop, 4))
    assert len(rows) == len(wanted) == 28
    for row, (number, rank, item, score) in zip(rows, wanted):
        assert list(row) == list(result_parts.COLUMNS)
        assert (row["id"], int(row["rank"]), row["item"]) == (number, rank, item)
        assert float(row["score"]) == pytest.approx(score, rel=1e-5, abs=1e-5)
        asked = REQUESTS[int(number) - 1]
        assert (row["request"], row["user"]) == (asked["request"], asked.get("user"))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_run_file_has_six_columns_and_the_same_order(ask, shop, requests, tmp_path):
    output = tmp_path / "found.run"
    status, *_ = ask(
        *("--requests", requests, "--output", output, "--format", "trec", "--k", 4)
    )
    assert status == 0
    lines = [line.split(" ") for line in output.read_text().splitlines()]
    for line, (number, rank, item, score) in zip(lines, expected(shop, 4)):
        assert line[:4] == [number, "Q0", item, str(rank)]
        assert float(line[4]) == pytest.approx(score, rel=1e-5, abs=1e-5)
        assert line[5] == "WhisperLitePlus"
    assert len(lines) == 28


def test_options_hold_for_every_request(ask, requests, tmp_path):
    output = tmp_path / "found.csv"
    among = ("--among", "i4,i5,i6,i2", "--exclude", "i5", "--where", "price=..50")
    ask("--requests", requests, "--output", output, "--seen", *among)
    assert {row["item"] for row in rows_of(output)} == {"i4", "i2"}
    # the fourth leaves out i2 besides
    assert [row["item"] for row in rows_of(output) if row["id"] == "4"] == ["i4"]


def test_parts_sum_to_the_score_in_every_chunk(shop, requests, tmp_path):
    output = tmp_path / "found.parquet"
    # only the second request rules something out
    batch.Job(requests, output, k=3, with_parts=True, chunk=1).run(shop, "")
    frame = pd.read_parquet(output)
    parts = frame.filter(like="_score")
    assert "refusals_score" in parts and "history_score" in parts
    assert parts.notna().all(axis=None)
    assert (frame[frame["id"] != "2"]["refusals_score"] == 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), frame["score"], atol=1e-4)


class Killed(Exception):
    pass


@pytest.fixture
def stopped(shop, requests, tmp_path, monkeypatch):
    """A run, in chunks of two, that stopped while it wrote the third."""
    add = ResultParts.add

    def add_two(self, table, counts):
        if self.n_done == 2:
            raise Killed
        add(self, table, counts)

    with monkeypatch.context() as patch:
        patch.setattr(ResultParts, "add", add_two)
        with pytest.raises(Killed):
            batch.Job(requests, tmp_path / "found.csv", chunk=2).run(shop, "model")
    assert not (tmp_path / "found.csv").exists()
    return tmp_path / "found.csv"


@pytest.fixture
def asked(shop, monkeypatch):
    """The requests that the model is asked from now on."""
    recommend, texts = shop.recommend, []

    def noting(request=None, *args, **kwargs):
        texts.extend(request if isinstance(request, list) else ())
        return recommend(request, *args, **kwargs)

    monkeypatch.setattr(shop, "recommend", noting)
    return texts


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(
    stopped, shop, requests, asked, tmp_path, capsys
):
    done = batch.Job(requests, stopped, chunk=2).run(shop, "model")
    assert "Going on after 4 requests of 7" in capsys.readouterr().err
    assert asked == [row["request"] for row in REQUESTS[4:]]
    batch.Job(requests, tmp_path / "whole.csv", chunk=2).run(shop, "model")
    assert stopped.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert done.startswith("7 requests, 70 rows")


def test_what_a_kill_or_a_power_failure_leaves_does_no_harm(
    stopped, shop, requests, asked, tmp_path
):
    parts = tmp_path / ".found.csv.parts"
    (parts / ".00000002.parquet.77.part").write_bytes(b"PAR1 half")
    last = parts / "00000001.parquet"
    last.write_bytes(last.read_bytes()[:-20])
    batch.Job(requests, stopped, chunk=2).run(shop, "model")
    assert asked == [row["request"] for row in REQUESTS[2:]]
    assert len(rows_of(stopped)) == 70 and not parts.exists()


@pytest.mark.parametrize("change", ["requests", "model", "options"])
def test_another_question_starts_anew_and_says_why(
    stopped, shop, requests, asked, change, capsys
):
    if change == "requests":
        requests.write_text(requests.read_text() + "\n")
    model = "other" if change == "model" else "model"
    k = 9 if change == "options" else 10
    batch.Job(requests, stopped, chunk=2, k=k).run(shop, model)
    said = capsys.readouterr().err
    assert f"had another value for: {change}. Starting anew" in said
    assert len(asked) == len(REQUESTS)


def test_a_part_that_cannot_be_read_back_is_no_reason_to_fail(stopped, shop, requests):
    manifest = stopped.with_name(".found.csv.parts") / "manifest.json"
    manifest.write_text("{")
    assert "70 rows" in batch.Job(requests, stopped, chunk=2).run(shop, "model")


def test_two_processes_do_not_write_the_same_output(shop, requests, tmp_path):
    with FileLock(tmp_path / ".found.csv.parts.lock"):
        with pytest.raises(UserError, match="another process is writing this"):
            batch.Job(requests, tmp_path / "found.csv").run(shop, "")


@pytest.mark.parametrize("field", ["history", "exclude"])
def test_an_unknown_item_is_named_with_its_line(ask, tmp_path, field):
    path, output = tmp_path / "requests.csv", tmp_path / "found.csv"
    path.write_text(f"request,{field}\nhat,i1 i2\ncoat,i1 i99\nhat,\n")
    status, _, err = ask("--requests", path, "--output", output)
    assert status == 2 and not output.exists()
    assert f"requests.csv, line 3: {field}: there is no item 'i99'" in err


@pytest.mark.parametrize(
    "given, message",
    [
        (["found.txt"], "the name must end in .csv, .parquet or .jsonl"),
        (["."], "this is a folder"),
        (["requests.jsonl"], "the same command reads this file"),
        (["requests.jsonl/found.csv"], "is a file, not a folder"),
        (["run", "--format=trec", "--parts"], "no room for parts"),
        (["found.csv", "--exclude", "i77"], "no item 'i77'"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    ask, asked, requests, given, message
):
    given = given if given != ["."] else [".", "--format=csv"]
    status, _, err = ask("--requests", requests, "--output", *given)
    assert status == 2 and message in err and asked == []


def test_what_was_not_answered_as_asked_is_counted(ask, tmp_path):
    path = tmp_path / "requests.csv"
    path.write_text("request,user,usr\nhat,u1,\nhat,nobody,\n,u1,\n")
    output = tmp_path / "found.csv"
    _, _, err = ask("--requests", path, "--output", output, "--where", "title=red hat")
    assert "columns not read: usr Did you mean 'user'?" in err
    assert "2 answered with a note" in err
    path.write_text("request\nhat\n")
    _, _, err = ask("--requests", path, "--output", output, "--where", "title=none")
    assert "1 requests, 0 rows; 1 without an item" in err
    assert output.read_text() == "id,request,user,rank,item,score\n"


def test_ctrl_c_says_that_the_same_command_goes_on(
    ask, requests, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ResultParts, "add", stop)
    status, _, err = ask("--requests", requests, "--output", tmp_path / "found.csv")
    assert status == 130 and "goes on where this one stopped" in err


def test_scores_of_a_run_file_fall_where_they_were_equal():
    ranks = np.array([1, 2, 3, 4, 1, 2])
    scores = np.array([2.0, 2.0, 2.0, 2.0, 2.0, -1.0], dtype=np.float32)
    fallen = falling(ranks, scores)
    below = np.nextafter(np.float32(2), np.float32(0))
    assert fallen[0] == 2 and fallen[1] == below and fallen[4] == 2 and fallen[5] == -1
    assert (np.diff(fallen[:4]) < 0).all() and fallen.dtype == np.float32
    np.testing.assert_allclose(fallen, scores, rtol=1e-6)


def test_an_item_with_spaces_fits_no_run_file(tmp_path):
    table = pa.table(
        [["1"], ["x"], [None], [1], ["red hat"], [0.5]],
        schema=pa.schema(result_parts.COLUMNS.items()),
    )
    with ResultParts(tmp_path / "run", {}) as parts:
        parts.add(table, {})
        with pytest.raises(UserError, match="'red hat' has spaces"):
            parts.finish("trec", "x")
    assert not (tmp_path / "run").exists()


def test_a_model_is_known_by_what_it_is(shop_model, tmp_path, monkeypatch):
    source, digest = shards.model_on_disk(str(shop_model))
    assert source == str(shop_model)
    copy = tmp_path / "copy"
    shutil.copytree(shop_model, copy)
    assert shards.model_on_disk(str(copy)) == (str(copy), digest)
    # downloaded once, and loaded from there
    monkeypatch.setattr(shards.hub, "download", lambda name: copy)
    assert shards.model_on_disk("hf-hub:shop/model") == (str(copy), digest)
    (copy / "config.json").write_text("{}")
    assert shards.model_on_disk(str(copy))[1] != digest
