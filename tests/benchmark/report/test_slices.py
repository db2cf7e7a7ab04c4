"""Metrics by kinds of requests, against figures computed by hand."""

import numpy as np
import pytest

from recbole_whisperlite.benchmark import slices, statistics
from recbole_whisperlite.benchmark.report import curves

OURS, POP = "WhisperLite", "<b>Pop</b>"


def labels(parts):
    return [(part.label, part.queries) for part in parts]


def test_each_request_is_in_the_slice_of_its_length_and_history(made):
    found = slices.by_kind(made, "hit@3")
    assert labels(found["words"]) == [("0–1", 1), ("2", 1), ("3–4", 1), ("33+", 1)]
    assert labels(found["history"]) == [("0", 1), ("1–2", 2), ("6+", 1)]
    assert [part.positives for part in found["history"]] == [1, 3, 1]
    assert labels(found["asked"]) == [("0", 2), ("1–9", 1), ("10–99", 1)]


def test_each_positive_is_in_the_slice_of_its_item(made):
    # i1 (never chosen) is wanted twice; query 1 wants i2 (5 times) and i3 (2 times)
    found = slices.by_kind(made, "ndcg@3")["popularity"]
    assert labels(found) == [("0", 2), ("1–3", 2), ("4–20", 1)]
    assert [part.positives for part in found] == [2, 2, 1]
    gain = [1, 1 / np.log2(3), 1 / 2, 0]  # at ranks 1, 2, 3 and beyond
    # Pop: i1 at ranks 3 and 1; i3 at 8 and 1; i2 at 9
    assert [part.means[POP] for part in found] == pytest.approx(
        [(gain[2] + gain[0]) / 2, (gain[3] + gain[0]) / 2, gain[3]]
    )
    # WhisperLite, two seeds: i1 at 1, 1 and 2, 9; i3 at 2, 1 and 9, 9; i2 at 1, 2
    assert [part.means[OURS] for part in found] == pytest.approx(
        [(2 + gain[1]) / 4, (gain[1] + 1) / 4, (1 + gain[1]) / 2]
    )


def test_a_slice_has_the_mean_over_its_queries_and_the_row_s_seeds(made):
    # Hit@3 of queries 0 to 3: WhisperLite 1, 1, (1 + 0) / 2, 0; Pop 1, 0, 1, 1
    history = slices.by_kind(made, "hit@3")["history"]
    assert [part.means[OURS] for part in history] == [1, 0.75, 0]
    assert [part.means[POP] for part in history] == [1, 0.5, 1]
    # two users, 1 and .5: every other sample of two has both, the others one twice
    assert (history[1].low[OURS], history[1].high[OURS]) == (0.5, 1)
    assert history[0].low[OURS] is None and history[0].high[OURS] is None


def test_the_slices_of_a_kind_contain_every_query_once(made):
    rng = np.random.default_rng(0)
    n = 500
    arrays = made["units"]
    arrays["0/user"] = np.arange(n).astype(str)
    arrays["0/words"] = rng.integers(0, 60, n)
    arrays["0/history"] = rng.integers(0, 12, n)
    arrays["0/asked"] = np.arange(n)
    arrays["0/positive_unit"] = np.arange(n)  # one positive: all kinds are alike
    arrays["0/popularity"] = rng.integers(0, 60, n)
    for key in (f"0/rank/{OURS}/1", f"0/rank/{OURS}/2", f"0/rank/{POP}/1"):
        arrays[key] = rng.integers(1, 9, n)
    whole = slices.values_of(arrays, 0, made["rows"][1], "ndcg@3").sum()
    found = slices.by_kind(made, "ndcg@3")
    assert len(found) == 4
    for parts in found.values():
        assert sum(part.queries for part in parts) == n
        total = sum(part.queries * part.means[OURS] for part in parts)
        assert total == pytest.approx(whole)
        assert len(parts) > 3
        for part in (part for part in parts if part.queries > 1):
            assert part.low[OURS] <= part.means[OURS] <= part.high[OURS]


def test_arrays_of_version_0_1_are_sliced_without_what_they_lack(made):
    del made["units"]["0/asked"]
    found = slices.by_kind(made, "ndcg@3")
    assert set(found) == {"popularity", "history", "words"}


def test_queries_of_several_test_sets_are_pooled(made):
    arrays = made["units"]
    for name in ("user", "words", "history", "asked", "positive_unit", "popularity"):
        arrays[f"1/{name}"] = arrays[f"0/{name}"]
    # the second seed has its own test set, on which Pop failed
    arrays[f"1/rank/{OURS}/2"] = arrays.pop(f"0/rank/{OURS}/2")
    made["test_sets"] *= 2
    found = slices.by_kind(made, "hit@3")
    history = found["history"]
    assert labels(history) == [("0", 2), ("1–2", 4), ("6+", 2)]
    assert labels(found["popularity"]) == [("0", 4), ("1–3", 4), ("4–20", 2)]
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
