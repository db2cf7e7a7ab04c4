"""Figures that bound what a table could have wrong, by hand on a shop of four users."""

import numpy as np
import pytest
from tiny import write_tiny

from recbole_whisperlite.benchmark import bounds

# Each user's last request is tested, the one before validates. "tea" led to i1 twice and
# to i2 once in training; i5 is wanted in the test and was never chosen.
CHOICES = [
    ("u1", "i1", "r1", 1),
    ("u1", "i3", "r2", 5),
    ("u1", "i2", "r3", 9),
    ("u2", "i1", "r4", 2),
    ("u2", "i4", "r5", 6),
    ("u2", "i5", "r6", 3.5),
    ("u3", "i2", "r7", 3),
    ("u3", "i3", "r8", 7),
    ("u3", "i1", "r9", 8),
    ("u4", "i3", "r10", 4),
    ("u4", "i1", "r11", 10),
    ("u4", "i2", "r12", 11),
]
TEXTS = dict.fromkeys((f"r{n}" for n in range(1, 13)), "tea")
TEXTS.update(r10="milk", r5="milk", r6="milk")
GAIN = [1, 1 / np.log2(3), 1 / 2, 1 / np.log2(5)]


@pytest.fixture
def split(tmp_path):
    items = dict.fromkeys((f"i{n}" for n in range(1, 7)), "Thing")
    write_tiny(tmp_path, "shop", CHOICES, TEXTS, items)
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
    made, met = bounds.read({"data_path": str(tmp_path), "eval_args": args}, "shop")
    assert met is None
    return made


def test_the_split_is_that_of_the_models(split):
    # u2's requests by time are r4, r6 and r5
    assert sorted(zip(split.time, split.text > 0)) == [
        (1, True),
        (2, True),
        (3, True),
        (4, True),
    ]
    assert sorted(split.query_time) == [6, 8, 9, 11]
    assert len(split.queries) == 4


def test_a_ranker_by_counts_has_the_ndcg_computed_by_hand(split):
    found = bounds.measure(split)
    assert (found["test queries"], found["items"]) == (4, 6)
    # tea: i1 twice, i2 once; then i3, once for milk. u1 has i1 and i3, so that i2 is
    # first; u3 has i2 and i3, so that i1 is first; u4 has i3 and i1, so that i2 is first.
    # u2 wants i4 for milk, has i1 and i5: after i3 and i2, it ties with i6.
    expected = (1 + 1 + 1 + (GAIN[2] + GAIN[3]) / 2) / 4
    name = "NDCG@10, those products by how often (RequestPop)"
    assert found[name] == pytest.approx(expected)
    worst, best = (
        found[f"RequestPop: ties ordered in the {way} way"] for way in ("worst", "best")
    )
    assert worst == pytest.approx((3 + GAIN[3]) / 4)
    assert best == pytest.approx((3 + GAIN[2]) / 4)
    # popularity: i1 twice, i2 and i3 once; u1 and u4 want i2, as they have i1 and i3
    name = "NDCG@10, without the request (popularity)"
    by_popularity = [1, (GAIN[2] + GAIN[3]) / 2, 1, 1]
    assert found[name] == pytest.approx(np.mean(by_popularity))
    # tea's products: of i1 and i2 the user's own are no candidates; milk's: i3
    name = "NDCG@10, those products in random order"
    of_u2 = np.mean([GAIN[1], GAIN[2], GAIN[3]])  # i2, i4, i6 tie behind i3
    assert found[name] == pytest.approx((3 + of_u2) / 4)
    assert found["products chosen in training for the query's text, median"] == 2


def test_what_training_knows_of_test_and_time(split):
    found = bounds.measure(split)
    # u2 wants i4, which nobody chose in training
    assert found["share of wanted products never chosen in training"] == 0.25
    assert found["share of queries whose text was asked in training"] == 1
    assert found["share of queries whose user has no history"] == 0
    # training is over at 4, the first query is asked at 6
    assert found["share of training later than the query, mean"] == 0
    # all have one choice in training, so that nothing was chosen together
    name = "share of wanted products that others had together with the user's"
    assert found[name] == 0


def test_training_that_is_later_than_a_query_is_counted(split):
    early = bounds.Split(**{**vars(split), "query_time": np.array([0, 1, 2.5, 9])})
    found = bounds.measure(early)
    shares = [1, 0.75, 0.5, 0]
    name = "share of training later than the query"
    assert found[f"{name}, mean"] == pytest.approx(np.mean(shares))
    assert found[f"{name}, at most"] == 1


def test_a_ranker_that_knows_the_answers_is_perfect(split):
    query, item = split.wanted
    met = np.zeros((len(split.queries), split.shape[1]))
    met[query, item] = 1
    found = bounds.answer_key(split, met)
    assert found["NDCG@10, by the share of wishes met (answer key)"] == 1
    assert found["share of wanted products that meet all wishes"] == 1
    assert found["products that meet all wishes, median"] == 1


def test_stylist_mini_has_an_answer_key(tmp_path):
    from recbole_whisperlite.stylist_mini import build

    build(tmp_path / "stylist-mini", n_items=120, n_users=30, n_requests=120)
    split, met = bounds.read({"data_path": str(tmp_path)}, "stylist-mini")
    assert met.shape == (len(split.queries), split.shape[1])
    assert met.min() == 0 and met.max() == 1
    key = bounds.answer_key(split, met)[
        "NDCG@10, by the share of wishes met (answer key)"
    ]
    assert key > bounds.measure(split)["NDCG@10, without the request (popularity)"]


def test_figures_are_printed_with_the_flags_of_a_benchmark(tmp_path, capsys):
    items = dict.fromkeys((f"i{n}" for n in range(1, 7)), "Thing")
    write_tiny(tmp_path, "shop", CHOICES, TEXTS, items)
    assert bounds.main(["--dataset=shop", f"--data_path={tmp_path}"]) == 0
    assert "without the request (popularity)" in capsys.readouterr().out
    assert bounds.main(["--dataset=shop", "--data_path"]) == 2
    assert "has no value" in capsys.readouterr().err
