"""A checkpoint means what it meant: its scores do not change with the files of the dataset."""

import copy
import json
import random

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.quick_start import load_data_and_model
from recbole.utils import get_model, get_trainer, init_seed
from tiny import write_tiny

from recbole_whisperlite.compat.checkpoint import load_checkpoint
from recbole_whisperlite.data.trained_on import Choices, TrainedOn
from recbole_whisperlite.errors import UserError

WORDS = (
    "red blue green yellow black white dress shirt skirt coat shoes boots hat scarf silk "
    "wool cotton linen long short warm light striped dotted plain"
).split()
# Nobody bought it in training, and the first new product has the same words.
UNSOLD = ("unsold", "plain wool hat with dots")
TWIN = ("new0", UNSOLD[1])
CUSTOM = '''
    import numpy as np
    from recbole_whisperlite.encoder.base import Encoder, unit_rows

    class Common(Encoder):
        """The letters of a text, weighted by how many texts of training have them."""

        def __init__(self, config, fit_texts):
            super().__init__(config, fit_texts)
            letters = "abcdefghijklmnopqrstuvwxyz"
            self.weight = {l: sum(l in text for text in fit_texts) for l in letters}

        def fingerprint(self):
            return {"weight": self.weight}

        def encode(self, texts):
            rows = [[text.count(l) * w for l, w in self.weight.items()] for text in texts]
            return unit_rows(np.array(rows, dtype=np.float32))
'''
COUNTING = """
    import torch
    from recbole_whisperlite.model.zeroshot import ZeroShot

    class Familiar(ZeroShot):
        def __init__(self, config, dataset):
            super().__init__(config, dataset)
            _, item, _ = dataset.training_choices().current()
            self.count = torch.bincount(torch.from_numpy(item), minlength=self.n_items)

        def score_catalogue(self, request):
            return super().score_catalogue(request) + self.count.log1p()
"""
BOTH = "['whisperlite-mini', 'tfidf']"
OWN = "letters:Common"
ENCODERS = ["tfidf", "whisperlite-mini", BOTH, "precomputed", OWN]
CASES = [
    *(("WhisperLite", encoder, {}) for encoder in ENCODERS),
    *(("WhisperLitePlus", encoder, {"neighbor_num": 3}) for encoder in ENCODERS),
    *(("ZeroShot", encoder, {}) for encoder in ENCODERS),
    ("Whisper", "whisperlite-mini", {"hidden_size": 8}),
    ("BM25", "tfidf", {}),
    ("counting:Familiar", "tfidf", {}),
    ("RequestPop", "tfidf", {}),
    ("LateFusion", "tfidf", {"k": 3, "fusion_grid": 3}),
    ("LateFusion", "tfidf", {"fusion_models": ["EASE", "ZeroShot"], "fusion_grid": 3}),
    (
        "LateFusion",
        "tfidf",
        {"fusion_models": ["Pop", "WhisperLite"], "fusion_grid": 3},
    ),
]


