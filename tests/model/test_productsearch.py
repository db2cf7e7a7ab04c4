"""What ZAM, TEM and QuerySeqRec have in common, on the dozen requests and on a small shop."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from close import assert_close_relative
from recbole.data.interaction import Interaction
from recbole.quick_start import load_data_and_model
from recbole.utils import get_model, get_trainer, init_seed
from tiny import CHOICES, ITEMS, REQUESTS, write_tiny

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.productsearch import ItemLanguageModel
from recbole_whisperlite.model.wordbags import WordBags

MODELS = ["ZAM", "TEM", "QuerySeqRec"]
SMALL = {"embedding_size": 8, "show_progress": False}
NEGATIVES = {"distribution": "uniform", "sample_num": 2}


def made(prepare, model, path, **settings):
    config, _, loaders = prepare(model, path, **{**SMALL, **settings})
    return config, loaders, get_model(model)(config, loaders[0]._dataset)


def losses(loader, model):
    model.eval()  # no dropout and no replacements
    return [(batch, model.calculate_loss(batch)) for batch in loader]


@pytest.mark.parametrize("model", MODELS)
def test_ns_is_cross_entropy_of_each_choice_and_its_negatives(tiny, prepare, model):
    settings = {"loss_type": "NS", "train_neg_sample_args": NEGATIVES}
    if model != "QuerySeqRec":
        settings["text_weight"] = 0
    _, (train, *_), built = made(prepare, model, tiny, **settings)
    for batch, loss in losses(train, built):
        scores = built.full_sort_predict(batch).view(len(batch), -1)
        chosen = scores[torch.arange(len(batch)), batch["item_id"]]
        expected = 0
        for score, label in zip(chosen, batch["label"]):
            expected -= F.logsigmoid(score if label else -score)
        assert batch["label"].sum() * 3 == len(batch)
        assert_close_relative(loss, expected / batch["label"].sum())


@pytest.mark.parametrize("negatives", [None, NEGATIVES])
@pytest.mark.parametrize("model", MODELS)
def test_ce_is_the_softmax_over_all_items(tiny, prepare, model, negatives):
    settings = {"loss_type": "CE", "train_neg_sample_args": negatives}
    if model != "QuerySeqRec":
        settings["text_weight"] = 0
    _, (train, *_), built = made(prepare, model, tiny, **settings)
    for batch, loss in losses(train, built):
        scores = built.full_sort_predict(batch).view(len(batch), -1)
        expected = []
        for row, item in enumerate(batch["item_id"].tolist()):
            if negatives is None or batch["label"][row]:
                share = scores[row].exp() / scores[row, 1:].exp().sum()
                expected.append(-share[item].log())
        assert_close_relative(loss, sum(expected) / len(expected))


@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
def test_one_item_scores_as_in_the_full_catalogue(tiny, prepare, model):
    _, (*_, test), built = made(prepare, model, tiny)
    queries, n_items = test.query_feat, test._dataset.item_num
    full = built.eval().full_sort_predict(queries)
    assert len(full.unique()) > n_items
    rows = queries.repeat_interleave(n_items)
    rows.update(Interaction({"item_id": torch.arange(n_items).repeat(len(queries))}))
    order = torch.randperm(len(rows))  # rows of a query need not stand together
    assert_close_relative(built.predict(rows[order]), full[order])


@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
def test_a_query_scores_the_same_in_any_batch(tiny, prepare, model):
    _, (*_, test), built = made(prepare, model, tiny)
    queries = test.query_feat
    assert len(queries["history_length"].unique()) > 1  # so that some are padded
    alone = [built.eval().full_sort_predict(queries[[n]]) for n in range(len(queries))]
    assert_close_relative(torch.cat(alone), built.full_sort_predict(queries))


@pytest.mark.parametrize("model", MODELS)
def test_the_seed_decides_everything(tiny, prepare, model):
    found = []
    for seed in (1, 1, 2):
        config, (train, valid, _), built = made(
            prepare, model, tiny, seed=seed, epochs=2
        )
        trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
        trainer.fit(train, valid, saved=False)
        found.append(built.item_embedding.weight.detach())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize("model", MODELS)
def test_wrong_settings_are_refused(tiny, prepare, model):
    with pytest.raises(UserError, match="NS needs negatives"):
        made(prepare, model, tiny, loss_type="NS", train_neg_sample_args=None)
    with pytest.raises(UserError, match="loss_type is 'BPR'; it must be NS or CE"):
        made(prepare, model, tiny, loss_type="BPR")
    if model != "ZAM":
        with pytest.raises(UserError, match="n_heads must divide"):
            made(prepare, model, tiny, n_heads=3)


# ------------------------------------------------------------------------- learning

COLOURS = ["red", "blue", "green", "grey", "pink"]


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Shoppers who start with a hat or a bag; a colour leads those of each kind to another
    thing, so that neither request nor history alone says which."""
    choices, requests, r = [], {}, np.random.default_rng(0)
    for n in range(60):
        kind = ["hat", "bag"][n % 2]
        colours = r.permutation(COLOURS)[:3]  # the others can be drawn as negatives
        asked = [kind, *(f"{colour} {kind}" for colour in colours)]
        for time, item in enumerate(asked):
            request = f"u{n}r{time}"
            choices.append((f"u{n}", item, request, time))
            requests[request] = f"something {item.split()[0]}" if time else "hello"
    items = {
        item: f"thing {n}" for n, item in enumerate({row[1]: 0 for row in choices})
    }
    path = tmp_path_factory.mktemp("twins")
    return write_tiny(path, "twins", choices, requests, items)


