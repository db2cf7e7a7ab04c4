"""What WhisperLitePlus adds to the towers, on a hand-made dataset of four users."""

import numpy as np
import pytest
import torch
from close import assert_close_relative
from handmade import EXAM, PLAIN, ROWS, SWITCHES, TRAINING, Dataset, People
from handmade import build, interaction, rank, train
from recbole.data.interaction import Interaction

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.whisperlite import WhisperLite

EVIDENCE = SWITCHES[:3]
ALONE = [{**PLAIN, switch: True} for switch in SWITCHES]
EACH = pytest.mark.parametrize(
    "settings", [{}, *ALONE], ids=["all", *(f"only {each}" for each in SWITCHES)]
)
# memory has none: counts are believed as they are
PARAMETER = {
    "use_neighbors": "neighbors_weight",
    "use_history": "history_weight",
    "use_refusals": "refusal_weight",
}


def labelled(rows, label):
    batch = interaction(rows)
    batch.update(Interaction({"label": torch.tensor(label)}))
    return batch


def trained(dataset=None, **settings):
    model = build(dataset or People(), **settings)
    train(model, TRAINING, steps=5)
    return model


def every_pair(rows):
    pairs = rows.repeat_interleave(8)
    pairs.update(Interaction({"item_id": torch.arange(8).repeat(len(rows))}))
    return pairs


# ----------------------------------------------------------------------- scoring


@EACH
@pytest.mark.parametrize("remember", [True, False], ids=["no_grad", "grad"])
def test_predict_agrees_with_full_sort_predict(settings, remember):
    model = trained(**settings)
    scores = rank(model, EXAM)
    assert scores.shape == (4, 8) and scores.isfinite().all() and scores.std() > 0.1
    with torch.set_grad_enabled(not remember):
        predicted = model.predict(every_pair(EXAM)).view(4, 8)
    assert_close_relative(predicted, scores)


@pytest.mark.parametrize("switch", PARAMETER)
def test_each_term_has_a_say(switch):
    model = trained(popularity_correction=False)
    scores = rank(model, EXAM)
    with torch.no_grad():
        getattr(model, PARAMETER[switch]).zero_()
    assert not torch.allclose(rank(model, EXAM), scores, atol=1e-2)


def test_what_was_chosen_for_a_request_comes_before_what_the_towers_say():
    model = trained(**ALONE[0])
    row = interaction([(4, 1, 0, 0, 0)])  # u1 and u3 took 1, u2 took 2
    often = rank(model, row)[0]
    model.memory.count.value *= 1000
    model.memory.total *= 1000
    assert set(rank(model, row)[0].topk(2).indices.tolist()) == {1, 2}
    model.memory.count.value *= 0
    model.memory.total *= 0
    never = rank(model, row)[0]
    with torch.no_grad():
        towers = model.forward(torch.ones(8, dtype=torch.long), torch.arange(8))
    expected = towers + model.memory.popularity.log()
    assert_close_relative(never - never[1], expected - expected[1])
    assert not torch.allclose(often - often[1], expected - expected[1], atol=1e-2)


@pytest.mark.parametrize("switch", PARAMETER)
def test_a_term_that_is_off_has_no_parameters(switch):
    everything = set(build(People()).state_dict())
    without = set(build(People(), **{switch: False}).state_dict())
    assert everything - without == {PARAMETER[switch]} and without <= everything


def test_where_no_request_rules_anything_out_there_is_no_such_weight():
    dataset = People()
    dataset.refusals[:] = 0
    model = build(dataset)
    assert "refusal_weight" not in model.state_dict()
    plain = build(dataset, use_refusals=False)
    assert torch.equal(rank(model, EXAM), rank(plain, EXAM))


def test_evidence_is_not_in_the_checkpoint():
    assert set(build(People()).state_dict()) - set(
        build(People(), **PLAIN).state_dict()
    ) == set(PARAMETER.values())


@EACH
def test_a_checkpoint_gives_the_same_scores_to_the_last_digit(settings):
    model, other = trained(**settings), build(People(), seed=2, **settings)
    scores = rank(model, EXAM)
    assert not torch.equal(rank(other, EXAM), scores)
    other.load_state_dict(model.state_dict())
    assert torch.equal(rank(other, EXAM), scores)


@EACH
def test_the_same_seed_gives_the_same_scores_to_the_last_digit(settings):
    scores = [rank(trained(**settings), EXAM) for _ in range(2)]
    assert torch.equal(*scores)


