"""WhisperLite in RecBole3.0: on the real one where it is installed, else on a stand-in."""

import importlib
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recbole3_stand_in
import torch
import yaml
from tiny import write_tiny

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.whisperlite import WhisperLite
from recbole_whisperlite.paths import PROPERTIES

IS_INSTALLED = importlib.util.find_spec("recbole3") is not None
needs_recbole3 = pytest.mark.skipif(
    not IS_INSTALLED, reason="RecBole3.0 is not installed (docs/recbole3.md)"
)
OURS = "recbole_whisperlite.recbole3"

# u1 asks once for two things and is tested on them; i2 was chosen in between without a
# request. u2 asks three times, for i1 again at the end.
CHOICES = [
    ("u1", "i1", "r1", 10),
    ("u1", "i3", "r2", 20),
    ("u1", "i2", "", 25),
    ("u1", "i4", "r3", 30),
    ("u1", "i5", "r3", 31),
    ("u2", "i1", "r4", 1),
    ("u2", "i6", "r5", 2),
    ("u2", "i1", "r6", 3),
    ("u3", "i8", "", 0),
    ("u3", "i6", "r7", 1),
    ("u3", "i3", "r8", 5),
    ("u3", "i4", "r9", 6),
]
REQUESTS = {f"r{n}": f"thing {n} please" for n in range(1, 9)} | {"r9": '"null'}


@pytest.fixture(scope="module")
def recbole3():
    """RecBole3.0 with our entries, the real one if it is installed."""
    before = set(sys.modules)
    if not IS_INSTALLED:
        recbole3_stand_in.install()
    importlib.import_module(OURS)
    yield importlib.import_module("recbole3")
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("recbole3", "hydra") or name.startswith(OURS):
            del sys.modules[name]


@pytest.fixture
def entry(recbole3):
    """Return the entry of a table by name."""

    def find(name):
        data = importlib.import_module("recbole3.dataset").DATASET_TABLE
        return (
            data.get(name)
            or importlib.import_module("recbole3.model").MODEL_TABLE[name]
        )

    return find


@pytest.fixture
def read(tmp_path, entry):
    """Return a function that prepares a folder as RecBole3.0's pipeline does."""

    def prepare(choices=CHOICES, requests=REQUESTS, **settings):
        path = write_tiny(tmp_path, "shop", choices, requests) / "shop"
        spec = entry("request_folder")
        config = spec.config_cls(path=str(path), **settings)
        if "split" not in settings:
            config.split.strategy = "leave_one_out"
        return spec.dataset_cls(config).prepare(eval_config=evaluation())

    return prepare


def evaluation():
    if not IS_INSTALLED:
        return None
    from recbole3.evaluation import EvalConfig, MetricSpec

    metrics = (MetricSpec("recall", (2,)), MetricSpec("ndcg", (2,)))
    return EvalConfig(protocol="full", metrics=metrics, exclude_history=True)


@pytest.fixture
def built(read, entry):
    """Return a function (settings) -> model and its data, as the pipeline makes them."""

    def build(data=None, random_vectors=False, **settings):
        spec = entry("whisperlite")
        settings = {
            "name": "whisperlite",
            "encoder": "tfidf",
            "encoder_dim": 4,
        } | settings
        model = spec.model_cls(spec.config_cls(**settings))
        data = read() if data is None else data
        data = spec.model_data_cls.from_task_dataset(data, model_config=settings)
        if random_vectors:
            draw = np.random.default_rng(0).normal
            for side in ("request_vectors", "item_vectors"):
                shape = len(getattr(data, side)), 6
                setattr(data, side, draw(size=shape).astype("f4"))
        model.ensure_initialized(data)
        return model, data

    return build


def tokens(data, items):
    names = data.get_item_table()["item_token"].to_numpy()
    return [names[item] for item in items]


def rows(data, frame, *columns):
    found = zip(tokens(data, frame["item_id"]), *(frame[name] for name in columns))
    return sorted(found)