class Shop:
    """A folder with a tiny shop, which is written anew with more products and purchases."""

    def __init__(self, folder):
        r = random.Random(0)
        self.folder, self.checkpoints = folder, {}
        self.items = {f"i{n}": " ".join(r.sample(WORDS, 4)) for n in range(40)}
        self.requests, self.choices = {}, []
        for n in range(160):
            item = r.choice(list(self.items)[:30])
            words = r.sample(self.items[item].split(), 1 + n % 2)
            self.requests[f"q{n}"] = " ".join(words) + ", no boots" * (n % 8 == 0)
            self.choices.append((f"u{n % 20}", item, f"q{n}", n))
        self.items |= [UNSOLD]
        self.new_items = {TWIN[0]: TWIN[1]} | {
            f"new{n}": " ".join(r.sample([*WORDS, "vase", "lamp", "kettle"], 4))
            for n in range(1, 100)
        }

    def write(self, n_new=0, n_purchases=0):
        """Write the files; some purchases repeat requests of training, some are new."""
        r = random.Random(n_new)
        items = self.items | dict(list(self.new_items.items())[:n_new])
        requests, choices = dict(self.requests), list(self.choices)
        texts = [*self.requests.values(), "a lamp", "no kettle please"]
        for n in range(n_purchases):
            user, item = r.choice([f"u{n % 20}", f"v{n}"]), r.choice(list(items))
            requests[f"p{n}"] = r.choice(texts)
            choices.append((user, item, f"p{n}" if n % 5 else "", 1000 + n))
        write_tiny(self.folder, "shop", choices, requests, items)
        for side, texts in (("request", requests), ("item", items)):
            vectors = [
                np.random.default_rng([*text.encode()]).normal(size=6)
                for text in texts.values()
            ]
            path = self.folder / f"{side}.npz"
            np.savez(path, ids=np.array(list(texts)), vectors=np.float32(vectors))

    def config(self, model, encoder="tfidf", **settings):
        given = {
            "data_path": str(self.folder),
            "checkpoint_dir": str(self.folder / "saved"),
            "cache_dir": str(self.folder / "cache"),
            "request_vectors_file": str(self.folder / "request.npz"),
            "item_vectors_file": str(self.folder / "item.npz"),
            "encoder": (
                json.loads(encoder.replace("'", '"')) if encoder[0] == "[" else encoder
            ),
            "eval_args": {
                "split": {"RS": [0.7, 0.2, 0.1]},
                "order": "TO",
                "group_by": "none",
                "mode": "full",
            },
            "epochs": 2,
            "topk": [3],
            "valid_metric": "NDCG@3",
            "state": "ERROR",
            "show_progress": False,
            **settings,
        }
        return Config(model, "shop", config_dict=given)

    def trainer(self, *args, **settings):
        config = self.config(*args, **settings)
        init_seed(config["seed"], True)
        loaders = data_preparation(config, create_dataset(config))
        model = get_model(config["model"])(config, loaders[0]._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        return trainer, loaders

    def trained(self, model, encoder="tfidf", **settings):
        """The checkpoint of a model trained on the shop as it was, and its scores."""
        key = json.dumps([model, encoder, settings])
        if key not in self.checkpoints:
            self.write()
            trainer, loaders = self.trainer(model, encoder, **settings)
            trainer.saved_model_file = str(self.folder / f"{len(self.checkpoints)}.pth")
            trainer.fit(*loaders[:2], show_progress=False)
            trainer.resume_checkpoint(trainer.saved_model_file)
            scores = by_token(trainer.model, [each._dataset for each in loaders])
            self.checkpoints[key] = trainer.saved_model_file, scores
        return self.checkpoints[key]


def all_scores(model, queries):
    try:
        return model.full_sort_predict(queries)
    except NotImplementedError:  # DeepFM
        pairs = queries.repeat_interleave(42)
        pairs.update(Interaction({"item_id": torch.arange(42).repeat(len(queries))}))
        return model.predict(pairs)


def by_token(model, parts):
    """Scores as ``{(user, request): {item: score}}``, over all phases."""
    found = {}
    for part in parts:
        ids = part.field2id_token
        for row in range(len(part.inter_feat)):
            one = part.inter_feat[[row]]
            request = ids["request_id"][one["request_id"]].item()
            if request != "[PAD]":
                user = ids["user_id"][one["user_id"]].item()
                found.setdefault((user, request), one)
    rows = list(found.values())
    queries = {field: torch.cat([one[field] for one in rows]) for field in rows[0]}
    queries.pop("item_id")
    model.eval()
    with torch.no_grad():
        scores = all_scores(model, Interaction(queries)).view(len(rows), -1)
    items = part.field2id_token["item_id"]
    return {
        key: dict(zip(items[1:], row[1:])) for key, row in zip(found, scores.tolist())
    }


def loaded(path):
    config, model, dataset, *loaders = load_data_and_model(path)
    return model, by_token(model, [loader._dataset for loader in loaders])


def assert_same(found, expected):
    tables = [
        np.array([[found[key][item] for item in row] for key, row in expected.items()]),
        np.array([list(row.values()) for row in expected.values()]),
    ]
    finite = np.isfinite(tables[1])
    assert finite.any() and np.isfinite(tables[0]).all()
    np.testing.assert_allclose(*tables, rtol=0, atol=1e-5 * np.abs(tables[1]).max())


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("model, encoder, settings", CASES)
def test_the_same_requests_have_the_same_scores_whatever_came_later(
    shop, write_module, model, encoder, settings
):
    write_module("letters", CUSTOM)
    write_module("counting", COUNTING)
    path, expected = shop.trained(model, encoder, **settings)
    values = np.array([list(row.values()) for row in expected.values()])
    assert len(np.unique(values.round(6))) > 10
    growth = ((0, 0), (1, 0), (10, 60), (100, 60))
    if (
        model == "Whisper"
    ):  # loads its text encoder, which takes a second, twice each time
        growth = growth[2:]
    for n_new, n_purchases in growth:
        shop.write(n_new, n_purchases)
        loaded_model, found = loaded(path)
        assert_same(found, expected)
        assert len(next(iter(found.values()))) == len(shop.items) + n_new
        if n_new == 0 or "Pop" in settings.get("fusion_models", ()):
            continue  # RecBole's Pop counts what it is given, sampled negatives included
        # a new product is found by its words, like one that nobody has bought yet, but
        # that nobody bought it when nobody could is not held against it
        scale, less = 1e-5 * np.abs(values).max(), 0.0
        gaps = [row[UNSOLD[0]] - row[TWIN[0]] for row in found.values()]
        if model == "WhisperLitePlus":
            of_term = loaded_model.term_names.index("unchosen")
            known, _, alone = loaded_model.fitted_weight[:, of_term].tolist()
            assert abs(known) > 0.01
            # the first request of a user has no history
            _, n = np.unique([user for user, _ in found], return_counts=True)
            n_alone = np.isclose(gaps, alone, rtol=0, atol=scale).sum()
            assert abs(known - alone) < scale or n_alone == len(n)
            less = np.where(np.isclose(gaps, alone, rtol=0, atol=scale), alone, known)
        np.testing.assert_allclose(gaps, less, rtol=0, atol=scale)


def test_a_model_that_knows_no_refusals_is_loaded_with_requests_that_have_some(
    shop, monkeypatch
):
    plain = {id_: text.split(",")[0] for id_, text in shop.requests.items()}
    monkeypatch.setattr(shop, "requests", plain)
    path, expected = shop.trained("WhisperLitePlus", "tfidf", seed=1)
    extra = {**plain, "r": "a red dress, no wool"}
    monkeypatch.setattr(shop, "requests", extra)
    monkeypatch.setattr(shop, "choices", [*shop.choices, ("u1", "i1", "r", 1000)])
    shop.write()
    model, found = loaded(path)
    assert_same(found, expected)
    assert not model.use_refusals and ("u1", "r") in found


@pytest.mark.parametrize("encoder", ["tfidf", "whisperlite-mini"])
def test_a_model_that_knows_refusals_is_loaded_with_requests_that_have_none(
    shop, monkeypatch, encoder
):
    path, _ = shop.trained("WhisperLitePlus", encoder, neighbor_num=3)
    kept = [row for row in shop.choices if "no boots" not in shop.requests[row[2]]]
    assert len(kept) == len(shop.choices) - 20
    monkeypatch.setattr(shop, "choices", kept)
    shop.write()
    model, found = loaded(path)
    assert model.use_refusals and len(found) == len(kept)


def test_a_custom_model_is_served_as_its_nearest_base_is():
    for name, served in (("WhisperLite", True), ("ZeroShot", True), ("BPR", False)):
        custom = type("Custom", (get_model(name),), {})
        assert TrainedOn.serves(custom) == served


def test_a_checkpoint_holds_no_weights_of_clip_and_no_ids_it_does_not_need(shop):
    path, _ = shop.trained("WhisperLite", "whisperlite-mini")
    record = load_checkpoint(path)["config"].trained_on
    assert record.encoder_state == {} and record.item is None
    assert record.item_tokens[1:].tolist()[-1] == UNSOLD[0]
    assert set(record.item_tokens[1:]) == set(shop.items)
    path, _ = shop.trained("RequestPop", "tfidf")
    record = load_checkpoint(path)["config"].trained_on
    assert record.item.dtype == record.user.dtype == record.request.dtype == np.int32
    told = zip(
        record.user_tokens[record.user],
        record.item_tokens[record.item],
        record.request_texts[record.request],
    )
    expected = [
        (u, i, shop.requests[q]) for u, i, q, time in shop.choices if time < 112
    ]
    assert sorted(told) == sorted(expected)  # seven tenths of the 160


def test_a_config_that_is_used_again_keeps_the_last_data_only(shop):
    shop.write()
    config = shop.config("RequestPop")
    data_preparation(config, create_dataset(config))
    assert len(config.trained_on.item_tokens) == 1 + len(shop.items)
    shop.write(10)
    data_preparation(config, create_dataset(config))
    assert len(config.trained_on.item_tokens) == 11 + len(shop.items)


def test_what_is_gone_is_left_out_of_what_it_alone_concerns():
    now = np.array([0, 2, -1, 1])
    choices = Choices(
        user=np.array([1, 2, 3, 3]),
        item=np.array([1, 1, 2, 3]),
        request=np.array([1, 2, 3, 0]),
        user_now=now,
        item_now=now,
        request_now=now,
        n_items=5,
    )
    user, item, request = choices.current()
    assert item.tolist() == [2, 2, 1]  # item 2 is gone, and with it a choice
    assert user.tolist() == [2, 3, 1]  # user 2 is gone, and still someone else
    assert request.tolist() == [2, 0, 0]  # the text of request 2 is gone
    assert choices.known_items.tolist() == [0, 2, 1]
    assert choices.item_then.tolist() == [0, 3, 1, 0, 0]
    assert choices.user_then(3).tolist() == [0, 3, 1]


def test_bm25_scored_by_given_statistics_is_bm25s(shop):
    shop.write()
    trainer, loaders = shop.trainer("BM25")
    requests = torch.arange(len(loaders[0]._dataset.request_texts))
    expected = trainer.model.score_catalogue(requests)
    trainer.model._score_anew()
    torch.testing.assert_close(trainer.model.score_catalogue(requests), expected)


@pytest.mark.parametrize("model", ["BPR", "SASRec", "DeepFM", "Pop"])
def test_models_with_embeddings_of_ids_refuse_other_ids_in_a_sentence(shop, model):
    given = {"SASRec": {"train_neg_sample_args": None}}.get(model, {})
    path, expected = shop.trained(model, **given)
    shop.write()
    assert_same(loaded(path)[1], expected)
    shop.write(1)
    with pytest.raises(
        UserError, match="on 41 values of item_id.*shop has 42 now: train it"
    ):
        loaded(path)


def test_ids_in_another_order_are_refused_too(shop):
    path, _ = shop.trained("BPR")
    shop.write()
    file = shop.folder / "shop" / "shop.inter"
    head, first, second, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, second, first, *lines]) + "\n")
    with pytest.raises(
        UserError, match="on 41 values of item_id.*has 41 others now, or in another"
    ):
        loaded(path)