@EACH
def test_the_rest_of_a_batch_does_not_change_a_score(settings):
    """A shorter history is padded up to the longest of its batch."""
    model = trained(**settings)
    together = rank(model, EXAM)
    for row in range(len(EXAM)):
        alone = rank(model, EXAM[[row]])
        assert_close_relative(alone[0], together[row])


def test_a_row_of_padding_has_finite_scores():
    scores = rank(trained(), interaction([(0, 0, 0, 0, 0), (1, 4, 5, 0, 4)]))
    assert scores.isfinite().all()


def test_a_history_that_ends_with_the_last_row_is_whole():
    model = trained()
    begin = len(model.history_items)
    model.history_items = torch.cat([model.history_items, torch.tensor([2, 3])])
    found = rank(model, interaction([(4, 5, 7, begin, 2), (1, 1, 1, begin + 2, 0)]))
    # u1's rows 1 and 2 are of the items 2 and 3, too
    expected = rank(model, interaction([(4, 5, 7, 1, 2), (1, 1, 1, 0, 0)]))
    assert torch.equal(found, expected)


@EACH
def test_hidden_history_counts_as_none(settings):
    model = trained(**settings)
    hidden = Interaction({field: EXAM[field] for field in ("user_id", "request")})
    none = interaction([(*row[:3], row[3], 0) for row in ROWS if not row[5]])
    scores = rank(model, hidden)
    assert torch.equal(scores, rank(model, none))
    predicted = model.predict(every_pair(hidden)).view(4, 8)
    assert_close_relative(predicted, scores)


def test_only_the_terms_of_a_user_tell_users_apart():
    """u1 with four items and u4 with none ask for the same."""
    rows = interaction([(1, 4, 0, 0, 4), (4, 4, 0, 0, 0)])
    for switch, differ in zip(SWITCHES, (False, True, True, False)):
        scores = rank(trained(**{**PLAIN, switch: True}), rows)
        gap = (scores[0] - scores[1]).abs().max() / scores.abs().max()
        # two rows of one matrix product may be rounded otherwise
        assert gap > 1e-3 if differ else gap < 1e-5, switch


def test_full_sort_predict_may_be_written_to():
    """RecBole's trainer masks the scores in place."""
    model = trained()
    scores = rank(model, EXAM)
    expected = scores.clone()
    scores.fill_(-torch.inf)
    with torch.no_grad():
        assert torch.equal(model.full_sort_predict(EXAM).view(4, 8), expected)


# ---------------------------------------------------------------------- training


def brute_force_loss(scores, batch):
    """InfoNCE of each row over the batch's items that its user did not choose."""
    had = {
        user: set(TRAINING["item_id"][TRAINING["user_id"] == user].tolist())
        for user in range(5)
    }
    items, losses = batch["item_id"].tolist(), []
    for row, (user, own) in enumerate(zip(batch["user_id"].tolist(), items)):
        others = [item for item in items if item not in had[user]]
        losses.append(
            torch.logsumexp(scores[row, [own, *others]], dim=0) - scores[row, own]
        )
    return torch.stack(losses).mean().item()


def test_the_loss_is_over_the_target_and_what_the_user_did_not_choose():
    # likeness to the history has nothing of the choice to take out
    switches = {**ALONE[2], "use_refusals": True, "mask_user_items": True}
    model = build(People(), **switches, popularity_correction=False)
    model.refusal_strength = 1
    batch = TRAINING[torch.tensor([0, 3, 4, 5, 6, 8])]
    scores = rank(model, batch)
    expected = brute_force_loss(scores, batch)
    model.train()
    loss = model.calculate_loss(batch)
    # a difference of scores, and rounded as they are
    assert_close_relative(loss, expected, size=scores.abs().max())
    # the same with the user's other items as negatives
    plain = {**switches, "mask_user_items": False}
    model = build(People(), **plain, popularity_correction=False)
    model.refusal_strength = 1
    assert model.calculate_loss(batch).item() > expected + 0.1


def change_the_text(model, request):
    with torch.no_grad():
        model.requests.vectors[request] *= -1


@pytest.mark.parametrize("switch", [*EVIDENCE, None])
def test_what_else_the_user_chose_is_no_negative(switch):
    switches = {**PLAIN, "mask_user_items": True, **({switch: True} if switch else {})}
    model = build(People(), **switches, temperature=1)
    # u1 chose the items of all three rows; u2 did not choose 1 and 4
    batch = interaction([(1, 1, 1, 0, 0), (1, 3, 4, 0, 3), (2, 4, 3, 5, 1)])
    model.train()
    loss = model.calculate_loss(batch).item()
    assert loss > 0.01
    for request in (1, 3):  # the logits of u1's rows
        change_the_text(model, request)
        assert model.calculate_loss(batch).item() == pytest.approx(loss, abs=1e-5)
    change_the_text(model, 4)  # those of u2's: its own item and two negatives
    assert abs(model.calculate_loss(batch).item() - loss) > 1e-3


