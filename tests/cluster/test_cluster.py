"""Work on a cluster of two workers: the same results, though a worker is killed.

The cluster is started once for this file, as ``--cluster=local:2`` starts it.
"""

import contextlib
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from on_workers import (
    DiesFirst,
    kill,
    refuse,
    square,
    square_at_the_second_attempt,
    where,
)
from recbole_whisperlite import cli
from recbole_whisperlite.benchmark import runner
from recbole_whisperlite.cluster import connection, options, worker
from recbole_whisperlite.cluster.tasks import Task, WorkerDied
from recbole_whisperlite.encoder import FittedEncoder, shards
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.rank_file import read_ranks
from recommend import shops

pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytest.importorskip("cryptography", reason="the extra cluster is not installed")

LITTLE = 10**6


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with connection.started(2) as client:
            yield client


@pytest.fixture
def two(client, monkeypatch):
    """``local:2`` is the cluster of this file, whatever the command."""
    monkeypatch.setattr(connection, "started", lambda n: contextlib.nullcontext(client))


@pytest.fixture
def workers(two, tmp_path):
    with connection.connected("local:2", tmp_path) as workers:
        yield workers


def tasks(numbers, *more, memory=LITTLE):
    return [Task(f"number {n}", (n, *more), memory) for n in numbers]


def test_results_come_in_the_order_of_the_tasks_whichever_ends_first(workers):
    slow_first = [Task(f"{n}", (n, 0.4 * (n == 0)), LITTLE) for n in range(6)]
    found = workers.map(square, slow_first, "square", 6, "number", ahead=2)
    assert list(found) == [0, 1, 4, 9, 16, 25]
    assert list(workers.map(square, [], "square", 0, "number")) == []


def test_a_task_whose_worker_is_killed_is_run_again(workers, tmp_path, capsys):
    (tmp_path / "seen").mkdir()
    numbers = tasks(range(8), str(tmp_path / "seen"))
    found = workers.map(square_at_the_second_attempt, numbers, "square", 8, "number")
    assert list(found) == [n**2 for n in range(8)]
    said = capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["2", "5"]
    again = [line for line in said.splitlines() if "a worker was lost" in line]
    assert [line.split(";")[1].split(" is")[0] for line in again] in (
        [" number 2", " number 5"],
        [" number 5", " number 2"],
    )


def test_tasks_are_where_the_command_is(two, tmp_path, monkeypatch):
    monkeypatch.setenv("RECBOLE_WHISPERLITE_TEST", "1")
    with connection.connected("local:2", tmp_path) as workers:
        ((process, folder, variable),) = workers.map(
            where, [Task("where", (), LITTLE)], "where", 1, "task"
        )
    assert process != os.getpid() and folder == os.getcwd() and variable == "1"
    # nothing is left of the folder that was shared
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".cluster")]


def test_a_refusal_reaches_the_user_as_it_is(workers):
    with pytest.raises(UserError, match="^three is not accepted$"):
        list(workers.map(refuse, tasks(range(9)), "refuse", 9, "number"))


def test_a_task_that_no_worker_has_the_memory_for_is_refused(workers):
    found = workers.map(square, tasks([1], memory=10**15), "square", 1, "number")
    with pytest.raises(
        UserError, match=r"number 1 needs 1,000,000\.0 GB of memory, and"
    ):
        next(found)