def test_two_entries_and_the_settings_of_their_names(recbole3, entry):
    from hydra.core.config_store import ConfigStore

    assert entry("request_folder").dataset_cls.parser_cls is not None
    spec = entry("whisperlite")
    stored = ConfigStore.instance().repo
    if IS_INSTALLED:
        node = stored["model"]["whisperlite.yaml"].node
        assert node["model"]["name"] == "whisperlite"
        assert stored["dataset"]["request_folder.yaml"].node["name"] == "request_folder"
    else:
        node = stored["model", "whisperlite"]
    # whatever Hydra hands over is a setting of the model, with the default of RecBole 1
    config = spec.config_cls(**node["model"])
    given = yaml.safe_load((PROPERTIES / "model" / "WhisperLite.yaml").read_text())
    for name in ("embedding_size", "mlp_hidden_size", "temperature", "bce_weight"):
        assert getattr(config, name) == given[name] == node["model"][name]
    assert node["trainer"]["batch_size"] * 2 == given["train_batch_size"]


def test_models_of_recbole3_keep_their_entries(recbole3, entry):
    plain, by_request = entry("hstu"), entry("hstu_by_request")
    assert by_request.model_cls is plain.model_cls
    assert by_request.trainer_cls is entry("whisperlite").trainer_cls
    assert issubclass(by_request.trainer_cls, plain.trainer_cls)
    table = importlib.import_module("recbole3.model").MODEL_TABLE
    assert (
        "rpg" in table and "rpg_by_request" not in table
    )  # it has a trainer of its own


def test_texts_are_read_as_they_were_written(read):
    data = read()
    asked = pd.concat(
        [data.get_train_dataset().frame]
        + [data.get_eval_dataset(part).frame for part in ("valid", "test")]
    )
    assert dict(zip(asked["request_id"], asked["request"])) == REQUESTS | {"": ""}
    items = data.get_item_table()
    assert dict(zip(items["item_token"], items["metadata_text"]))["i9"] == "Thing 9"
    assert data.get_num_items() == 9  # the catalogue, not only what somebody chose


def test_whole_requests_are_split_and_what_came_without_one_is_history(read):
    data = read()
    train = data.get_train_dataset().frame
    of_u3 = [("i6", "r7"), ("i8", "")]
    assert rows(data, train, "request_id") == [("i1", "r1"), ("i1", "r4"), *of_u3]
    test = data.get_eval_dataset("test").frame
    of_u1 = test[test["request_id"] == "r3"]
    # one time for the request, whose two items are one query, asked once
    assert of_u1["timestamp"].tolist() == [30, 30]
    assert [tokens(data, each) for each in of_u1["positive_item_ids"]] == [
        ["i4", "i5"],
        [],
    ]
    # the history of both rows ends at the request
    for seen in of_u1["seen_item_ids"]:
        assert tokens(data, seen) == ["i1", "i3", "i2"]


def test_a_positive_that_the_user_chose_before_is_a_candidate(read):
    data = read()
    test = data.get_eval_dataset("test").frame
    again = test[test["request_id"] == "r6"].iloc[0]
    assert tokens(data, again["positive_item_ids"]) == ["i1"]
    assert tokens(data, again["seen_item_ids"]) == ["i6"]  # i1, too, was seen


def test_users_who_share_a_request_cannot_be_split_one_by_one(read):
    shared = [*CHOICES, ("u3", "i5", "r3", 40)]
    with pytest.raises(UserError, match="request 'r3' is shared by 2 users"):
        read(shared)


@needs_recbole3
def test_a_random_split_keeps_requests_whole(read):
    from recbole3.dataset import SplitConfig

    split = SplitConfig(strategy="ratio", order="random", per_user=False)
    split.train_ratio, split.valid_ratio, split.test_ratio = 5, 2, 2
    data = read(split=split)
    parts = [data.get_train_dataset().frame]
    parts += [data.get_eval_dataset(part).frame for part in ("valid", "test")]
    requests = [part["request_id"][part["request_id"] != ""] for part in parts]
    assert [part.nunique() for part in requests] == [5, 2, 2]
    assert pd.concat([part.drop_duplicates() for part in requests]).is_unique
    for part in requests:  # rows of a request are beside each other
        assert (part != part.shift()).sum() == part.nunique()


