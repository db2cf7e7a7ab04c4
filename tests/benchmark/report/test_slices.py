"""Metrics by kinds of requests, against figures computed by hand."""

import numpy as np
import pytest

from recbole_whisperlite.benchmark import statistics
from recbole_whisperlite.benchmark.report import curves, slices

OURS, POP = "WhisperLite", "<b>Pop</b>"


def labels(parts):
    return [(part.label, part.queries) for part in parts]


def test_each_request_is_in_the_slice_of_its_length_history_and_item(made):
    found = slices.by_kind(made, "hit@3")
    assert labels(found["words"]) == [("0–1", 1), ("2", 1), ("3–4", 1), ("33+", 1)]
    assert labels(found["history"]) == [("0", 1), ("1–2", 2), ("6+", 1)]
    # the rarest of i2 (5 times) and i3 (2 times) is chosen twice
    assert labels(found["popularity"]) == [("0", 2), ("1–2", 2)]


def test_a_slice_has_the_mean_over_its_queries_and_the_row_s_seeds(made):
    # Hit@3 of queries 0 to 3: WhisperLite 1, 1, (1 + 0) / 2, 0; Pop 1, 0, 1, 1
    history = slices.by_kind(made, "hit@3")["history"]
    assert [part.means[OURS] for part in history] == [1, 0.75, 0]
    assert [part.means[POP] for part in history] == [1, 0.5, 1]
    # of the two queries 1 and 0.5: deviation 0.5 / √2, by √2
    assert history[1].errors[OURS] == pytest.approx(0.25)
    assert history[0].errors[OURS] is None
    popularity = slices.by_kind(made, "hit@3")["popularity"]
    assert [part.means[OURS] for part in popularity] == [0.75, 0.5]


def test_the_slices_of_a_kind_contain_every_query_once(made):
    rng = np.random.default_rng(0)
    n = 500
    arrays = made["units"]
    arrays["0/user"] = np.arange(n).astype(str)
    arrays["0/words"] = rng.integers(0, 60, n)
    arrays["0/history"] = rng.integers(0, 12, n)
    arrays["0/positive_unit"] = np.sort(np.r_[np.arange(n), rng.integers(0, n, 200)])
    arrays["0/popularity"] = rng.integers(0, 3000, n + 200)
    for key in (f"0/rank/{OURS}/1", f"0/rank/{OURS}/2", f"0/rank/{POP}/1"):
        arrays[key] = rng.integers(1, 9, n + 200)
    whole = slices.values_of_queries(arrays, 0, made["rows"][1], "ndcg@3").sum()
    for parts in slices.by_kind(made, "ndcg@3").values():
        assert sum(part.queries for part in parts) == n
        total = sum(part.queries * part.means[OURS] for part in parts)
        assert total == pytest.approx(whole)
        assert len(parts) > 3


def test_queries_of_several_test_sets_are_pooled(made):
    arrays = made["units"]
    for name in ("user", "words", "history", "positive_unit", "popularity"):
        arrays[f"1/{name}"] = arrays[f"0/{name}"]
    # the second seed has its own test set, on which Pop failed
    arrays[f"1/rank/{OURS}/2"] = arrays.pop(f"0/rank/{OURS}/2")
    made["test_sets"] *= 2
    history = slices.by_kind(made, "hit@3")["history"]
    assert labels(history) == [("0", 2), ("1–2", 4), ("6+", 2)]
    # queries 1 and 2 with seed 1: 1, 1; with seed 2: 1, 0
    assert history[1].means[OURS] == 0.75
    assert history[1].means[POP] == 0.5


def test_curves_go_through_the_figures_of_the_runs(made):
    found = curves.by_k(made)
    # Hit at 1: queries 0 and 1 in both seeds of WhisperLite; at 2, query 2 with seed 1
    assert found["hit"][OURS] == {1: 0.5, 2: 0.625, 3: 0.625}
    assert found["hit"][POP] == {1: 0.5, 2: 0.5, 3: 0.75}
    assert list(found["ndcg"][POP]) == [1, 2, 3]
    of_queries = statistics.metric_of_queries(
        "ndcg",
        made["units"]["0/positive_unit"],
        made["units"][f"0/rank/{POP}/1"],
        4,
        3,
    )
    assert found["ndcg"][POP][3] == pytest.approx(of_queries.mean())
    assert "auc" not in found


def test_metrics_that_do_not_depend_on_ranks_alone_have_the_k_of_the_runs(made):
    for row in made["rows"][:2]:
        row["metrics"]["violation@1"] = {"mean": 0.25}
        row["metrics"]["violation@3"] = {"mean": 0.5}
    made["metrics"] += ["violation@3", "violation@1"]
    assert curves.by_k(made)["violation"][OURS] == {1: 0.25, 3: 0.5}