def test_a_benchmark_with_a_killed_worker_has_the_results_of_one_process(
    two, tiny, started, monkeypatch, capsys
):
    content = {
        "dataset": "tiny",
        "data_path": str(tiny),
        "topk": [2, 3],
        "valid_metric": "NDCG@3",
        "metric_decimal_place": 12,
        "state": "ERROR",
        "models": ["BM25", "RequestPop"],
    }
    Path("b.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    command = ["benchmark", "--config_files=b.yaml"]
    assert cli.main([*command, "--output=here"]) == 0
    assert started == ["BM25", "RequestPop"]
    with monkeypatch.context() as patch:
        patch.setattr(runner, "_run", DiesFirst(runner._run, Path.cwd()))
        assert cli.main([*command, "--output=there", "--cluster=local:2"]) == 0
    assert len(started) == 2 and Path("died").exists()
    assert capsys.readouterr().err.count("seed 2020 is run again") == 1
    here, there = (
        json.loads(Path(name, "benchmark.json").read_text())
        for name in ("here", "there")
    )
    assert len(here["rows"]) == 2 and here["test_sets"] == there["test_sets"]
    for one, other in zip(here["rows"], there["rows"], strict=True):
        assert one["name"] == other["name"] and one["metrics"] == other["metrics"]
        ranks = [
            read_ranks(f"{folder}/runs/{one['name']}/2020/units.npz")
            for folder in ("here", "there")
        ]
        assert ranks[0].keys() == ranks[1].keys()
        for name in ranks[0]:
            np.testing.assert_array_equal(ranks[0][name], ranks[1][name])
    # what is finished on the cluster is finished for one process, too
    assert cli.main([*command, "--output=there"]) == 0
    assert len(started) == 2


WORDS = "red blue dress shoes with heels for summer wedding warm coat no white".split()


@pytest.fixture
def texts():
    draw = random.Random(0)
    drawn = [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(700)]
    return [*dict.fromkeys(drawn)]


def encoder_of(name, texts):
    settings = {
        "encoder": name,
        "encoder_dim": 8,
        "vector_dtype": "float32",
        "encode_batch_size": 64,
        "long_text": "truncate",
    }
    return FittedEncoder(settings, texts).first


def test_vectors_of_a_cluster_are_those_of_one_process(workers, monkeypatch, texts):
    expected = encoder_of("tfidf", texts).encode(texts)
    assert expected.any(axis=1).all()
    monkeypatch.setattr(shards, "SIZE", 150)
    with shards.encoding_on(workers, LITTLE):
        found = shards.encode(encoder_of("tfidf", texts), texts)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)  # to the last bit


@pytest.mark.parametrize("name", ["tfidf", "whisperlite-mini"])
def test_parts_are_encoded_as_the_whole_is(texts, name):
    encoder = encoder_of(name, texts)
    expected, parts = encoder.encode(texts), encoder.shards(texts, 150)
    # of batches of texts, whose number depends on the encoder
    assert len(parts) >= 3 and min(map(len, parts)) >= 150
    assert sorted(np.concatenate(parts).tolist()) == [*range(len(texts))]
    for part in parts:
        found = encoder.encode([texts[row] for row in part])
        np.testing.assert_array_equal(found, expected[part])


def test_a_file_of_requests_gets_the_answers_of_one_process(
    two, tmp_path, monkeypatch, capsys
):
    from recbole_whisperlite.recommend import batch

    model = shops.shop().save(tmp_path / "model")
    asked = [f"{color} {thing}" for color in ("red", "blue") for thing in WORDS]
    rows = [{"request": text, "user": f"u{n % 4}"} for n, text in enumerate(asked)]
    requests = tmp_path / "requests.jsonl"
    requests.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(batch.Job.__init__, "__kwdefaults__", {**DEFAULTS, "chunk": 4})
    command = ["recommend", f"--model={model}", f"--requests={requests}", "--parts"]
    for name, more in (("here", []), ("there", ["--cluster=local:2"])):
        assert cli.main([*command, f"--output={name}.parquet", *more]) == 0
    assert "26 requests" in capsys.readouterr().err
    assert Path("here.parquet").read_bytes() == Path("there.parquet").read_bytes()
    requests.write_text(
        requests.read_text() + '\n{"request": "hat", "history": ["i99"]}'
    )
    assert cli.main([*command, "--output=there.parquet", "--cluster=local:2"]) == 2
    assert "requests.jsonl, line 27: history: there is no item 'i99'" in (
        capsys.readouterr().err
    )


DEFAULTS = {"k": 10, "with_parts": False}


def test_a_task_that_kills_every_worker_is_given_up(workers):
    deadly = [Task("the deadly task", (), LITTLE)]
    (found,) = workers.map(kill, deadly, "kill", 1, "task")
    assert isinstance(found, WorkerDied)
    assert "the deadly task: 4 workers died one after another" in str(found)
    assert list(workers.map(square, tasks([3]), "square", 1, "number")) == [9]


def answer(site=None, **changes):
    """What a worker says of itself that may have tasks, but for some changes."""
    fine = {
        "versions": worker.versions(),
        "code": worker.code(),
        "threads": 1,
        "memory": 10**9,
        "sees home": True,
        "sees folder": True,
        "other file": None,
    }
    return {**fine, **changes}