@pytest.mark.parametrize(
    "choices, requests, message",
    [
        (
            [("u1", "i1", "r1", 1)],
            {"r2": "a hat"},
            "line 2: the request_id 'r1' is not",
        ),
        ([("u1", "i1", "r1", 1)], {"r1": " "}, "'r1' has no text"),
        ([("u1", "x", "r1", 1)], {"r1": "a hat"}, "the item 'x' is not in"),
        ([("u1", "i1", "r1", "noon")], {"r1": "a hat"}, "'noon' is not a number"),
        ([("u1", "i1", "", 1)], {"r1": "a hat"}, "every line is empty"),
        ([("", "i1", "r1", 1)], {"r1": "a hat"}, "line 2: the user_id is empty"),
    ],
)
def test_malformed_files_end_in_a_sentence(read, choices, requests, message):
    with pytest.raises(UserError, match=message):
        read(choices, requests)


def test_a_folder_that_is_not_there_is_named(entry):
    spec = entry("request_folder")
    parser = spec.dataset_cls.parser_cls(spec.config_cls(path="nowhere"))
    with pytest.raises(UserError, match="nowhere.inter: this file does not exist"):
        parser.parse()


def test_reviews_of_the_target_are_said_to_be_such(read, tmp_path, caplog):
    about = tmp_path / "shop" / "shop.request.json"
    about.parent.mkdir()
    about.write_text(json.dumps({"kind": "review"}))
    read()
    assert "reviews of the target item" in caplog.text


def test_a_setting_out_of_its_range_ends_in_a_sentence(entry):
    with pytest.raises(UserError, match="temperature is 0; it must be a number"):
        entry("whisperlite").config_cls(temperature=0)


def test_it_needs_a_dataset_with_requests(read, built):
    data = read()
    data.get_train_dataset().frame.drop(columns="request", inplace=True)
    with pytest.raises(UserError, match="dataset=request_folder"):
        built(data)


def test_a_batch_has_positives_and_as_many_negatives_that_could_have_been_chosen(built):
    model, data = built()
    train = data.get_train_dataset().frame
    assert set(train["request_id"]) == {"r1", "r4", "r7"}  # i8 has no request
    collate = model.build_train_collator(data)
    item = dict(zip(data.get_item_table()["item_token"], range(9)))
    drawn = set()
    for _ in range(50):
        batch = collate(train)
        n = len(train)
        assert batch["label"][:n].eq(1).all() and batch["label"][n:].eq(0).all()
        assert batch["item_id"][:n].tolist() == train["item_id"].tolist()
        drawn |= set(
            zip(batch["request_text"][n:].tolist(), batch["item_id"][n:].tolist())
        )
    number = dict(zip(train["request_id"], train["request_text"]))
    # in training u1 and u2 chose i1 and u3 chose i6; nobody chose anything else
    assert drawn == {
        (number["r1"], item["i6"]),
        (number["r4"], item["i6"]),
        (number["r7"], item["i1"]),
    }


def test_a_user_who_chose_everything_has_no_negatives(read, built):
    everything = [("u1", f"i{n}", f"r{n}", n) for n in range(1, 10)]
    later = [("u1", "i1", "r10", 10), ("u1", "i2", "r11", 11)]
    requests = {f"r{n}": f"thing {n}" for n in range(1, 12)}
    model, data = built(read(everything + later, requests))
    batch = model.build_train_collator(data)(data.get_train_dataset().frame)
    assert batch["label"].tolist() == [1] * 9


class AsInRecBole:
    """The same vectors and choices, as the model of RecBole 1 reads them: ids from 1."""

    field2type = {"label": "float"}

    def __init__(self, data):
        self.vectors = [
            np.vstack([np.zeros(part.shape[1]), part]).astype("f4")
            for part in (data.request_vectors, data.item_vectors)
        ]
        chosen = data.get_train_dataset().frame["item_id"].to_numpy() + 1
        self.inter_feat = {"item_id": torch.tensor(chosen)}

    def num(self, field):
        return len(self.vectors[1])

    def request_vectors(self):
        return self.vectors[0]

    def item_vectors(self):
        return self.vectors[1]


class Config(dict):
    def __missing__(self, key):
        return None


