"""Every metric that RecBole registers, on a dataset with requests: right, or refused."""

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.evaluator.register import metric_types, metrics_dict
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType
from sklearn.metrics import roc_auc_score
from tiny import CHOICES, ITEMS, write_tiny

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.requestpop import RequestPop

RANKED = [
    name
    for name, kind in metric_types.items()
    if kind == EvaluatorType.RANKING and name != "violation"
]
PREDICTED = [name for name, kind in metric_types.items() if name not in RANKED]
PREDICTED.remove("violation")


class ByNumber(RequestPop):
    """Scores i9 best, then i8, down to i1: all lists are known beforehand."""

    def full_sort_predict(self, interaction):
        score = torch.arange(self.n_items, dtype=torch.float)
        tokens = self.tokens
        score[1:] = torch.tensor([float(token[1:]) for token in tokens[1:]])
        return score.repeat(len(interaction), 1)

    def predict(self, interaction):
        scores = self.full_sort_predict(interaction)
        items = interaction[self.ITEM_ID]
        return scores.gather(1, items[:, None]).squeeze(1)


def evaluated(prepare, data_path, scale=1.0, **settings):
    """Return the test result of ByNumber, and the test dataloader."""
    config, _, (train, _, test) = prepare(RequestPop, data_path, **settings)
    model = ByNumber(config, train.dataset)
    model.tokens = train.dataset.field2id_token["item_id"]
    if scale != 1:
        plain = model.predict
        model.predict = lambda interaction: scale * plain(interaction)
    trainer = Trainer(config, model)
    trainer.eval_collector.data_collect(train)
    return trainer.evaluate(test, load_best_model=False), test


def lists_of(test, k):
    """The best k candidates of each query, by number."""
    names = test._dataset.field2id_token["item_id"]
    lists = []
    for row in test.queries.excluded.toarray():
        numbers = [int(names[i][1:]) for i in range(1, len(names)) if not row[i]]
        lists.append(sorted(numbers, reverse=True)[:k])
    return lists


@pytest.mark.parametrize("topk", [[1, 3], 5, [5]])
def test_metrics_of_ranked_lists_together(tiny, prepare, topk):
    k = max(topk) if isinstance(topk, list) else topk
    given = {"metrics": RANKED, "topk": topk, "valid_metric": f"NDCG@{k}"}
    result, _ = evaluated(prepare, tiny, **given)
    at = topk if isinstance(topk, list) else [topk]
    expected = {f"{name}@{n}" for name in RANKED for n in at if name != "gauc"}
    assert set(result) == expected | {"gauc"}
    assert np.isfinite(list(result.values())).all()


@pytest.mark.parametrize("name", RANKED)
def test_a_metric_alone_is_what_it_is_among_all(name, tiny, prepare):
    valid_metric = name if name == "gauc" else f"{name}@3"
    together, _ = evaluated(prepare, tiny, metrics=RANKED)
    alone, _ = evaluated(prepare, tiny, metrics=[name], valid_metric=valid_metric)
    assert dict(alone) == {valid_metric: together[valid_metric]}


def test_metrics_of_what_is_listed_are_those_counted_by_hand(tiny, prepare):
    metrics = ["ItemCoverage", "AveragePopularity", "ShannonEntropy", "GiniIndex"]
    result, test = evaluated(
        prepare, tiny, metrics=metrics, valid_metric="ItemCoverage@3"
    )
    lists = lists_of(test, 3)
    assert len(lists) == 4 and all(len(each) == 3 for each in lists)
    listed = np.concatenate(lists)
    times = np.array([np.sum(listed == n) for n in range(1, 10)])
    # RecBole counts padding as an item that is never listed
    assert result["itemcoverage@3"] == pytest.approx((times > 0).sum() / 10, abs=1e-4)
    share = np.sort(np.append(times, 0)) / len(listed)
    gini = ((2 * np.arange(1, 11) - 10 - 1) * share).sum() / 10
    assert result["giniindex@3"] == pytest.approx(gini, abs=1e-4)
    share = share[share > 0]
    entropy = -(share * np.log(share)).sum() / len(share)
    assert result["shannonentropy@3"] == pytest.approx(entropy, abs=1e-4)
    held_out = {"r3", "r4", "r6", "r7", "r9", "r10", "r12"}  # the last two of each user
    learned = [c[1] for c in CHOICES if c[2] not in held_out]
    popularity = np.mean([learned.count(f"i{n}") for n in listed])
    assert result["averagepopularity@3"] == pytest.approx(popularity, abs=1e-4)


def test_gauc_is_the_mean_area_under_the_curve_of_the_queries(tiny, prepare):
    result, test = evaluated(prepare, tiny, metrics="GAUC", valid_metric="GAUC")
    names = test._dataset.field2id_token["item_id"]
    areas = []
    for positives, excluded in zip(
        test.queries.positives.toarray(), test.queries.excluded.toarray()
    ):
        items = [i for i in range(1, len(names)) if not excluded[i]]
        scores = [int(names[i][1:]) for i in items]
        areas.append(roc_auc_score(positives[items] > 0, scores))
    assert result["gauc"] == pytest.approx(np.mean(areas), abs=1e-4)