def test_without_requests_too(tmp_path):
    config = {
        "data_path": str(tmp_path),
        "checkpoint_dir": str(tmp_path),
        "state": "ERROR",
        "epochs": 1,
        "topk": [3],
        "valid_metric": "NDCG@3",
    }
    (tmp_path / "plain").mkdir()

    def write(n_items):
        rows = [f"u{n % 7}\ti{n % n_items}" for n in range(60)]
        text = "\n".join(["user_id:token\titem_id:token", *rows])
        (tmp_path / "plain/plain.inter").write_text(text + "\n")

    write(11)
    config = Config("BPR", "plain", config_dict=config)
    train, valid, _ = data_preparation(config, create_dataset(config))
    model = get_model("BPR")(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "BPR")(config, model)
    trainer.fit(train, valid)
    again = load_data_and_model(trainer.saved_model_file)[1]
    assert torch.equal(again.item_embedding.weight, model.item_embedding.weight)
    write(12)
    with pytest.raises(
        UserError, match="trained on 11 values of item_id.*plain has 12 now"
    ):
        load_data_and_model(trainer.saved_model_file)


def test_latefusion_refuses_a_part_with_embeddings_of_ids(shop):
    path, expected = shop.trained("LateFusion", fusion_models=["BPR", "BM25"])
    shop.write()
    assert_same(loaded(path)[1], expected)
    shop.write(1)
    with pytest.raises(UserError, match="a part BPR, which learned each user"):
        loaded(path)