@pytest.fixture
def pair(built):
    """The model in RecBole3.0, its data, and the model of RecBole 1 with equal weights."""
    model, data = built(random_vectors=True)
    given = yaml.safe_load((PROPERTIES / "model" / "WhisperLite.yaml").read_text())
    fields = {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id"}
    fields |= {"REQUEST_FIELD": "request", "LABEL_FIELD": "label", "device": "cpu"}
    fields |= {"NEG_PREFIX": "neg_"}
    other = WhisperLite(Config(given | fields), AsInRecBole(data))
    other.load_state_dict(
        model.state_dict()
    )  # and so the names of the weights are equal
    return model, data, other


def test_loss_and_gradients_are_those_of_the_model_in_recbole_1(pair):
    from recbole.data.interaction import Interaction

    model, data, other = pair
    collate, batch = model.build_train_collator(data), {"label": torch.ones(1)}
    while batch["label"].all():  # until a negative is drawn that somebody chose
        batch = collate(data.get_train_dataset().frame)
    loss = model.compute_loss(batch, model(batch))
    there = {"request": batch["request_text"] + 1, "item_id": batch["item_id"] + 1}
    expected = other.calculate_loss(Interaction(there | {"label": batch["label"]}))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward(), expected.backward()
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters()):
        if ours.requires_grad:
            assert ours.grad.abs().max() > 0, name
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_ranking_is_that_of_the_model_in_recbole_1(pair):
    model, data, other = pair
    model.eval(), other.eval()
    test = data.get_eval_dataset("test").frame
    inputs = model.build_eval_collator(data)(test)
    with torch.no_grad():
        score = other.full_sort_predict({"request": inputs["request_text"] + 1})
        score = score.view(len(test), -1)[:, 1:]
        best = model.predict(inputs, k=9)
        assert torch.equal(best, score.argsort(dim=1, descending=True))
        # what is excluded comes last; with candidates, only they are ranked
        excluded = best[:, :1]
        left = model.predict(
            inputs,
            k=8,
            exclude_item_ids=excluded,
            exclude_mask=torch.ones_like(excluded, dtype=torch.bool),
        )
        assert torch.equal(left, best[:, 1:])
        assert torch.equal(
            model.predict(inputs, k=2, candidate_item_ids=best[:, [5, 0, 3]]),
            best[:, [0, 3]],
        )
    with pytest.raises(UserError, match="has k = 10, and the catalogue has 9 items"):
        model.predict(inputs, k=10)


def test_a_seed_makes_the_weights(built):
    weights = [built(seed=seed)[0].state_dict() for seed in (1, 1, 2)]
    name = "items.tower.mlp_layers.mlp_layers.1.weight"
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])


def test_a_query_is_one_case_with_all_its_positives(read, entry):
    data = read()
    from recbole3.trainer import Trainer

    class Settings:
        eval = evaluation() or type(
            "Eval", (), {"protocol": "full", "metrics": (), "exclude_history": True}
        )

    trainer = entry("whisperlite").trainer_cls.__new__(entry("whisperlite").trainer_cls)
    trainer.config = Settings
    method = trainer.create_evaluation_method(data)
    test = data.get_eval_dataset("test").frame
    items, mask = method._single_target_tensors(test)
    found = zip(test["request_id"], items, mask)
    found = [(id_, tokens(data, row[used])) for id_, row, used in found]
    assert sorted(found, reverse=True) == [
        ("r9", ["i4"]),
        ("r6", ["i1"]),
        ("r3", ["i4", "i5"]),
        ("r3", []),
    ]
    # without queries, and in other protocols, the choice is RecBole3.0's
    Settings.eval.protocol = "sampled"
    plain = Trainer.create_evaluation_method(trainer, data)
    assert (
        type(trainer.create_evaluation_method(data)) is type(plain) is not type(method)
    )