def test_a_list_longer_than_its_candidates_counts_nothing_that_is_none(tiny, prepare):
    given = {"topk": [8], "valid_metric": "NDCG@8"}
    result, _ = evaluated(prepare, tiny, metrics=["NDCG"], **given)
    assert result["ndcg@8"] > 0  # what is no candidate is no positive either
    with pytest.raises(UserError, match="6 candidates only, and ItemCoverage, GiniIn"):
        evaluated(prepare, tiny, metrics=["NDCG", "ItemCoverage", "GiniIndex"], **given)


def test_a_list_longer_than_the_catalogue_is_refused(tiny, prepare):
    with pytest.raises(UserError, match="only 9 items to rank"):
        evaluated(prepare, tiny, topk=20, valid_metric="NDCG@20")


def test_what_a_trainer_has_not_seen_is_named(tiny, prepare):
    given = {"metrics": ["AveragePopularity"], "valid_metric": "AveragePopularity@3"}
    config, _, (train, _, test) = prepare(RequestPop, tiny, **given)
    trainer = Trainer(config, RequestPop(config, train.dataset))
    with pytest.raises(
        UserError, match=r"data_collect\(train_data\) before trainer.ev"
    ):
        trainer.evaluate(test, load_best_model=False)


# --- direction -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, bigger",
    [("GiniIndex@3", False), ("NDCG@3", True), ("Violation_share@3", False)],
)
def test_more_or_less_is_better_as_the_metric_says(name, bigger, tiny):
    given = {"data_path": str(tiny), "topk": [3], "valid_metric": name}
    given["metrics"] = ["NDCG", "GiniIndex", "Violation"]
    assert Config("BPR", "tiny", config_dict=given)["valid_metric_bigger"] is bigger
    with pytest.raises(UserError, match="it follows from valid_metric"):
        asked = {"valid_metric_bigger": not bigger}
        Config("BPR", "tiny", config_dict={**given, **asked})


# --- labels --------------------------------------------------------------------------

COLUMNS = ["user_id", "item_id", "request_id", "timestamp", "label"]
LABELED = {"eval_args": {"mode": "labeled"}, "load_col": {"inter": COLUMNS}}
AUC = {"metrics": ["AUC"], "valid_metric": "AUC"}
#: Of validation (r3, r6, r9) and test (r4, r7, r10, r12), both kinds.
LABELS = {"r4": 0, "r6": 0, "r10": 0}


@pytest.fixture
def labeled(tmp_path):
    write_tiny(tmp_path)
    rows = [(*choice, LABELS.get(choice[2], 1)) for choice in CHOICES]
    types = dict(zip(COLUMNS, ["token"] * 3 + ["float"] * 2))
    write_atomic(tmp_path / "tiny" / "tiny.inter", types, rows)
    return tmp_path


def test_predictions_are_compared_with_labels(labeled, prepare):
    metrics = {"metrics": PREDICTED, "valid_metric": "AUC"}
    result, test = evaluated(prepare, labeled, scale=0.1, **metrics, **LABELED)
    # positives i6 and i8 (u2, u4), negatives i1 and i2 (u1, u3), scores a tenth each
    assert sorted(PREDICTED) == ["auc", "logloss", "mae", "rmse"]
    assert result["auc"] == 1
    errors = np.array([0.4, 0.2, 0.1, 0.2])
    assert result["mae"] == pytest.approx(errors.mean(), abs=1e-4)
    assert result["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), abs=1e-4)
    assert result["logloss"] == pytest.approx(-np.log(1 - errors).mean(), abs=1e-4)


def test_scores_that_are_no_probabilities_have_no_logloss(labeled, prepare, caplog):
    given = {"metrics": ["MAE", "LogLoss"], "valid_metric": "LogLoss"}
    with pytest.raises(UserError, match="a score of RequestPop is .*: it is no prob"):
        evaluated(prepare, labeled, **given, **LABELED)
    evaluated(prepare, labeled, metrics="MAE", valid_metric="MAE", **LABELED)
    assert "MAE compare scores with labels" in caplog.text
    evaluated(prepare, labeled, **AUC, **LABELED)  # only their order counts


def test_labels_that_are_not_read_are_named(labeled, prepare):
    with pytest.raises(UserError, match="no column 'label'.* Name it in load_col"):
        prepare("BPR", labeled, **AUC, eval_args={"mode": "labeled"})


def test_a_validation_score_that_is_no_number_is_refused(labeled, prepare):
    write_atomic(
        labeled / "tiny" / "tiny.inter",
        dict(zip(COLUMNS, ["token"] * 3 + ["float"] * 2)),
        [(*choice, 1) for choice in CHOICES],
    )
    config, _, (train, valid, _) = prepare(RequestPop, labeled, **AUC, **LABELED)
    trainer = Trainer(config, RequestPop(config, train.dataset))
    with pytest.raises(UserError, match="AUC, the valid_metric, is not a number"):
        trainer._valid_epoch(valid)


def test_all_metrics_were_looked_at():
    assert len(ITEMS) == 9 and set(RANKED) | set(PREDICTED) <= set(metrics_dict)
    assert "gauc" in RANKED and len(RANKED) == 12 and len(PREDICTED) == 4