@pytest.mark.parametrize("model", ["WhisperLite", "WhisperLitePlus", "BPR"])
def test_a_run_on_other_data_does_not_continue_a_checkpoint(shop, model):
    path, _ = shop.trained(model)
    shop.write(1, 20)
    trainer, loaders = shop.trainer(model)
    with pytest.raises(UserError, match="train .*anew"):
        trainer.resume_checkpoint(path)
    with pytest.raises(UserError, match="train .*anew"):
        trainer.evaluate(loaders[2], model_file=path)


def test_where_nothing_was_fitted_or_counted_training_goes_on_with_other_data(shop):
    path, _ = shop.trained("WhisperLite", "whisperlite-mini")
    shop.write(1, 20)
    trainer, loaders = shop.trainer("WhisperLite", "whisperlite-mini", epochs=3)
    trainer.resume_checkpoint(path)
    trainer.fit(*loaders[:2], saved=False)
    assert list(trainer.train_loss_dict) == [2]


@pytest.mark.parametrize("model", ["WhisperLitePlus", "LateFusion"])
def test_a_loaded_model_that_counts_does_not_learn_from_other_data(shop, model):
    path, _ = shop.trained(model)
    shop.write(0, 60)
    config, model, _, *loaders = load_data_and_model(path)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    with pytest.raises(UserError, match="no longer those that the loaded model counts"):
        trainer.fit(*loaders[:2], saved=False)