@needs_recbole3
def test_metrics_of_several_positives_by_hand(read, entry):
    from recbole3.evaluation.metric import RetrievalEvalData

    data = read()
    trainer = entry("whisperlite").trainer_cls.__new__(entry("whisperlite").trainer_cls)
    trainer.config = type("Settings", (), {"eval": evaluation()})
    method = trainer.create_evaluation_method(data)
    test = data.get_eval_dataset("test").frame
    targets = [each.numpy() for each in method._single_target_tensors(test)]
    item = dict(zip(data.get_item_table()["item_token"], range(9)))
    # u1 is shown i4 and i9 (one of two), u2 i1 first (all), u3 neither
    best = {"r3": ["i4", "i9"], "r6": ["i1", "i2"], "r9": ["i8", "i9"]}
    best = [[item[each] for each in best[id_]] for id_ in test["request_id"]]
    best = np.array(best)
    found = method.compute_metrics([RetrievalEvalData(best, *targets)])
    assert found["recall@2"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    ideal = 1 + 1 / math.log2(3)
    assert found["ndcg@2"] == pytest.approx((1 / ideal + 1 + 0) / 3)


#: What a run uses, from the import to the ranking, in a process of its own.
RUN = """
import sys
sys.path.insert(0, {tests!r})
import importlib.util
if importlib.util.find_spec("recbole3") is None:
    import recbole3_stand_in
    recbole3_stand_in.install()
import recbole_whisperlite.recbole3
from recbole3.dataset import DATASET_TABLE
from recbole3.model import MODEL_TABLE
import torch
from test_recbole3 import evaluation
spec = DATASET_TABLE["request_folder"]
config = spec.config_cls(path={path!r})
config.split.strategy = "leave_one_out"
data = spec.dataset_cls(config).prepare(eval_config=evaluation())
spec = MODEL_TABLE["whisperlite"]
settings = dict(name="whisperlite", encoder=["whisperlite-mini", "tfidf"], encoder_dim=4)
model = spec.model_cls(spec.config_cls(**settings))
data = spec.model_data_cls.from_task_dataset(data, model_config=settings)
batch = model.build_train_collator(data)(data.get_train_dataset().frame)
model.compute_loss(batch, model(batch)).backward()
test = data.get_eval_dataset("test").frame
print(model.eval().predict(model.build_eval_collator(data)(test), k=3).shape)
print(sorted(name for name in sys.modules if name.split(".")[0] == "recbole"))
"""


def test_nothing_of_it_imports_recbole_1(tmp_path):
    path = str(write_tiny(tmp_path, "shop", CHOICES, REQUESTS) / "shop")
    code = RUN.format(tests=str(Path(__file__).parent), path=path)
    code = code.replace("from test_recbole3 import evaluation", IMPORTLESS)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["torch.Size([4, 3])", "[]"]


# this module imports RecBole 1, so that process must not import it
IMPORTLESS = """
def evaluation():
    try:
        from recbole3.evaluation import EvalConfig
    except ImportError:
        return None
    return EvalConfig(protocol="full")
"""


@pytest.mark.skipif(IS_INSTALLED, reason="RecBole3.0 is installed")
def test_without_recbole3_the_launcher_says_how_to_get_it():
    code = [sys.executable, "-m", OURS, "model=whisperlite"]
    done = subprocess.run(code, capture_output=True, text=True)
    assert done.returncode == 2
    assert "git clone https://github.com/RUCAIBox/RecBole3.0" in done.stderr
    assert done.stderr.count("\n") == 1


@needs_recbole3
def test_the_own_command_of_recbole3_trains_and_evaluates(tmp_path):
    path = write_tiny(tmp_path, "shop", CHOICES, REQUESTS) / "shop"
    ks = "[{name:recall,ks:[9]},{name:ndcg,ks:[9]}]"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "recbole3.run"]
        + ["hydra.searchpath=[pkg://recbole_whisperlite.recbole3]"]
        + ["dataset=request_folder", f"dataset.path={path}", "runtime.device=cpu"]
        + ["model=whisperlite", "model.encoder=tfidf", "model.encoder_dim=4"]
        + [
            "trainer.max_epochs=2",
            "trainer.monitor=ndcg@9",
            f"trainer.eval.metrics={ks}",
        ]
        + [f"runtime.output_dir={tmp_path / 'out'}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = yaml.safe_load(done.stdout[done.stdout.index("\nprepared_data:") :])
    assert result["prepared_data"]["num_train_records"] == 3
    # of nine products all but the seen ones are ranked: every positive is found
    assert result["test"]["metrics"]["recall@9"] == 1.0
    losses = [epoch["loss"] for epoch in result["fit"]["train_history"]]
    assert losses[1] < losses[0]
