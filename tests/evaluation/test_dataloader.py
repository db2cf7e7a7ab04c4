"""Evaluation by query: metrics by hand, for each model family of RecBole."""

import numpy as np
import pytest
from fixed_scores import FAMILIES, Context, General
from recbole.trainer import Trainer
from tiny import ITEMS, REQUESTS, write_tiny

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.dataloader import QuerySampler

# The queries of the test set, their positives, and the candidates ranked first:
#   u1 r4 → i1, without i2 i3 i4:  i1            rank 1
#   u2 r7 → i6, without i2 i5:     i1 i3 i4 i6   rank 4, not in the top 3
#   u3 r10 → i2, without i3 i7:    i1 i2         rank 2
#   u4 r12 → i8, without i5:       i1 i2 i3 …    not in the top 3
BY_HAND = {
    "recall@3": 2 / 4,
    "mrr@3": (1 + 1 / 2) / 4,
    "ndcg@3": (1 + 1 / np.log2(3)) / 4,
    "hit@3": 2 / 4,
    "precision@3": 2 / 3 / 4,
}


def evaluate(prepare, model, data_path, **settings):
    settings = {
        "loss_type": "BPR",
        "metric_decimal_place": 6,
        "embedding_size": 4,
        **settings,
    }
    config, _, (train, _, test) = prepare(model, data_path, **settings)
    trainer = Trainer(config, model(config, train._dataset))
    return trainer.evaluate(test, load_best_model=False), test


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("eval_batch_size", [1, 20, 4096])
def test_metrics_are_those_computed_by_hand(model, eval_batch_size, tiny, prepare):
    result, _ = evaluate(prepare, model, tiny, eval_batch_size=eval_batch_size)
    assert result == pytest.approx(BY_HAND, abs=1e-6)


@pytest.mark.parametrize("model", FAMILIES)
def test_two_positives_of_one_request_are_ranked_in_one_list(model, tmp_path, prepare):
    from tiny import CHOICES

    choices = [row for row in CHOICES if row[2] not in ("r3", "r4")]
    choices += [("u3", "i4", "r3", 0.1), ("u3", "i6", "r4", 0.2)]
    write_tiny(tmp_path, choices=choices)
    result, test = evaluate(prepare, model, tmp_path)
    # u1 r2 → i2 i3, without i1: ranks 1 and 2, a perfect list. u2 as above. u3 without
    # i3 i4 i6 i7: rank 2. u4 as above.
    assert len(test.queries) == 4
    assert result["ndcg@3"] == pytest.approx((1 + 1 / np.log2(3)) / 4, abs=1e-6)
    assert result["recall@3"] == 0.5
    assert result["precision@3"] == pytest.approx((2 / 3 + 1 / 3) / 4, abs=1e-6)


@pytest.mark.parametrize(
    "mode, numbers",
    [("uni3", [3, 3, 3, 3]), ("uni50", [5, 6, 6, 7]), ("pop50", [4, 5, 5, 6])],
)
def test_no_candidate_is_sampled_twice(mode, numbers, tiny, prepare):
    """uni50 is all that there is; nobody took i9, which popularity cannot draw."""
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": mode}
    *_, (_, _, test) = prepare("BPR", tiny, eval_args=args)
    never = (test.queries.positives + test.queries.excluded).toarray()
    assert [len(set(drawn)) for drawn in test.candidates] == numbers
    assert [len(drawn) for drawn in test.candidates] == numbers
    assert not any(row[drawn].any() for row, drawn in zip(never, test.candidates))


def test_candidates_are_sampled_by_popularity(tiny, prepare):
    """Of what u4 has not taken, i1 and i3 were taken twice, i2 three times, three once."""
    _, data, (_, _, test) = prepare("BPR", tiny)
    sampler = QuerySampler(test._dataset, test.queries, "popularity")
    np.random.seed(1)
    first = [sampler.distinct([0, 0, 0, 1])[3][0] for _ in range(1000)]
    share = np.bincount(first, minlength=10) / 1000
    for item, n in {"i1": 2, "i2": 3, "i3": 2, "i4": 1, "i6": 1, "i8": 0}.items():
        assert share[data.token2id("item_id", item)] == pytest.approx(n / 10, abs=0.05)


@pytest.mark.parametrize("mode", ["uni3", "pop3"])
def test_sampled_candidates_are_the_same_for_every_family(mode, tiny, prepare):
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": mode}
    results = [evaluate(prepare, model, tiny, eval_args=args) for model in FAMILIES]
    assert len({test.fingerprint for _, test in results}) == 1
    assert results[0][0] == results[1][0] == results[2][0]
    other_seed = evaluate(prepare, General, tiny, eval_args=args, seed=1)[1]
    assert other_seed.fingerprint != results[0][1].fingerprint


def test_sampled_candidates_are_neither_chosen_nor_excluded(tiny, prepare):
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni50"}
    result, test = evaluate(prepare, General, tiny, eval_args=args)
    for n, drawn in enumerate(test.candidates):
        never = {
            0,
            *test.queries.positives[n].indices,
            *test.queries.excluded[n].indices,
        }
        assert set(drawn) == set(range(10)) - never
    # so the ranking is the full one
    assert result == pytest.approx(BY_HAND, abs=1e-6)


