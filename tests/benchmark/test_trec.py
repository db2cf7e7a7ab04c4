"""The table's figures, found again by ir_measures in run files and qrels."""

import gzip
import json
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, Success, nDCG
from tiny import write_tiny

from recbole_whisperlite.benchmark import trec

K = (2, 5)
MEASURES = {
    **{f"ndcg@{k}": nDCG @ k for k in K},
    **{f"recall@{k}": R @ k for k in K},
    **{f"mrr@{k}": RR @ k for k in K},
    **{f"hit@{k}": Success @ k for k in K},
    **{f"precision@{k}": P @ k for k in K},
    "map@5": AP @ 5,  # at 2 a query with three positives has another ideal
}
TREC = Path("results/tiny/trec")


@pytest.fixture
def shop(tmp_path):
    """Sixty users with three requests each; the last one led to three products."""
    rng = np.random.default_rng(0)
    items = [f"i{n}" for n in range(30)]
    choices, requests = [], {}
    for user in range(60):
        for time, number in enumerate((1, 1, 3)):
            request = f"r{user}-{time}"
            requests[request] = f"{['red', 'blue'][user % 2]} thing"
            for item in rng.choice(items[:25], number, replace=False):
                choices.append((f"u{user}", str(item), request, time))
    choices = [*dict.fromkeys(choices)]
    return write_tiny(
        tmp_path,
        choices=choices,
        requests=requests,
        items=dict.fromkeys(items, "Thing"),
    )


def measured(run, qrels="qrels.txt"):
    return ir_measures.calc_aggregate(
        MEASURES.values(),
        ir_measures.read_trec_qrels(str(TREC / qrels)),
        ir_measures.read_trec_run(gzip.decompress(run.read_bytes()).decode()),
    )


def test_ir_measures_recomputes_the_table(benchmark, shop):
    # Pop and RequestPop give equal scores to many items, some of them wanted
    rows = {"Pop": None, "RequestPop": None, "a + b": {"model": "Random"}}
    flags = ["--seeds=1,2", f"--data_path={shop}"]
    assert benchmark(rows, *flags, topk=[2, 5], valid_metric="NDCG@5") == 0
    written = json.loads(Path("results/tiny/benchmark.json").read_text())
    assert written["test_sets"][0]["positives"] == 180
    for row in written["rows"]:
        found = {}
        for seed, run in row["runs"].items():
            path = TREC / f"{row['name']}.{seed}.run.gz"
            found[seed] = measured(path)
            for name, measure in MEASURES.items():
                figure = run["test_result"][name]
                assert found[seed][measure] == pytest.approx(figure, abs=1e-6), name
        for name, measure in MEASURES.items():
            mean = np.mean([of_seed[measure] for of_seed in found.values()])
            assert mean == pytest.approx(row["metrics"][name]["mean"], abs=1e-6)
            assert 0 < mean < 1
    assert len([*TREC.glob("*.run.gz")]) == 6
    line = gzip.decompress((TREC / "a + b.2.run.gz").read_bytes()).split(b"\n")[0]
    assert line.split()[1] == b"Q0" and line.split()[3:] == [b"1", b"5", b"a_+_b.2"]


def test_random_splits_have_qrels_of_each_seed(benchmark, shop):
    args = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "none"}
    flags = ["--seeds=1,2", f"--data_path={shop}"]
    settings = {"eval_args": args, "topk": [2, 5], "valid_metric": "NDCG@5"}
    assert benchmark({"Pop": None}, *flags, **settings) == 0
    written = json.loads(Path("results/tiny/benchmark.json").read_text())
    for seed, run in written["rows"][0]["runs"].items():
        found = measured(TREC / f"Pop.{seed}.run.gz", f"qrels.{seed}.txt")
        figure = run["test_result"]["ndcg@5"]
        assert found[nDCG @ 5] == pytest.approx(figure, abs=1e-6)


def made(requests, tokens, top):
    arrays = {
        "0/request": np.array(requests),
        "0/tokens": np.array(["", *tokens]),
        "0/positive_unit": np.array([0, 1]),
        "0/positive_item": np.array([1, 2]),
        "0/top/A/1": np.array(top),
    }
    return {
        "units": arrays,
        "test_sets": [{"seeds": [1]}],
        "rows": [{"name": "A", "runs": {"1": {}}}, {"name": "failed", "runs": {}}],
    }


def test_lines_are_those_of_trec(tmp_path):
    paths = trec.write(tmp_path, made(["q1", "q2"], ["a", "b"], [[2, 1], [1, 0]]))
    assert [path.name for path in paths] == ["qrels.txt", "A.1.run.gz"]
    assert paths[0].read_text() == "q1 0 a 1\nq2 0 b 1\n"
    run = gzip.decompress(paths[1].read_bytes()).decode()
    # q2 has one candidate only
    assert run == "q1 Q0 b 1 2 A.1\nq1 Q0 a 2 1 A.1\nq2 Q0 a 1 2 A.1\n"
    before = paths[1].read_bytes()
    trec.write(tmp_path, made(["q1", "q2"], ["a", "b"], [[2, 1], [1, 0]]))
    assert paths[1].read_bytes() == before


def test_ids_have_no_white_space_and_are_unique(tmp_path):
    paths = trec.write(tmp_path, made(["q", "q"], ["a b", "a%20b"], [[2, 1], [1, 0]]))
    assert paths[0].read_text() == "1 0 a%20b 1\n2 0 a%2520b 1\n"
    assert trec.query_ids(np.array(["q 1", "q2"])) == ["1", "2"]


def test_files_of_an_earlier_table_are_removed(tmp_path):
    content = made(["q1", "q2"], ["a", "b"], [[2, 1], [1, 0]])
    trec.write(tmp_path, content)
    (tmp_path / "trec" / "mine.txt").touch()
    content["rows"][0]["name"] = "B"
    content["units"]["0/top/B/1"] = content["units"].pop("0/top/A/1")
    trec.write(tmp_path, content)
    names = {path.name for path in (tmp_path / "trec").iterdir()}
    assert names == {"qrels.txt", "B.1.run.gz", "mine.txt"}