@pytest.mark.parametrize(
    "model, loss_type", [*((model, "CE") for model in MODELS), ("TEM", "NS")]
)
def test_it_learns_what_depends_on_request_and_history(
    twins, prepare, model, loss_type
):
    config, _, (train, _, test) = prepare(
        model,
        twins,
        dataset="twins",
        embedding_size=16,
        loss_type=loss_type,
        train_neg_sample_args=NEGATIVES,
        train_batch_size=120,  # 40 choices
        learning_rate=0.02,
        hidden_dropout_prob=0.0,
        attn_dropout_prob=0.0,
        replace_prob=0.0,
        epochs=20,
        eval_args={"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "none"},
        topk=[1],
        valid_metric="NDCG@1",
        show_progress=False,
    )
    init_seed(1, True)
    built = get_model(model)(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
    trainer.fit(train, saved=False)
    by_epoch = list(trainer.train_loss_dict.values())
    assert by_epoch[-1] < 0.7 * by_epoch[0]
    # nobody can know what comes after "hello"
    hello = train._dataset.field2token_id["request"]["hello"]
    asked = torch.where(test.query_feat["request"] != hello)[0]
    queries = test.query_feat[asked]
    wanted = test.queries.positives[asked.numpy()].argmax(axis=1)
    built.eval()

    def right(queries):
        with torch.no_grad():
            scores = built.full_sort_predict(queries).view(len(queries), -1)
        scores[:, 0] = -torch.inf  # padding; and what the user had before
        scores[torch.from_numpy(test.queries.excluded[asked.numpy()].toarray())] = (
            -torch.inf
        )
        return (scores.argmax(dim=1).numpy() == np.asarray(wanted).ravel()).mean()

    assert len(queries) > 15 and right(queries) > 0.9
    queries.interaction["history_length"] = torch.zeros(len(queries), dtype=torch.long)
    assert right(queries) < 0.8


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_reads_later_requests_by_the_words_of_training(
    tmp_path, prepare, model
):
    write_tiny(tmp_path)
    config, (train, valid, test), built = made(
        prepare,
        model,
        tmp_path,
        epochs=1,
        checkpoint_dir=str(tmp_path / "saved"),
        eval_args={"split": {"RS": [0.7, 0.1, 0.2]}, "order": "TO", "group_by": "none"},
    )
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
    trainer.fit(train, valid)
    trainer.resume_checkpoint(trainer.saved_model_file)
    built.eval()
    text = train._dataset.field2token_id["request"]["a red dress"]
    expected = built.words(torch.tensor([text]))

    # words that the model does not know, before and after those that it knows
    requests = {**REQUESTS, "r0": "aardvark red", "r5": "a red dress, zebra"}
    choices = [*CHOICES, ("u1", "i8", "r0", 0)]
    write_tiny(tmp_path, choices=choices, requests=requests)
    _, loaded, dataset, train, *_ = load_data_and_model(trainer.saved_model_file)
    ids = dataset.field2token_id["request"]
    for known in ("a red dress", "a red dress, zebra"):
        found = loaded.words(torch.tensor([ids[known]]))
        torch.testing.assert_close(found, expected)
    with pytest.raises(UserError, match="train anew"):
        loaded.calculate_loss(next(iter(train)))


# ------------------------------------------------------------------ item texts


def test_items_generate_their_words():
    """The loss of one word and one negative each, where only one of each can be drawn."""
    torch.manual_seed(0)
    bags = WordBags(["red"], ["", "red"], 4)
    model = ItemLanguageModel(["", "red", "..."], bags, n_words=1, n_negatives=2)
    item_e = torch.randn(3, 4)
    score = bags.embedding.weight[0] @ item_e[1]
    expected = -F.logsigmoid(score) - 2 * F.logsigmoid(-score)
    torch.testing.assert_close(model(item_e, bags.embedding, 5), expected)


def test_negative_words_are_drawn_by_the_root_of_their_count():
    torch.manual_seed(0)
    bags = WordBags(["red coat hat"], [""], 4)
    texts = ["", "red " * 16, "coat", "zebra"]
    drawn = ItemLanguageModel(texts, bags, 1, 1).draw_negatives(9000)
    share = torch.bincount(drawn, minlength=3) / 9000
    expected = torch.tensor([1 / 9, 0, 8 / 9])  # coat, hat, red: 16 ** 0.75 = 8
    torch.testing.assert_close(share, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("model", ["ZAM", "TEM"])
def test_an_item_that_nobody_chose_is_found_by_its_words(tmp_path, prepare, model):
    items = {**ITEMS, "i8": "coat coat", "i9": "zebra zebra"}
    requests = {**REQUESTS, "r1": "a zebra coat"}
    write_tiny(tmp_path, requests=requests, items=items)
    settings = {"text_weight": 1, "n_words": 4}
    config, (train, *_), built = made(prepare, model, tmp_path, **settings)
    optimizer = torch.optim.Adam(built.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        text_loss = built.language_model(
            built.item_embedding.weight, built.words.embedding, 16
        )
        text_loss.backward()
        optimizer.step()
    token = train._dataset.field2token_id["item_id"]
    word = built.words.vocabulary.index("zebra")
    score = built.item_embedding.weight @ built.words.embedding.weight[word]
    assert score[1:].argmax() + 1 == token["i9"]
