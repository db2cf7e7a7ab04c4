"""The dozen requests of tiny.py, checked by eye."""

import copy
import pickle

import numpy as np
import pytest
from tiny import CHOICES, ITEMS, REQUESTS, write_tiny
from recbole.data.dataset import Dataset, SequentialDataset

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.data.dataset import RequestDatasetMixin
from recbole_whisperlite.data.incidence import incidence
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.queries import make_queries
from recbole_whisperlite.evaluation.ruled_out import ruled_out_items

FAMILIES = ["WhisperLite", "BPR", "BERT4Rec", "DeepFM"]
RATIO = {"split": {"RS": [0.5, 0.0, 0.5]}, "order": "TO", "group_by": "user"}


def exam(loader):
    """Return {(user, request): (positives, excluded)} in external tokens."""
    data, queries = loader._dataset, loader.queries
    return {
        (
            data.id2token("user_id", queries.user[n]),
            data.id2token("request_id", queries.request[n]),
        ): (
            set(data.id2token("item_id", queries.positives[n].indices)),
            set(data.id2token("item_id", queries.excluded[n].indices)),
        )
        for n in range(len(queries))
    }


@pytest.mark.parametrize("model", FAMILIES)
def test_leave_one_out_leaves_out_the_last_request_and_the_one_before(
    model, tiny, prepare
):
    _, _, (_, valid, test) = prepare(model, tiny)
    assert exam(valid) == {
        ("u1", "r3"): ({"i4"}, {"i1", "i2", "i3"}),
        ("u2", "r6"): ({"i5"}, {"i2"}),
        ("u3", "r9"): ({"i7"}, {"i3"}),
    }
    # i1 was bought before and is asked for again: it stays a candidate
    assert exam(test) == {
        ("u1", "r4"): ({"i1"}, {"i2", "i3", "i4"}),
        ("u2", "r7"): ({"i6"}, {"i2", "i5"}),
        ("u3", "r10"): ({"i2"}, {"i3", "i7"}),
        ("u4", "r12"): ({"i8"}, {"i5"}),
    }


def test_all_families_sit_the_same_exam(tiny, prepare):
    marks = {
        tuple(loader.fingerprint for loader in prepare(model, tiny)[2][1:])
        for model in FAMILIES
    }
    assert len(marks) == 1
    valid, test = marks.pop()
    assert valid != test


@pytest.mark.parametrize("model", FAMILIES)
def test_two_requests_of_one_user_in_one_phase_are_two_queries(model, tiny, prepare):
    _, _, (_, _, test) = prepare(model, tiny, eval_args=RATIO)
    had = {"i1", "i2", "i3"}  # by r1 and r2; not by r3, which is of the same phase
    assert exam(test)["u1", "r3"] == ({"i4"}, had)
    assert exam(test)["u1", "r4"] == ({"i1"}, had - {"i1"})


@pytest.mark.parametrize("model", FAMILIES)
def test_several_items_of_one_request_are_positives_of_one_query(
    model, tmp_path, prepare
):
    choices = [row for row in CHOICES if row[2] not in ("r3", "r4")]
    choices += [("u3", "i4", "r3", 0.1), ("u3", "i6", "r4", 0.2)]
    _, _, (_, _, test) = prepare(model, write_tiny(tmp_path, choices=choices))
    assert exam(test)["u1", "r2"] == ({"i2", "i3"}, {"i1"})