@pytest.mark.parametrize("switch", [*EVIDENCE, None])
def test_no_other_switch_takes_the_users_items_out_of_the_negatives(switch):
    switches = {**PLAIN, **({switch: True} if switch else {})}
    model = build(People(), **switches, temperature=1)
    batch = interaction([(1, 1, 1, 0, 0), (1, 3, 4, 0, 3), (2, 4, 3, 5, 1)])
    model.train()
    loss = model.calculate_loss(batch).item()
    change_the_text(model, 1)
    assert abs(model.calculate_loss(batch).item() - loss) > 1e-3


def test_with_everything_off_it_is_whisperlite():
    same = dict(bce_weight=0.5, train_neg_sample_args=None)
    plus, plain = build(People(), **PLAIN, **same), build(
        People(), model=WhisperLite, **same
    )
    batch = labelled([ROWS[0], ROWS[1], ROWS[5], (2, 4, 7, 5, 1)], [1.0, 1, 1, 0])
    assert_close_relative(plus.calculate_loss(batch), plain.calculate_loss(batch))
    assert_close_relative(rank(plus, EXAM), rank(plain, EXAM))
    for model in (plus, plain):
        model.train()
        model.calculate_loss(batch).backward()
    gradients = dict(plus.named_parameters())
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            assert_close_relative(gradients[name].grad, parameter.grad, rtol=1e-4)


def test_where_nothing_else_is_chosen_there_is_nothing_to_learn():
    model = build(People())
    model.train()
    loss = model.calculate_loss(TRAINING[TRAINING["user_id"] == 1])
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.abs().max() < 1e-5, name


@EACH
@pytest.mark.parametrize("bce_weight", [0, 1])
def test_training_lowers_the_loss_and_moves_the_weights(settings, bce_weight):
    model = build(People(), **settings, bce_weight=bce_weight)
    rows = len(TRAINING)
    batch = TRAINING.repeat(2)
    batch["item_id"][rows:] = 7  # nobody chose it
    label = torch.cat([torch.ones(rows), torch.zeros(rows)])
    batch.update(Interaction({"label": label}))
    weights = [PARAMETER[each] for each in PARAMETER if settings.get(each, True)]
    before = {name: getattr(model, name).item() for name in weights}
    model.train()
    loss = model.calculate_loss(batch).item()
    train(model, batch, steps=30)
    assert model.calculate_loss(batch).item() < loss
    for name in weights:
        assert getattr(model, name).item() != before[name]
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("switch", EVIDENCE[:2])
def test_training_does_not_see_the_choice_that_it_is_trained_on(switch):
    """The score of a choice is less sure in training than in ranking."""
    model = build(People(), **{**PLAIN, switch: True}, popularity_correction=False)
    batch = interaction([(1, 2, 2, 0, 1), (3, 5, 6, 8, 2)])
    seen = brute_force_loss(rank(model, batch), batch)
    model.train()
    assert model.calculate_loss(batch).item() > seen + 0.01


@EACH
def test_the_order_of_a_batch_does_not_matter(settings):
    model = build(People(), **settings)
    loss = model.calculate_loss(TRAINING)
    shuffled = TRAINING[torch.tensor([4, 2, 7, 0, 1, 6, 3, 8, 5])]
    # a difference of scores of size 10, and rounded as they are
    assert_close_relative(model.calculate_loss(shuffled), loss, size=10)


@pytest.mark.parametrize("switch", EVIDENCE)
def test_the_cosine_loss_has_no_place_for_evidence(switch):
    settings = {**PLAIN, switch: True, "contrastive": "cosine"}
    with pytest.raises(UserError, match="cosine compares only texts"):
        build(People(), **settings)
    build(People(), **settings, contrastive_weight=0, bce_weight=1)


def test_a_negative_beside_nothing_but_what_its_user_chose_leaves_gradients_finite():
    """As in a last batch of one choice and the negative sampled for it."""
    model = build(People(), bce_weight=1)
    model.train()
    batch = labelled([(1, 1, 1, 0, 0), (1, 1, 5, 0, 0)], [1.0, 0.0])
    model.calculate_loss(batch).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_a_given_label_of_0_for_what_the_user_chose_elsewhere_leaves_the_loss_finite():
    model = build(People(), bce_weight=1)
    batch = labelled([(1, 1, 1, 0, 0), (1, 3, 1, 0, 3), (2, 4, 3, 5, 1)], [1.0, 0, 1])
    assert model.calculate_loss(batch).isfinite()


