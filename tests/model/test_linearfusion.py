"""LinearFusion: what it adds up, and the weights that make the choices most likely."""

import numpy as np
import pytest
import torch
from recbole.utils import get_model, get_trainer
from tiny import write_tiny

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model import linearfusion
from recbole_whisperlite.model.features import NAMES

# Eight users of two tastes, with six requests each; the last two are validation and test. u1
# chooses two items at a time.
TEXTS = ["red dress", "blue shoes", "green coat"]
ITEMS = {f"i{n}": f"{TEXTS[n % 3]} {'plain' if n % 2 else 'lace'}" for n in range(15)}
CHOICES, REQUESTS = [], {}
for user in range(8):
    for time in range(6):
        request = f"u{user}r{time}"
        REQUESTS[request] = TEXTS[(user + time) % 3]
        taken = 3 * (time % 2 + 2 * (user % 2)) + (user + time) % 3
        CHOICES.append((f"u{user}", f"i{taken}", request, time))
        if user == 1:
            CHOICES.append((f"u{user}", f"i{(taken + 6) % 12}", request, time))


@pytest.fixture
def build(tmp_path, prepare):
    """Return a function (model, **settings) -> config, loaders, model, trainer."""
    write_tiny(tmp_path, choices=CHOICES, requests=REQUESTS, items=ITEMS)

    def build(name="LinearFusion", **given):
        given = {"encoder": "tfidf", "encoder_dim": 8, "show_progress": False, **given}
        config, _, loaders = prepare(name, tmp_path, **given)
        model = get_model(name)(config, loaders[0]._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        return config, loaders, model, trainer

    return build


def scores(model, data):
    with torch.no_grad():
        found = model.full_sort_predict(data.query_feat)
    return found.view(len(data.queries), -1)


def described(model, data):
    feat = data.query_feat
    begin, length = feat["history_begin"].tolist(), feat["history_length"].tolist()
    rows = [
        model.history_items[b : b + n].tolist() + [0] * (10 - n)
        for b, n in zip(begin, length)
    ]
    return model.features(feat["request"], torch.tensor(rows))


def test_a_score_is_the_weighted_sum_of_the_features(build):
    _, (_, _, test), model, _ = build(MAX_ITEM_LIST_LENGTH=4)
    weight = torch.linspace(-1, 2, len(NAMES))
    model.weight.copy_(weight)
    assert test.query_feat["history_length"].max() == 4
    expected = described(model, test) @ weight
    torch.testing.assert_close(scores(model, test), expected, rtol=1e-5, atol=1e-4)


def test_the_weights_make_the_validation_choices_most_likely(build):
    _, (train, valid, _), model, trainer = build(ridge=0.5)
    trainer.fit(train, valid, saved=False)
    features = described(model, valid).double()
    excluded = torch.from_numpy(valid.queries.excluded.toarray())
    excluded[:, 0] = True
    positive = torch.from_numpy(valid.queries.positives.toarray())
    assert positive.sum(dim=1).tolist().count(2) == 1 and excluded.any()
    deviation = features[~excluded].std(dim=0, correction=0)

    def likelihood(weight):
        logits = (features @ weight).masked_fill(excluded, -torch.inf)
        chosen = torch.log_softmax(logits, dim=1)[positive].sum()
        return chosen - 0.5 / 2 * (weight * deviation).square().sum()

    best = model.weight.double()
    assert likelihood(best) > likelihood(torch.zeros_like(best)) + 1
    for column in torch.where(deviation > 1e-6)[0]:
        for step in (-0.02, 0.02):
            other = best.clone()
            other[column] += step / deviation[column]
            assert likelihood(other) < likelihood(best), NAMES[column]


def test_the_fit_is_the_same_each_time(build):
    weights = []
    for seed in (1, 2):
        _, (train, valid, _), model, trainer = build(fit_queries=5)
        torch.manual_seed(seed)
        np.random.seed(seed)
        trainer.fit(train, valid, saved=False)
        weights.append(model.weight)
    assert torch.equal(*weights)


def test_single_scores_are_those_of_the_catalogue(build):
    _, (train, valid, test), model, trainer = build(eval_args={"mode": "uni3"})
    trainer.fit(train, valid, saved=False)
    whole = scores(model, test)
    rows, query, *_ = test.collate_fn(list(range(len(test.queries))))
    expected = whole[query, rows["item_id"]]
    torch.testing.assert_close(model.predict(rows), expected)


def test_without_validation_the_weights_are_fixed(build):
    _, (train, _, _), model, trainer = build()
    trainer.fit(train, None, saved=False)
    found = dict(zip(NAMES, model.weight.tolist()))
    assert found.pop("log request count") == 1 and found.pop("log ItemKNN") == 0.5
    assert not any(found.values())


def test_a_checkpoint_has_the_scores_of_its_model(build, tmp_path):
    given = {"checkpoint_dir": str(tmp_path / "saved")}
    _, (train, valid, test), model, trainer = build(**given)
    trainer.fit(train, valid)
    expected = scores(model, test)
    _, (_, _, test), fresh, other = build(**given)
    assert not torch.allclose(scores(fresh, test), expected)
    other.evaluate(test, model_file=trainer.saved_model_file)
    torch.testing.assert_close(scores(fresh, test), expected)


def test_a_sample_has_each_positive_once_and_no_positive_as_negative():
    generator = torch.Generator().manual_seed(0)
    positive, excluded = torch.zeros(2, 3, 6, dtype=torch.bool)
    positive[0, [1, 4]] = positive[2, 5] = True
    excluded[:, 0] = excluded[1, 2] = True
    item, chosen, barred = linearfusion._sample(positive, excluded, 50, generator)
    for row in range(3):
        assert (
            sorted(item[row, chosen[row]].tolist())
            == positive[row].nonzero()[:, 0].tolist()
        )
        assert not (chosen & barred).any()
        left = set(item[row, ~chosen[row] & ~barred[row]].tolist())
        allowed = ~positive[row] & ~excluded[row]
        assert left == set(allowed.nonzero()[:, 0].tolist())  # 50 draws miss none of 5


def test_a_sample_of_candidates_estimates_the_same_weights(build, monkeypatch):
    """What does not fit into memory is sampled, and the estimate stays near."""
    found = []
    for limit in (2**28, 8 * len(NAMES) * 12):  # all; 12 draws for each of 8 queries
        monkeypatch.setattr(linearfusion, "_MAX_FITTED", limit)
        _, (train, valid, test), model, trainer = build(ridge=5.0)
        trainer.fit(train, valid, saved=False)
        found.append(scores(model, test)[:, 1:].flatten())
    assert not torch.equal(*found)
    assert torch.corrcoef(torch.stack(found))[0, 1] > 0.9