@pytest.mark.parametrize("order", ["TO", "RO"])
@pytest.mark.parametrize("group_by", ["user", "none"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_request_falls_into_two_phases(order, group_by, seed, tiny, prepare):
    args = {"split": {"RS": [0.4, 0.3, 0.3]}, "order": order, "group_by": group_by}
    _, data, loaders = prepare("BPR", tiny, eval_args=args, seed=seed)
    asked = [set(part._dataset.inter_feat["request_id"].tolist()) for part in loaders]
    assert sum(map(len, asked)) == len(set.union(*asked)) == len(REQUESTS)
    assert sum(len(part._dataset) for part in loaders) == len(CHOICES)


def test_the_ratio_counts_requests_not_interactions(tiny, prepare):
    args = {"split": {"RS": [0.75, 0.0, 0.25]}, "order": "TO", "group_by": "none"}
    _, _, (_, _, test) = prepare("BPR", tiny, eval_args=args)
    assert len(test.queries) == 3
    # times 1 1 1 1 2 2 2 3 3 3 4 5: the latest, equal times in the order of the file
    assert set(exam(test)) == {("u3", "r10"), ("u1", "r4"), ("u4", "r12")}


def test_a_random_order_depends_on_the_seed_alone(tiny, prepare):
    args = {"split": {"RS": [0.5, 0.0, 0.5]}, "order": "RO", "group_by": "none"}
    marks = [
        prepare(model, tiny, eval_args=args, seed=seed)[2][2].fingerprint
        for model, seed in [("BPR", 1), ("DeepFM", 1), ("BPR", 2)]
    ]
    assert marks[0] == marks[1] != marks[2]


def test_a_history_ends_where_the_request_begins(tiny, prepare):
    _, data, (train, valid, test) = prepare("SASRec", tiny, loss_type="CE")

    def histories(feat):
        return {
            (
                data.id2token("user_id", feat["user_id"][n]),
                data.id2token("request_id", feat["request_id"][n]),
            ): list(
                data.id2token(
                    "item_id",
                    feat["item_id_list"][n][: feat["item_length"][n]].tolist(),
                )
            )
            for n in range(len(feat))
        }

    # both items of r2 have the same history, without each other
    feat = train._dataset.inter_feat
    assert sorted(data.id2token("item_id", feat["item_id"])) == ["i2", "i3"]
    assert histories(feat) == {("u1", "r2"): ["i1"]}
    assert histories(test.query_feat) == {
        ("u1", "r4"): ["i1", "i2", "i3", "i4"],
        ("u2", "r7"): ["i2", "i5"],
        ("u3", "r10"): ["i3", "i7"],
        ("u4", "r12"): ["i5"],
    }
    assert "item_id" not in test.query_feat


def test_a_request_without_history_is_asked_all_the_same(tmp_path, prepare):
    choices = [("u4", "i5", "r11", 3.5) if c[2] == "r11" else c for c in CHOICES]
    write_tiny(tmp_path, choices=choices)
    args = {"split": {"RS": [0.5, 0.0, 0.5]}, "order": "TO", "group_by": "none"}
    _, _, (_, _, test) = prepare("SASRec", tmp_path, eval_args=args)
    # the earlier half of the requests are r1 r5 r8 r2 r6 r9: none of u4's
    assert {request for _, request in exam(test)} == {
        *("r3", "r4", "r7", "r10", "r11", "r12")
    }
    row = list(exam(test)).index(("u4", "r11"))
    assert test.query_feat["item_length"][row] == 1
    assert test.query_feat["item_id_list"][row].sum() == 0
    stock = prepare("BPR", tmp_path, eval_args=args)[2][2]
    assert test.fingerprint == stock.fingerprint
    with pytest.raises(UserError, match="order to TO"):
        prepare("SASRec", tmp_path, eval_args={**args, "order": "RO"})


def test_a_history_keeps_the_latest_items(tiny, prepare):
    _, data, (_, _, test) = prepare("SASRec", tiny, MAX_ITEM_LIST_LENGTH=2)
    row = list(exam(test)).index(("u1", "r4"))
    items = data.id2token("item_id", test.query_feat["item_id_list"][row])
    assert list(items) == ["i3", "i4"]


def test_texts_come_through_and_equal_requests_share_one_id(tiny, prepare):
    _, data, _ = prepare("BPR", tiny)
    assert data.request_texts[0] == ""
    assert set(data.request_texts[1:]) == set(REQUESTS.values())
    assert len(data.request_texts) == data.num("request") == 1 + 10
    for row in range(len(data.inter_feat)):
        asked = data.id2token("request_id", data.inter_feat["request_id"][row])
        text = data.request_texts[data.inter_feat["request"][row]]
        assert text == REQUESTS[asked]
    by_token = dict(zip(data.field2id_token["item_id"], data.item_texts))
    assert by_token == {"[PAD]": "", **ITEMS}


def test_an_item_that_nobody_took_is_a_candidate(tiny, prepare):
    _, data, _ = prepare("BPR", tiny)
    assert data.item_num == 1 + len(ITEMS)
    assert "i9" in data.field2token_id["item_id"]


def test_every_text_column_makes_the_item_text_in_file_order(tmp_path, prepare):
    write_tiny(tmp_path)
    write_atomic(
        tmp_path / "tiny" / "tiny.item",
        {
            "item_id": "token",
            "image": "token",
            "title": "token",
            "price": "float",
            "tags": "token_seq",
        },
        [(id_, "a.png", f"{text}!", 3.5, "warm red") for id_, text in ITEMS.items()],
    )
    _, data, _ = prepare("BPR", tmp_path)
    assert data.item_texts[1] == "Thing 1! warm red"
    _, data, _ = prepare("BPR", tmp_path, item_text_fields=["tags", "title"])
    assert data.item_texts[1] == "warm red. Thing 1!"
    with pytest.raises(UserError, match="no column 'titel'.*Did you mean 'title'"):
        prepare("BPR", tmp_path, item_text_fields=["titel"])


def test_context_models_see_the_request_as_a_category_and_no_id_of_the_asking(
    tiny, prepare
):
    _, data, (train, _, test) = prepare("DeepFM", tiny)
    assert data.fields() == ["user_id", "item_id", "timestamp", "request", "label"]
    # a text that training never had is no category
    row = list(exam(test)).index(("u4", "r12"))
    assert test.query_feat["request"][row] == 0
    assert (train._dataset.inter_feat["request"] > 0).all()


def test_composed_requests_say_what_they_are_made_of(tmp_path, prepare, caplog):
    write_tiny(tmp_path)
    (tmp_path / "tiny" / "tiny.request").unlink()
    (tmp_path / "tiny" / "tiny.inter").write_text(
        "user_id:token\titem_id:token\ttimestamp:float\n"
        + "".join(f"{u}\t{i}\t{t}\n" for u, i, _, t in CHOICES)
    )
    template = "{title:first} number {title}"
    _, data, (_, _, test) = prepare("BPR", tmp_path, request_template=template)
    assert data.composed_from == template
    assert "they reveal its attributes" in caplog.text
    assert len(test.queries) == 4
    for n in range(len(test.queries)):
        item = data.item_texts[test.queries.positives[n].indices[0]]
        text = data.request_texts[test.query_feat["request"][n]]
        assert text == f"Thing number {item}"
    with pytest.raises(UserError, match="no column 'colour'"):
        prepare("BPR", tmp_path, request_template="{colour}")
    with pytest.raises(UserError, match="no column in braces"):
        prepare("BPR", tmp_path, request_template="a dress")


def test_stock_dataset_classes_stay_stock_without_requests(tmp_path, prepare):
    write_tiny(tmp_path)
    (tmp_path / "tiny" / "tiny.request").unlink()
    _, data, (_, valid, _) = prepare("BPR", tmp_path)
    assert type(data) is Dataset
    assert type(valid).__module__.startswith("recbole.")


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_splits_of_requests_are_refused_without_requests(tmp_path, prepare, model):
    (write_tiny(tmp_path) / "tiny" / "tiny.request").unlink()
    # without requests SASRec needs a column of time
    settings = {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    if model == "SASRec":
        settings["loss_type"] = "BPR"
    with pytest.raises(
        UserError, match="new_items is 0.1, but the dataset 'tiny' has no"
    ):
        prepare(model, tmp_path, **settings, new_items=0.1)
    with pytest.raises(UserError, match="folds is 2, but .* or compose requests from"):
        prepare(model, tmp_path, **settings, folds=2)
    assert prepare(model, tmp_path, **settings, new_items=0, folds=1)[1].user_num == 5


def test_a_request_aware_dataset_survives_pickle_and_copy(tiny, prepare):
    _, data, _ = prepare("SASRec", tiny)
    assert isinstance(data, RequestDatasetMixin) and isinstance(data, SequentialDataset)
    for twin in (copy.copy(data), pickle.loads(pickle.dumps(data))):
        assert type(twin) is type(data)
        assert twin.request_texts == data.request_texts


def test_ruled_out_items_follow_the_predicates(tmp_path, prepare):
    write_tiny(tmp_path)
    home = tmp_path / "tiny"
    write_atomic(
        home / "tiny.item",
        {"item_id": "token", "title": "token", "heel": "token", "colour": "token"},
        [
            (id_, text, "high" if n % 2 else "flat", "red" if n < 3 else "blue")
            for n, (id_, text) in enumerate(ITEMS.items())
        ],
    )
    rules = {"r1": "heel=high", "r2": "heel=high colour=red", "r3": "colour=green"}
    write_atomic(
        home / "tiny.request",
        {"request_id": "token", "request": "token", "ruled_out": "token_seq"},
        [(id_, text, rules.get(id_, "")) for id_, text in REQUESTS.items()],
    )
    _, data, _ = prepare("BPR", tmp_path)
    ruled_out = ruled_out_items(data)
    for request, items in {
        "r1": {"i2", "i4", "i6", "i8"},
        "r2": {"i1", "i2", "i3", "i4", "i6", "i8"},
        "r3": set(),
        "r4": set(),
    }.items():
        row = ruled_out[data.token2id("request_id", request)]
        assert set(data.id2token("item_id", row.indices)) == items


# --------------------------------------------------------------------- mistakes


def break_tiny(folder, file, old, new):
    path = write_tiny(folder) / "tiny" / f"tiny.{file}"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    "file, old, new, told",
    [
        ("inter", b"request_id:token", b"ask:token", ["line 1", "'request_id'", "ask"]),
        (
            "inter",
            b"item_id:token",
            b"product:token",
            ["line 1", "no column 'item_id'"],
        ),
        ("inter", b"timestamp:float", b"when:float", ["'timestamp:float'", "RO"]),
        ("inter", b"u1\ti2\tr2\t2", b"u1\ti2\tr99\t2", ["line 3", "'r99'", ".request"]),
        ("inter", b"u1\ti2\tr2\t2", b"u1\ti99\tr2\t2", ["line 3", "'i99'", ".item"]),
        ("inter", b"u1\ti2\tr2\t2", b"u1\ti2\tr2", ["line 3", "3 fields"]),
        ("inter", b"u1\ti2\tr2\t2", b"u1\ti2\tr2\tnoon", ["line 3", "'noon'"]),
        ("inter", b"u1\ti2\tr2\t2", b"u1\ti2\tr2\t", ["line 3", "timestamp is empty"]),
        ("inter", b"u1\ti2\tr2\t2", b"\ti2\tr2\t2", ["line 3", "user_id is empty"]),
        ("inter", b"u2\ti5\tr6", b"u2\ti5\tr2", ["'r2'", "shared by 2 users", "RS"]),
        ("request", b"request:token", b"text:token", ["line 1", "'request'", "text"]),
        ("request", b"r3\ta red dress", b"r3\t  ", ["line 4", "'r3'", "no text"]),
        ("request", b"\nr3\t", b"\nr2\t", ["line 4", "'r2'", "line 3"]),
        ("request", b"\nr3\t", b"\n\t", ["line 4", "request_id is empty"]),
        ("request", b"wedding", b"wedding\tnow", ["line 9", "3 fields"]),
        ("request", b"NA", b"\xff\xfe", ["line 6", "0xff"]),
        ("item", b"Thing 2", b"", ["line 3", "'i2'", "no text", "title"]),
        ("item", b"title:token", b"title", ["line 1", "'title'", "name:type"]),
    ],
)
def test_a_mistake_is_named_with_file_line_and_remedy(
    tmp_path, prepare, file, old, new, told
):
    path = break_tiny(tmp_path, file, old, new)
    with pytest.raises(UserError) as error:
        prepare("BPR", tmp_path)
    for part in [str(path), *told]:
        assert part in str(error.value)


@pytest.mark.parametrize("file", ["inter", "request", "item"])
def test_an_empty_file_is_named(tmp_path, prepare, file):
    path = write_tiny(tmp_path) / "tiny" / f"tiny.{file}"
    path.write_bytes(b"")
    with pytest.raises(UserError, match="file is empty") as error:
        prepare("BPR", tmp_path)
    assert str(path) in str(error.value)


def test_a_text_that_is_not_in_use_may_be_missing(tmp_path, prepare):
    write_tiny(
        tmp_path,
        requests={**REQUESTS, "r99": ""},
        items={**ITEMS, "i99": ""},
    )
    _, data, _ = prepare("BPR", tmp_path)
    assert data.item_texts[data.token2id("item_id", "i99")] == ""


def test_a_split_that_leaves_nothing_to_train_on_is_refused(tmp_path, prepare):
    choices = [(f"u{n}", "i1", f"r{n}", n) for n in range(1, 4)]
    write_tiny(tmp_path, choices=choices)
    all_of_it = {"split": {"RS": [1, 0, 0]}, "order": "TO", "group_by": "user"}
    args = {**all_of_it, "mode": "full"}
    assert len(prepare("BPR", tmp_path, eval_args=args)[2][0]._dataset) == 3
    with pytest.raises(UserError, match="no interaction to train on"):
        prepare("SASRec", tmp_path, eval_args=args)


@pytest.mark.parametrize(
    "each, split, told",
    [
        (
            1,
            {"LS": "valid_and_test"},
            "no validation requests: .* no user has more .* 1",
        ),
        (
            1,
            {"LS": "test_only"},
            "no test requests: .* no user has more than 1. .*'RS'",
        ),
        (2, {"LS": "valid_and_test"}, "no validation requests: .*'LS': 'test_only'"),
        (2, {"LS": "test_only"}, None),
        (2, {"RS": [0.5, 0, 0.5]}, None),
        (3, {"LS": "valid_and_test"}, None),
    ],
)
@pytest.mark.parametrize("model", ["BPR", "WhisperLitePlus"])
def test_a_split_that_leaves_nothing_to_evaluate_is_refused(
    model, each, split, told, tmp_path, prepare
):
    choices = [(f"u{n % 3}", f"i{n // 3 + 1}", f"r{n + 1}", n) for n in range(3 * each)]
    write_tiny(tmp_path, choices=choices)
    args = {"split": split, "order": "TO", "group_by": "user", "mode": "full"}
    settings = {"eval_args": args, "encoder": "tfidf", "encoder_dim": 2}
    if told is None:
        _, _, (_, valid, test) = prepare(model, tmp_path, **settings)
        assert len(test.queries) == 3
        assert len(valid.queries) == (3 if split.get("LS") == "valid_and_test" else 0)
    else:
        with pytest.raises(UserError, match=told):
            prepare(model, tmp_path, **settings)


def test_a_random_split_of_all_requests_suits_users_with_one_each(tmp_path, prepare):
    choices = [(f"u{n}", f"i{n % 4 + 1}", f"r{n}", n) for n in range(1, 11)]
    write_tiny(tmp_path, choices=choices)
    args = {"split": {"RS": [8, 1, 1]}, "order": "RO", "group_by": "none"}
    args["mode"] = "full"
    _, _, (_, valid, test) = prepare("BPR", tmp_path, eval_args=args)
    assert len(valid.queries) == len(test.queries) == 1


def test_sequences_that_a_model_builds_itself_are_refused(tiny, prepare):
    with pytest.raises(UserError, match="DIENDataset"):
        prepare("DIEN", tiny)


def test_presplit_files_keep_their_split(tmp_path, prepare):
    home = write_tiny(tmp_path) / "tiny"
    lines = (home / "tiny.inter").read_text().splitlines(keepends=True)
    parts = {"train": lines[1:4], "valid": lines[4:5], "test": lines[5:6]}
    for name, part in parts.items():
        (home / f"tiny.{name}.inter").write_text("".join(lines[:1] + part))
    names = list(parts)
    _, _, (_, valid, test) = prepare("BPR", tmp_path, benchmark_filename=names)
    assert exam(valid) == {("u1", "r3"): ({"i4"}, {"i1", "i2", "i3"})}
    assert exam(test) == {("u1", "r4"): ({"i1"}, {"i2", "i3", "i4"})}
    with pytest.raises(UserError, match="folds is 2, but benchmark_filename"):
        prepare("BPR", tmp_path, benchmark_filename=names, folds=2)
    (home / "tiny.test.inter").write_text(f"{lines[0]}u1\ti1\t\t9\n")
    with pytest.raises(UserError, match="no test requests: .*'test' .*has one"):
        prepare("BPR", tmp_path, benchmark_filename=names)
    (home / "tiny.test.inter").write_text("".join(lines[:1] + lines[3:4]))
    with pytest.raises(UserError, match="'r2'.*'train'.*'test'"):
        prepare("BPR", tmp_path, benchmark_filename=names)


def test_queries_are_grouped_as_a_plain_loop_groups_them():
    rng = np.random.default_rng(0)
    user, request = rng.integers(1, 6, 200), rng.integers(1, 9, 200)
    item = rng.integers(1, 20, 200)
    had = {(u, i) for u, i in zip(rng.integers(1, 6, 40), rng.integers(1, 20, 40))}
    rows, columns = map(list, zip(*had))
    seen, known = incidence(rows, columns, (6, 20)), (np.arange(200), user)
    queries = make_queries(user, request, item, seen, known)
    expected = {}
    for key, choice in zip(zip(user, request), item):
        expected.setdefault(key, set()).add(choice)
    assert list(zip(queries.user, queries.request)) == list(expected)
    assert queries.known[0].tolist() == queries.row.tolist()
    assert queries.known[1].tolist() == queries.user.tolist()
    for n, (key, positives) in enumerate(expected.items()):
        assert set(queries.positives[n].indices) == positives
        assert (
            set(queries.excluded[n].indices)
            == {i for u, i in had if u == key[0]} - positives
        )