def test_a_checkpoint_written_before_is_loaded_with_a_warning(shop, tmp_path, caplog):
    path, expected = shop.trained("RequestPop", "tfidf")
    shop.write()
    checkpoint = load_checkpoint(path)
    del checkpoint["config"].trained_on
    backoff = torch.full((1 + len(shop.items),), 7.0)
    checkpoint["state_dict"]["backoff"] = backoff
    checkpoint["other_parameter"] = {"request_cnt": None}
    torch.save(checkpoint, tmp_path / "old.pth", pickle_protocol=4)
    _, found = loaded(tmp_path / "old.pth")
    assert_same(found, expected)
    assert "does not say what it was trained on" in caplog.text


def test_a_record_is_the_same_after_writing_and_reading():
    tokens = np.array(["[PAD]", "a", "b\n", "ü"], dtype=object)
    record = TrainedOn(
        **dict.fromkeys(("item_tokens", "user_tokens", "request_texts"), tokens),
        **dict.fromkeys(("user", "item", "request"), np.array([1, 3])),
        label=np.array([True, False]),
    )
    again = TrainedOn.__new__(TrainedOn)
    again.__setstate__(record.__getstate__())
    assert again.rows_digest == record.rows_digest
    assert again.request_texts.tolist() == tokens.tolist()
    assert again.is_loaded and again.encoder_state == {}
    assert not copy.deepcopy(record).is_loaded and copy.deepcopy(again).is_loaded


@pytest.mark.parametrize("model", ["WhisperLite", "ZeroShot", "BM25", "RequestPop"])
def test_what_remains_after_a_product_is_removed_keeps_its_scores(
    shop, monkeypatch, model
):
    path, expected = shop.trained(model)
    left = {item: text for item, text in shop.items.items() if item != UNSOLD[0]}
    monkeypatch.setattr(shop, "items", left)
    shop.write()
    found = loaded(path)[1]
    assert_same(
        found, {q: {item: row[item] for item in left} for q, row in expected.items()}
    )