@pytest.mark.parametrize(
    "told, problem",
    [
        (
            {"versions": {**worker.versions(), "torch": "1.0"}},
            "has torch 1.0, and here",
        ),
        ({"versions": {}}, r"has Python \(none\), and here"),
        ({"code": "other"}, "runs another copy of this package's code"),
        ({"threads": 4}, "runs 4 tasks at once in one process"),
        ({"sees home": False}, "does not see the folder"),
        ({"sees folder": False}, "has no folder .*, where this command runs"),
        ({"other file": "/data/a.inter"}, "has no file /data/a.inter, or another one"),
        (ModuleNotFoundError("No module named 'x'"), r"cannot use this package.*'x'\)"),
    ],
)
def test_a_worker_that_could_give_other_results_is_refused(tmp_path, told, problem):
    said = told if isinstance(told, Exception) else answer(**told)

    class Client:
        def run(self, *_, **__):
            return {"tcp://one:1": answer(), "tcp://two:2": said}

    def joined(address):
        return contextlib.nullcontext(Client())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "joined", joined)
        with pytest.raises(UserError, match=f"the worker tcp://two:2 {problem}"):
            with connection.connected("tcp://one:8786", tmp_path):
                pass


def test_a_worker_that_leaves_while_it_is_asked_is_no_reason_to_refuse(tmp_path):
    class Client:
        def run(self, *_, **__):
            return {
                "tcp://one:1": OSError("in comm: stream is closed"),
                "two": answer(),
            }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            connection, "joined", lambda address: contextlib.nullcontext(Client())
        )
        with connection.connected("tcp://one:8786", tmp_path) as workers:
            assert workers.most == 10**9


def test_workers_that_do_not_declare_their_memory_are_told_of(tmp_path, capsys):
    class Client:
        def run(self, *_, **__):
            return {"tcp://one:1": answer(), "tcp://two:2": answer(memory=None)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            connection, "joined", lambda address: contextlib.nullcontext(Client())
        )
        with connection.connected("tcp://one:8786", tmp_path) as workers:
            assert workers.most is None
    assert "tcp://two:2 does not declare its memory" in capsys.readouterr().err


def test_the_workers_of_a_scheduler_are_used(tmp_path, capsys):
    import distributed

    alone = {"processes": False, "protocol": "tcp", "dashboard_address": None}
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, **alone
    ) as cluster:
        address = cluster.scheduler_address
        with connection.connected(address, tmp_path) as workers:
            found = workers.map(square, tasks(range(3)), "square", 3, "number")
            assert list(found) == [0, 1, 4]
        assert "does not declare its memory" in capsys.readouterr().err
        with distributed.Client(cluster) as client:
            client.retire_workers()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection, "_TO_COME", 0.2)
            with pytest.raises(UserError, match="this scheduler has no workers"):
                with connection.connected(address, tmp_path):
                    pass


def test_a_scheduler_that_is_not_there_is_refused_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_TO_CONNECT", 1)
    with pytest.raises(UserError, match="no Dask scheduler answers there within 1 sec"):
        with connection.connected("tcp://127.0.0.1:9", tmp_path):
            pass


@pytest.mark.parametrize(
    "text", ["local", "local:0", "local:-1", "localhost:8786", "tcp://a", "http://a:1"]
)
def test_what_is_no_cluster_is_refused(text, capsys):
    with pytest.raises(UserError, match="neither local:N"):
        options.workers_of(text)
    assert cli.main(["benchmark", "--model=Pop", f"--cluster={text}"]) == 2
    assert "neither local:N" in capsys.readouterr().err


def test_workers_that_do_not_end_are_not_waited_for(tmp_path, monkeypatch):
    import asyncio

    import distributed

    close = distributed.LocalCluster._close
    left = []

    async def never(self):
        left.append(self)
        await asyncio.sleep(1000)

    monkeypatch.setattr(distributed.LocalCluster, "_close", never)
    monkeypatch.setattr(connection, "_CLOSING", 0.5)
    with connection.connected("local:1", tmp_path):
        begin = time.monotonic()
    assert left and time.monotonic() - begin < 10
    monkeypatch.setattr(distributed.LocalCluster, "_close", close)
    left[0].close(timeout=10)


def test_sizes_are_read_as_they_are_written():
    sizes = {"4GB": 4 * 10**9, "1.5 GiB": 3 * 2**29, "500 mb": 5 * 10**8, 7: 7}
    assert {size: options.memory_of(size) for size in sizes} == sizes
    for wrong in ("much", "0", "-1GB", "GB", "1 XB"):
        with pytest.raises(UserError, match="is no size of memory"):
            options.memory_of(wrong)
    assert options.workers_of("local:3") == 3
    assert options.workers_of("tcp://scheduler:8786") is None
    assert options.workers_of("tls://[::1]:8786") is None