def test_negatives_are_drawn_for_each_positive(tmp_path, prepare):
    from tiny import CHOICES

    choices = CHOICES + [("u2", "i9", "r7", 3)]
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni2"}
    _, test = evaluate(
        prepare, General, write_tiny(tmp_path, choices=choices), eval_args=args
    )
    drawn = {
        test._dataset.id2token("user_id", user): len(candidates)
        for user, candidates in zip(test.queries.user, test.candidates)
    }
    assert drawn == {"u1": 2, "u2": 4, "u3": 2, "u4": 2}


def test_value_metrics_work_on_sampled_candidates(tiny, prepare):
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni50"}
    result, test = evaluate(
        prepare, Context, tiny, eval_args=args, metrics=["AUC"], valid_metric="AUC"
    )
    scores, labels = [], []
    for n, drawn in enumerate(test.candidates):
        items = [*test.queries.positives[n].indices, *drawn]
        names = test._dataset.id2token("item_id", np.array(items))
        scores += [-int(name[1:]) for name in names]
        labels += [1] + [0] * len(drawn)
    scores, labels = np.array(scores), np.array(labels)
    wins = scores[labels == 1][:, None] - scores[labels == 0][None]
    expected = ((wins > 0) + 0.5 * (wins == 0)).mean()
    assert result["auc"] == pytest.approx(expected, abs=1e-6)


def test_no_negatives_can_be_sampled_for_a_user_who_has_seen_everything(
    tmp_path, prepare
):
    choices = [("u1", f"i{n}", f"r{n}", n) for n in range(1, 10)]
    write_tiny(tmp_path, choices=choices)
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni3"}
    with pytest.raises((UserError, ValueError), match="all"):
        evaluate(prepare, General, tmp_path, eval_args=args, repeatable=True)


def write_rules(tmp_path, rules):
    write_tiny(tmp_path)
    heels = {"i1": "high", "i2": "flat", "i3": "high", "i9": "high"}
    write_atomic(
        tmp_path / "tiny" / "tiny.item",
        {"item_id": "token", "title": "token", "heel": "token"},
        [(id_, text, heels.get(id_, "none")) for id_, text in ITEMS.items()],
    )
    write_atomic(
        tmp_path / "tiny" / "tiny.request",
        {"request_id": "token", "request": "token", "ruled_out": "token_seq"},
        [(id_, text, rules.get(id_, "")) for id_, text in REQUESTS.items()],
    )


@pytest.mark.parametrize("mode", ["full", "uni50"])
@pytest.mark.parametrize("model", FAMILIES)
def test_violation_counts_lists_that_contain_ruled_out_items(
    model, mode, tmp_path, prepare
):
    # r4: top 3 is i1 i5 i6 → holds i1 (high). r7: i1 i3 i4 → i2 is excluded, none flat.
    # r10: i1 i2 i4 → holds i2 (flat). r12 rules nothing out and is not counted.
    write_rules(tmp_path, {"r4": "heel=high", "r7": "heel=flat", "r10": "heel=flat"})
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": mode}
    result, _ = evaluate(
        prepare, model, tmp_path, eval_args=args, metrics=["NDCG", "Violation"]
    )
    assert result["violation@3"] == pytest.approx(2 / 3, abs=1e-6)
    assert result["violation_share@3"] == pytest.approx(2 / 9, abs=1e-6)
    assert result["ndcg@3"] == pytest.approx(BY_HAND["ndcg@3"], abs=1e-6)


def test_violation_starts_anew_with_every_evaluation(tmp_path, prepare):
    write_rules(tmp_path, {"r4": "heel=high", "r7": "heel=flat"})
    config, _, (train, _, test) = prepare(
        General, tmp_path, metrics=["Violation", "NDCG"]
    )
    trainer = Trainer(config, General(config, train._dataset))
    first = trainer.evaluate(test, load_best_model=False)
    assert trainer.evaluate(test, load_best_model=False) == first
    assert first["violation@3"] == 0.5


def test_violation_needs_requests_that_rule_items_out(tiny, prepare):
    with pytest.raises(UserError, match="ruled_out:token_seq"):
        prepare(General, tiny, metrics=["Violation", "NDCG"])


def test_different_test_sets_have_different_fingerprints(tmp_path, prepare):
    from tiny import CHOICES

    def mark(name, choices=CHOICES, items=ITEMS):
        write_tiny(tmp_path, name, choices, items=items)
        return prepare("BPR", tmp_path, dataset=name)[2][2].fingerprint

    same = mark("a")
    # the order of lines with different times does not matter
    assert mark("c", choices=sorted(CHOICES, key=lambda row: row[3])) == same
    # another positive, another history, another catalogue do
    assert mark("d", choices=CHOICES[:-1] + [("u4", "i7", "r12", 5)]) != same
    assert mark("e", choices=[("u1", "i8", "r1", 1)] + CHOICES[1:]) != same
    assert mark("f", items={**ITEMS, "i10": "Thing 10"}) != same
