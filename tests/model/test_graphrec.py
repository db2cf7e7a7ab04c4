"""GraphRec on the dozen requests, beside one neighbor at a time."""

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.utils import get_model
from tiny import write_tiny

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.graphrec import neighbors

TRUST = [("u1", "u2"), ("u1", "u3"), ("u2", "u1"), ("u3", "u4")]


@pytest.fixture
def built(tmp_path, prepare):
    write_tiny(tmp_path)
    write_atomic(
        tmp_path / "tiny" / "tiny.net",
        {"source_id": "token", "target_id": "token"},
        TRUST,
    )
    given = {"embedding_size": 4, "max_neighbors": 6, "dropout_prob": 0.0}
    config, dataset, loaders = prepare("GraphRec", tmp_path, **given)
    train = loaders[0]._dataset
    return config, train, loaders, get_model("GraphRec")(config, train)


def has_learned(model):
    """The networks begin by adding zero, and would not be seen in any score."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)


def attend(attention, rows, whose):
    """Equations 5 and 6 for one node, a neighbor at a time."""
    if not rows:
        return torch.zeros_like(whose)
    of_node = attention.of_node(whose)
    hidden = [torch.relu(attention.of_neighbor(row) + of_node) for row in rows]
    logit = torch.stack([attention.weight(row) for row in hidden])
    weight = torch.softmax(logit, dim=0)
    return sum(w * row for w, row in zip(weight, rows))


def corrected(layers, base, *parts):
    """What the layers say of the parts is added to the base."""
    return base + layers(torch.cat(parts))


def item_space(model, user, items):
    own, opinion = model.user_embedding.weight[user], model.opinion_embedding.weight[1]
    rows = [
        corrected(model.item_opinion, e, e, opinion)
        for e in model.item_embedding.weight[items]
    ]
    near = attend(model.over_items, rows, own)
    return corrected(model.user_with_items, near + own, near, own)


def by_hand(model, train, user, item, without_item=None, without_user=None):
    """The score of a pair, from lists of who had what and who trusts whom."""
    inter = train.inter_feat
    pairs = set(zip(inter["user_id"].tolist(), inter["item_id"].tolist()))
    trust = zip(*(train.net_feat[name].tolist() for name in ("source_id", "target_id")))
    had = {u: sorted(i for who, i in pairs if who == u) for u in range(train.user_num)}
    friends = [who for whose, who in trust if whose == user]
    own = [i for i in had[user] if i != without_item]
    social = attend(
        model.over_friends,
        [item_space(model, friend, had[friend]) for friend in friends],
        model.user_embedding.weight[user],
    )
    social = corrected(model.friends_layer, social, social)
    own = item_space(model, user, own)
    user_e = corrected(model.user_layers, own + social, own, social)
    opinion = model.opinion_embedding.weight[1]
    whose = [u for u, i in sorted(pairs) if i == item and u != without_user]
    rows = [
        corrected(model.user_opinion, e, e, opinion)
        for e in model.user_embedding.weight[whose]
    ]
    item_e = model.item_embedding.weight[item]
    near = attend(model.over_users, rows, item_e)
    item_e = corrected(model.item_with_users, near + item_e, near, item_e)
    return corrected(model.predict_layers, user_e @ item_e, user_e, item_e)[0]


def test_scores_are_those_of_one_neighbor_at_a_time(built):
    _, train, _, model = built
    has_learned(model)
    model.eval()
    with torch.no_grad():
        for user in range(1, train.user_num):
            scores = model.full_sort_predict({"user_id": torch.tensor([user])})
            assert len(scores) == train.item_num
            for item in range(1, train.item_num):
                expected = by_hand(model, train, user, item)
                torch.testing.assert_close(scores[item], expected)
                pair = {
                    "user_id": torch.tensor([user]),
                    "item_id": torch.tensor([item]),
                }
                torch.testing.assert_close(model.predict(pair)[0], expected)


def test_a_pair_in_training_does_not_see_itself(built, monkeypatch):
    _, train, _, model = built
    has_learned(model)
    model.train()
    inter = train.inter_feat
    user, item = inter["user_id"].repeat(2), inter["item_id"].repeat(2)
    sampled = torch.arange(len(user)) % (train.item_num - 1) + 1
    left = model.item_users[sampled].max(dim=1).values
    monkeypatch.setattr(model, "any_user", lambda _: left)
    with torch.no_grad():
        chosen_scores, sampled_scores = model.rate_pair(user, item, sampled)
        for row in range(len(user)):
            u, i, j = int(user[row]), int(item[row]), int(sampled[row])
            expected = by_hand(model, train, u, i, without_item=i, without_user=u)
            torch.testing.assert_close(chosen_scores[row], expected)
            without = {"without_item": i, "without_user": int(left[row])}
            expected = by_hand(model, train, u, j, **without)
            torch.testing.assert_close(sampled_scores[row], expected)


def test_any_user_of_an_item_is_drawn(built):
    _, train, _, model = built
    users = {i: set() for i in range(train.item_num)}
    for u, i in zip(*(train.inter_feat[f].tolist() for f in ("user_id", "item_id"))):
        users[i].add(u)
    drawn = model.any_user(torch.arange(train.item_num).repeat(200)).view(200, -1).T
    for i, of_item in enumerate(drawn.tolist()):
        assert set(of_item) == (users[i] or {0})


def test_neighbors_are_padded_and_drawn_without_repetition():
    source, target = np.array([2, 0, 2, 2]), np.array([7, 5, 8, 9])
    rng = np.random.default_rng(0)
    table, values = neighbors(source, target, target * 10, 4, 2, rng)
    assert table[0].tolist() == [5, 0] and table[1].tolist() == [0, 0]
    assert len(set(table[2].tolist()) & {7, 8, 9}) == 2
    assert torch.equal(values, table * 10)


def test_a_dataset_without_trust_is_refused_at_the_door(tiny):
    config = {"data_path": str(tiny), "state": "ERROR"}
    with pytest.raises(
        UserError, match=r"tiny\.net: this file does not exist.*GraphRec"
    ):
        from recbole_whisperlite.config.datasets import check_dataset

        check_dataset(Config("GraphRec", "tiny", config_dict=config))


def test_training_lowers_the_loss(built):
    config, _, loaders, model = built
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        for batch in loaders[0]:
            optimizer.zero_grad()
            loss = model.calculate_loss(batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])


def test_the_start_is_an_inner_product_of_what_is_near(built):
    # nothing but embeddings, averaged by the attention: the networks add zero
    _, train, _, model = built
    user, item = torch.tensor([1, 2]), torch.tensor([3, 4])
    expected = (model.user_latent(user) * model.item_latent(item)).sum(dim=1)
    torch.testing.assert_close(model.eval().forward(user, item), expected)
    inter = train.inter_feat
    for u in (1, 2):
        its = inter["item_id"][inter["user_id"] == u].unique()
        near = attend(
            model.over_items,
            list(model.item_embedding.weight[its]),
            model.user_embedding.weight[u],
        )
        expected = near + model.user_embedding.weight[u]
        torch.testing.assert_close(model.item_space(torch.tensor([u]))[0], expected)


def test_training_without_negatives_is_refused(built, tmp_path, prepare):
    given = {"train_neg_sample_args": None}
    config, _, loaders = prepare("GraphRec", tmp_path, **given)
    with pytest.raises(UserError, match="GraphRec learns from negatives"):
        get_model("GraphRec")(config, loaders[0]._dataset)