def test_a_batch_without_a_choice_costs_nothing():
    batch = labelled([(1, 1, 5, 0, 0), (2, 4, 6, 5, 1)], [0.0, 0.0])
    assert build(People(), **PLAIN).calculate_loss(batch) == 0
    assert build(People()).calculate_loss(batch) == 0


# ---------------------------------------------------------------------- refusals


def at_strength(model, strength):
    model.refusal_strength = strength
    return rank(model, EXAM)


def test_the_strength_multiplies_what_refusals_take_off():
    model = trained()
    none, once, twice = (at_strength(model, strength) for strength in (0, 1, 2))
    size = twice.abs().max()
    assert_close_relative(twice - none, 2 * (once - none), size=size)
    # requests 4, 5, 2, 5: those without refusals are as they were
    assert torch.equal(none[[1, 3]], twice[[1, 3]])
    assert ((twice - none)[[0, 2], 1:].abs() > 1e-3).any(dim=1).all()


def test_training_goes_by_strength_1():
    losses = []
    for strength in (0.0, 1.0, 5.0):
        model = build(People(), refusal_strength=strength)
        model.train()
        losses.append(model.calculate_loss(TRAINING).item())
    assert losses[0] == losses[1] == losses[2]


def test_what_a_request_rules_out_takes_off_its_likeness_to_items():
    model = trained(**ALONE[3], refusal_strength=3.0)
    scores, without = rank(model, EXAM), at_strength(model, 0)
    request = EXAM["request"]
    with torch.no_grad():
        refusal = model.requests.embed(request + 6)
        likeness = refusal @ model.items.embed_all().T / 0.1
    likeness[(request != 2) & (request != 4)] = 0
    expected = without - 3 * model.refusal_weight.detach() * likeness
    assert_close_relative(scores, expected)


class Shoes(Dataset):
    """Items are a colour (of 4) and a heel or none; requests may rule out either.

    Request 1 + 3 c asks for colour c, the next rules out heels, the one after it flats.
    """

    def __init__(self):
        colour, heel = np.eye(4), np.eye(2)
        items = [[*c, *h] for c in colour for h in heel]
        nothing = [[0] * 6]
        wishes = [[*c, 0, 0] for c in colour for _ in range(3)]
        refusals = [[0] * 4 + part for _ in colour for part in ([0, 0], [1, 0], [0, 1])]
        self.items, self.wishes, self.refusals = (
            np.array(nothing + rows, dtype="f4") for rows in (items, wishes, refusals)
        )
        # what is chosen: both kinds where nothing is ruled out, else the other one
        pairs = []
        for c in range(4):
            with_heel, flat = 1 + 2 * c, 2 + 2 * c
            pairs += [(1 + 3 * c, with_heel), (1 + 3 * c, flat)]
            pairs += [(2 + 3 * c, flat), (3 + 3 * c, with_heel)]
        request, item = map(torch.tensor, zip(*pairs))
        self.inter_feat = Interaction({"request": request, "item_id": item})

    def num(self, field):
        return {"user_id": 1, "item_id": 9, "request": 13}[field]

    def item_vectors(self):
        return self.items

    def request_vectors(self):
        return self.wishes

    def wish_and_refusal_vectors(self):
        return self.wishes, self.refusals


def test_a_refusal_lowers_what_is_like_it_for_requests_never_seen_too():
    dataset = Shoes()
    model = build(dataset, **ALONE[3], refusal_strength=1.0, mlp_hidden_size=[16])
    # the requests 11 and 12, of the last colour, are never trained on
    seen = dataset.inter_feat[dataset.inter_feat["request"] <= 10]
    train(model, seen, steps=100, lr=0.02)
    scores = rank(model, Interaction({"request": torch.tensor([10, 11, 12])}))
    with_heel, flat = 7, 8
    margin = scores[:, flat] - scores[:, with_heel]
    assert margin[1] > margin[0] + 1 and margin[2] < margin[0] - 1
    # of the colour that is asked for, above all of the other colours
    assert scores[1].argmax() == flat and scores[2].argmax() == with_heel


def test_refusals_that_no_loss_trains_are_refused():
    with pytest.raises(UserError):
        build(People(), **ALONE[3], contrastive="cosine")
