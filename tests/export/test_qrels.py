"""The metrics of a test are those that other tools find in files for them."""

import json

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, P, R, Success, nDCG

from recbole_whisperlite.cli import main
from recbole_whisperlite.export import qrels
from trained_shop import train

pytrec_eval = pytest.importorskip(
    "pytrec_eval", reason="pytrec_eval has no wheel for this Python"
)
MEASURES = {
    "ndcg@10": nDCG @ 10,
    "recall@10": R @ 10,
    "mrr@10": RR @ 10,
    "precision@10": P @ 10,
    "hit@10": Success @ 10,
}


@pytest.fixture(scope="module", params=["WhisperLitePlus", "WhisperLite"])
def judged(request, tmp_path_factory):
    """A run, and a folder with the judgements and the run file of its exported model.

    The models are two without equal scores, which RecBole orders by chance.
    """
    folder = tmp_path_factory.mktemp(request.param)
    run = train(request.param, folder)
    write_qrels(run, folder)
    ask = f"recommend --model {run.model} --requests {folder}/requests.jsonl --k 10"
    assert main(f"{ask} --format trec --output {folder}/run.txt".split()) == 0
    return run, folder


def write_qrels(run, folder):
    given = f"export qrels --checkpoint {run.checkpoint} --output {folder}"
    assert main(given.split()) == 0


def test_ir_measures_finds_the_metrics_of_the_test(judged):
    run, folder = judged
    found = ir_measures.calc_aggregate(
        MEASURES.values(),
        ir_measures.read_trec_qrels(str(folder / "qrels.txt")),
        ir_measures.read_trec_run(str(folder / "run.txt")),
    )
    for name, measure in MEASURES.items():
        assert found[measure] == pytest.approx(run.test[name], abs=1e-6), name
    assert 0 < run.test["ndcg@10"] < 1


def test_pytrec_eval_finds_the_metrics_of_the_test(judged):
    run, folder = judged
    with open(folder / "qrels.txt") as wanted, open(folder / "run.txt") as ranked:
        wanted, ranked = pytrec_eval.parse_qrel(wanted), pytrec_eval.parse_run(ranked)
    names = {"ndcg_cut.10", "recall.10", "recip_rank"}
    found = pytrec_eval.RelevanceEvaluator(wanted, names).evaluate(ranked).values()

    def mean(name):
        # trec_eval leaves out what the run leaves out: a query without an item is 0
        return np.sum([each[name] for each in found]) / len(wanted)

    assert mean("ndcg_cut_10") == pytest.approx(run.test["ndcg@10"], abs=1e-6)
    assert mean("recall_10") == pytest.approx(run.test["recall@10"], abs=1e-6)
    # the run file ends at rank 10
    assert mean("recip_rank") == pytest.approx(run.test["mrr@10"], abs=1e-6)


def check_requests(folder, only_training):
    choices = [line.split("\t") for line in open(folder / "data/shop/shop.inter")][1:]
    chosen = {request: (user, item) for user, item, request, _ in choices}
    rows = [json.loads(line) for line in open(folder / "requests.jsonl")]
    lines = [line.split() for line in open(folder / "qrels.txt")]
    assert [line[0] for line in lines] == [row["id"] for row in rows]
    for row, (id_, zero, item, relevance) in zip(rows, lines):
        assert chosen[id_] == (row["user"], item) and (zero, relevance) == ("0", "1")
        position = [request for *_, request, _ in choices].index(id_)
        before = [i for user, i, *_ in choices[:position] if user == row["user"]]
        # the last two of a user are for validation and test
        assert row["history"] == (before[:-1] if only_training else before)
        assert {*row["exclude"]} == {*before} - {item}
        assert row["exclude_seen"] is False


def test_requests_say_what_was_known_of_the_user(judged):
    check_requests(judged[1], only_training=False)


@pytest.mark.parametrize("known, only_training", [("before_request", 0), ("train", 1)])
def test_the_parts_of_latefusion_knew_what_the_setting_says(
    tmp_path, known, only_training
):
    parts = ["RequestPop", "ItemKNN"]
    run = train("LateFusion", tmp_path, fusion_models=parts, known_at_test=known)
    write_qrels(run, tmp_path)
    check_requests(tmp_path, only_training)


def test_ids_are_numbers_where_requests_have_no_ids_of_their_own():
    assert qrels.query_ids(["r1", "r2"]) == ["r1", "r2"]
    assert qrels.query_ids(["r1", "r1"]) == ["1", "2"]
    assert qrels.query_ids(["r1", "r 2"]) == ["1", "2"]


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path, capsys):
    given = f"export qrels --checkpoint {tmp_path}/no.pth --output {tmp_path}/out"
    assert main(given.split()) == 2
    assert "There is no checkpoint" in capsys.readouterr().err
