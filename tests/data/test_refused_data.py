"""Data that would end in a traceback, or in a number that is silently wrong."""

import json

import pytest
import torch
from recbole.trainer import Trainer
from recbole.utils import get_model
from tiny import CHOICES, ITEMS, write_tiny

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.errors import UserError

# file, what its header has, and what it has instead
COLUMNS = [
    ("inter", "timestamp:float", "timestamp:token"),
    ("inter", "timestamp:float", "timestamp:float_seq"),
    ("inter", "user_id:token", "user_id:float"),
    ("inter", "user_id:token", "user_id:token_seq"),
    ("inter", "item_id:token", "item_id:float"),
    ("inter", "request_id:token", "request_id:float"),
    ("request", "request_id:token", "request_id:float"),
    ("item", "item_id:token", "item_id:token_seq"),
    ("item", "item_id:token", "sku:token"),
]


@pytest.mark.parametrize("suffix, column, other", COLUMNS)
@pytest.mark.parametrize("model", ["WhisperLite", "BPR"])
def test_a_column_of_the_wrong_type_is_refused(
    tiny, prepare, model, suffix, column, other
):
    path = tiny / "tiny" / f"tiny.{suffix}"
    path.write_text(path.read_text("utf-8").replace(column, other, 1), "utf-8")
    with pytest.raises(UserError) as told:
        prepare(model, tiny)
    assert f"{path}, line 1" in str(told.value)
    name = column if other.startswith("sku") else other
    assert name.partition(":")[0] in str(told.value)


def test_a_time_that_is_no_number_is_refused_without_requests_too(tiny, prepare):
    (tiny / "tiny" / "tiny.request").unlink()
    path = tiny / "tiny" / "tiny.inter"
    path.write_text(
        path.read_text("utf-8").replace("timestamp:float", "timestamp:token")
    )
    with pytest.raises(UserError, match="order in which it appears"):
        prepare("BPR", tiny)


@pytest.mark.parametrize("requests", [True, False])
def test_ids_that_differ_after_a_nul_byte_are_refused(tmp_path, prepare, requests):
    """pandas would read one user."""
    choices = [("u\0" + user, *rest) for user, *rest in CHOICES]
    write_tiny(tmp_path, choices=choices)
    if not requests:
        (tmp_path / "tiny" / "tiny.request").unlink()
    with pytest.raises(UserError, match="tiny.inter, line 2: there is a NUL byte"):
        prepare("BPR", tmp_path)


@pytest.mark.parametrize("text", ["{", "null", "[]", ""])
def test_notes_on_requests_that_are_no_json_object_are_refused(tiny, prepare, text):
    (tiny / "tiny" / "tiny.request.json").write_text(text)
    with pytest.raises(UserError, match="tiny.request.json: this is no JSON object"):
        prepare("WhisperLite", tiny)
    (tiny / "tiny" / "tiny.request.json").write_text(json.dumps({"kind": "tag"}))
    _, data, _ = prepare("WhisperLite", tiny)
    assert data.request_kind == "tag"


def trainer_of(prepared, model):
    config, _, (train, valid, test) = prepared
    made = get_model(model)(config, train._dataset)
    return Trainer(config, made), train, valid, test


def test_lists_longer_than_the_catalogue_are_refused_before_training(tiny, prepare):
    assert len(ITEMS) == 9
    settings = {"topk": [3, 11], "epochs": 1}
    trainer, train, valid, _ = trainer_of(prepare("BPR", tiny, **settings), "BPR")
    trainer._train_epoch = None  # is not called
    with pytest.raises(UserError, match=r"topk is \[3, 11\], .* only 9 items"):
        trainer.fit(train, valid, saved=False, verbose=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("requests", [True, False])
def test_scores_that_are_not_finite_are_not_ranked(tiny, prepare, value, requests):
    if not requests:
        (tiny / "tiny" / "tiny.request").unlink()
    trainer, train, _, test = trainer_of(prepare("BPR", tiny), "BPR")
    trainer.eval_collector.data_collect(train)
    assert trainer.evaluate(test, load_best_model=False)["ndcg@3"] >= 0
    with torch.no_grad():
        trainer.model.item_embedding.weight[4] = value
    with pytest.raises(UserError, match="BPR gave scores that are not finite"):
        trainer.evaluate(test, load_best_model=False)


def test_a_user_who_chose_everything_is_named(tmp_path, prepare):
    rows = [("all", item, "r1", n) for n, item in enumerate(ITEMS)]
    write_tiny(tmp_path, choices=[*CHOICES, *rows])
    (tmp_path / "tiny" / "tiny.request").unlink()
    # some of it is held out: the rest has negatives, and so has a model that needs none
    for model in ("BPR", "Pop", "EASE"):
        _, _, (train, *_) = prepare(model, tmp_path)
        assert len([*train]) > 0
    args = {"split": {"RS": [1, 0, 0]}, "mode": "full"}
    _, _, (train, *_) = prepare("BPR", tmp_path, eval_args=args)
    with pytest.raises(UserError, match="User 'all' has chosen all 9 items"):
        list(train)


def test_sampling_that_would_never_end_is_refused(tmp_path, prepare):
    """u1 has all items that anybody chose, and only those are drawn."""
    choices = [("u1", f"i{n}", f"r{n}", n) for n in range(1, 5)]
    choices += [("u2", f"i{n}", f"r{n + 4}", n) for n in range(1, 4)]
    write_tiny(tmp_path, choices=choices)
    negatives = {"distribution": "popularity", "sample_num": 1}
    args = {"split": {"RS": [1, 0, 0]}, "mode": "full"}
    settings = {"train_neg_sample_args": negatives, "eval_args": args}
    _, _, (train, *_) = prepare("BPR", tmp_path, **settings)
    with pytest.raises(UserError, match="all 4 items that anybody chose"):
        next(iter(train))


def test_a_part_without_queries_is_no_silent_end(tmp_path, prepare):
    """Leave-one-out has nothing to leave out of one interaction a user."""
    write_tiny(tmp_path, choices=[(f"u{n}", f"i{n % 3}", "r1", n) for n in range(9)])
    (tmp_path / "tiny" / "tiny.request").unlink()
    settings = {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO"},
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    }
    trainer, *_, test = trainer_of(prepare("BPR", tmp_path, **settings), "BPR")
    with pytest.raises(UserError, match="No interaction of 'tiny' is in the part"):
        trainer.evaluate(test, load_best_model=False)


def test_a_file_in_utf_16_is_told_as_such(tmp_path):
    path = tmp_path / "tiny.item"
    path.write_text("item_id:token\ni1\n", "utf-16")
    with pytest.raises(UserError, match="UTF-8"):
        read_atomic(path)


def test_items_without_a_column_of_text_are_refused(tmp_path, prepare):
    write_tiny(tmp_path)
    (tmp_path / "tiny" / "tiny.item").write_text(
        "item_id:token\ni1\n" + "".join(f"i{n}\n" for n in range(2, 10))
    )
    with pytest.raises(UserError, match="tiny.item, line 2: the item 'i1' has no text"):
        prepare("BM25", tmp_path)
