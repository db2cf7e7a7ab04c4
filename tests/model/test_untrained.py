"""What all request-aware baselines without gradient training have in common."""

import pytest
import torch
from close import assert_close_relative
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer
from tiny import ITEMS, REQUESTS, write_tiny

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model import untrained

BASELINES = ["BM25", "ZeroShot", "RequestPop", "LateFusion"]
# every item has words of a request
TEXTS = {
    item: f"{title} {text}"
    for (item, title), text in zip(ITEMS.items(), REQUESTS.values())
}
SHORT = {"fusion_grid": 2, "k": 3, "epochs": 1, "show_progress": False}


def build(prepare, tiny, name, **settings):
    given = {} if name in ("ZeroShot", "RequestPop") else SHORT
    given = {**given, "show_progress": False, **settings}
    config, dataset, loaders = prepare(name, tiny, **given)
    model = get_model(name)(config, loaders[0]._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    return config, dataset, loaders, model, trainer


@pytest.mark.parametrize("name", BASELINES)
def test_one_item_scores_as_in_the_full_catalogue(tmp_path, prepare, name, monkeypatch):
    # a limit this small makes predict go through its requests in parts
    monkeypatch.setattr(untrained, "MAX_SCORES", 20)
    data_path = write_tiny(tmp_path, items=TEXTS)
    _, dataset, _, model, _ = build(prepare, data_path, name)
    n_users, n_texts, n_items = 4, dataset.num("request") - 1, dataset.item_num
    n_units = n_users * n_texts
    units = Interaction(
        {
            "user_id": torch.arange(n_units) % n_users + 1,
            "request": torch.arange(n_units) // n_users + 1,
        }
    )
    full = model.full_sort_predict(units).view(n_units, n_items)
    assert len(full.unique(dim=0)) >= 4
    order = torch.randperm(n_units * n_items)
    rows = units.repeat_interleave(n_items)
    rows.update(Interaction({"item_id": torch.arange(n_items).repeat(n_units)}))
    single = model.predict(rows[order])
    assert_close_relative(single, full.view(-1)[order])


@pytest.mark.parametrize("mode", ["full", "uni2"])
@pytest.mark.parametrize("name", BASELINES)
def test_a_run_ends_with_the_metrics_of_its_checkpoint(tiny, prepare, name, mode):
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
    args = {"eval_args": {**args, "mode": mode}, "epochs": 3}
    _, _, (train, valid, test), _, trainer = build(prepare, tiny, name, **args)
    trainer.fit(train, valid)
    expected = trainer.evaluate(test, load_best_model=False)
    assert test.queries.positives.nnz == 4

    *_, fresh = build(prepare, tiny, name, **args)
    assert fresh.evaluate(test, model_file=trainer.saved_model_file) == expected
    assert trainer.train_loss_dict == {0: 0}


@pytest.mark.parametrize("name", ["BM25", "ZeroShot", "RequestPop"])
def test_a_dataset_without_requests_is_refused(name, tmp_path):
    settings = {"state": "ERROR", "data_path": str(tmp_path), "request_template": None}
    config = Config(name, "ml-100k", config_dict=settings)
    with pytest.raises(UserError, match=f"{name} ranks items for a request"):
        create_dataset(config)
