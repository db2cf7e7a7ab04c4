"""What WhisperLitePlus adds to the towers, on a hand-made dataset of four users."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from close import assert_close_relative
from handmade import EXAM, PLAIN, ROWS, TRAINING, Dataset, People
from handmade import build, interaction, rank, train
from recbole.data.interaction import Interaction
from switches import SWITCHES

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model import whisperliteplus
from recbole_whisperlite.model.terms import Candidates
from recbole_whisperlite.model.whisperlite import WhisperLite
from recbole_whisperlite.model.whisperliteplus import Batch

EVIDENCE = [each for each in SWITCHES if each != "use_refusals"]
COUNTS = ("use_memory", "use_neighbors", "use_transitions")
OF_REQUESTS = ("use_memory", "use_similar_requests", "use_refusals")
ALONE = {switch: {**PLAIN, switch: True} for switch in SWITCHES}
EACH = pytest.mark.parametrize(
    "settings",
    [{}, *ALONE.values()],
    ids=["all", *(f"only {each}" for each in SWITCHES)],
)
TERMS = [
    *("memory", "similar_requests", "towers", "zero_shot", "popularity"),
    *("unchosen", "seldom", "refusals"),
    *("meant", "avoided", "neighbors", "transitions", "history", "nearest"),
    "similarity",
]


def labelled(rows, label):
    batch = interaction(rows)
    batch.update(Interaction({"label": torch.tensor(label)}))
    return batch


def trained(dataset=None, **settings):
    model = build(dataset or People(), **settings)
    train(model, TRAINING, steps=5)
    return model


def weight(model, name):
    """The place of a term's weight among all."""
    return model.term_names.index(name)


def without_history(rows):
    length = torch.zeros_like(rows["history_length"])
    return Interaction({**rows.interaction, "history_length": length})


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


@pytest.mark.parametrize("name", TERMS)
def test_each_term_has_a_say(name):
    model = trained()
    model.fitted_weight.copy_(model.term_weight.detach())
    scores = rank(model, EXAM)
    model.fitted_weight[:, weight(model, name)] += 1
    assert not torch.allclose(rank(model, EXAM), scores, atol=1e-2)


def test_fitted_weights_are_those_of_ranking_and_not_of_training():
    model = trained(use_refusals=False)  # what words take off has a limit
    scores = rank(model, EXAM)
    loss = model.train().calculate_loss(TRAINING)
    model.fitted_weight.copy_(2 * model.term_weight.detach())
    model.fitted_weight[:, weight(model, "unchosen")] = 0
    assert_close_relative(rank(model, EXAM), 2 * scores)
    assert model.train().calculate_loss(TRAINING) == loss


def test_the_weight_of_a_term_of_pairs_lies_between_two_by_how_often_an_item_was_chosen():
    model = build(People())
    # of 9 choices the items 1 to 7 have 2, 2, 2, 3, 1, 0 ... as the frequency says
    count = torch.bincount(TRAINING["item_id"], minlength=8).float()
    frequency = [math.log(1 + n) / math.log(1 + count.max()) for n in count.tolist()]
    model.fitted_weight.fill_(1.0)
    scores = rank(model, EXAM)
    for name in ("neighbors", "transitions", "history", "nearest", "similarity"):
        model.fitted_weight.fill_(1.0)
        model.fitted_weight[:, weight(model, name)] = 0
        term = scores - rank(model, EXAM)
        model.fitted_weight[:, weight(model, name)] = torch.tensor([0.5, 3.0, 0.5])
        factor = 0.5 + 2.5 * torch.tensor(frequency)
        expected = scores + (factor - 1) * term
        assert_close_relative(rank(model, EXAM)[:, 1:], expected[:, 1:], size=10)
        assert term[:, 1:].any(), name


def test_terms_of_the_request_have_other_weights_for_users_without_a_history():
    model = build(People())
    model.fitted_weight.fill_(1.0)
    known, alone = rank(model, EXAM), rank(model, without_history(EXAM))
    has_history = EXAM["history_length"] > 0
    assert has_history.tolist() == [True, True, True, False]
    for name in ("memory", "towers", "zero_shot", "popularity", "unchosen", "seldom"):
        model.fitted_weight.fill_(1.0)
        model.fitted_weight[:, weight(model, name)] = 0
        term = alone - rank(model, without_history(EXAM))
        assert term[:, 1:].abs().max() > 1e-3, name
        model.fitted_weight.fill_(1.0)
        model.fitted_weight[2, weight(model, name)] = 3.0
        found = rank(model, EXAM)
        assert torch.equal(found[has_history], known[has_history])
        expected = alone + 2 * term
        found = rank(model, without_history(EXAM))
        assert_close_relative(found[:, 1:], expected[:, 1:], size=10)


def test_until_weights_are_fitted_what_nobody_chose_is_not_held_against_an_item():
    """Training sees items that nobody chose as negatives only."""
    model = trained()
    at = weight(model, "unchosen")
    assert model.term_weight[at] < -0.01
    scores = rank(model, EXAM)
    with torch.no_grad():
        model.term_weight[at] -= 10
    assert torch.equal(rank(model, EXAM), scores)
    model.fitted_weight.copy_(model.term_weight.detach())
    found = rank(model, EXAM) - scores
    unchosen = found.mean(dim=0) < -9
    assert unchosen.tolist() == [False] * 5 + [True, False, True]


def test_what_was_chosen_for_a_request_comes_before_what_the_towers_say():
    model = build(People(), **ALONE["use_memory"])
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
    # 9 choices of five items; nobody chose the items 5 and 7
    popularity = torch.tensor([1.9, 2.1, 2.1, 3.1, 1.1, 1.9, 1.1, 1.9])
    expected = (popularity * towers.exp())[1:]
    assert_close_relative(never[1:].exp(), expected / expected.sum())
    assert not torch.allclose(often, never, atol=1e-2)


def test_the_fewer_chose_an_item_the_more_it_is_seldom():
    model = build(People())
    model.fitted_weight.fill_(1.0)
    without = rank(model, EXAM)
    model.fitted_weight[:, weight(model, "seldom")] = 3.0
    count = torch.bincount(TRAINING["item_id"], minlength=8)
    expected = [2 / n if n else 0 for n in count.tolist()]
    assert sorted(set(expected)) == pytest.approx([0, 2 / 3, 1, 2])
    found = (rank(model, EXAM) - without)[:, 1:]
    assert_close_relative(found, torch.tensor([expected[1:]] * 4), size=10)


def test_a_term_that_is_off_has_no_weight_and_no_parameters():
    everything = build(People())
    assert everything.term_names == TERMS
    for switch, names in {
        "use_memory": [
            "memory",
            "similar_requests",
            "popularity",
            "unchosen",
            "seldom",
        ],
        "use_similar_requests": ["similar_requests"],
        "use_neighbors": ["neighbors"],
        "use_transitions": ["transitions"],
        "use_history": ["history", "nearest"],
        "use_similarity": ["similarity"],
        "use_refusals": ["refusals", "meant", "avoided"],
    }.items():
        model = build(People(), **{switch: False})
        left = [name for name in TERMS if name not in names]
        assert model.term_names == left and len(model.term_weight) == len(left)
        learned = set(everything.state_dict()) - set(model.state_dict())
        parts = {"use_similarity": "similarity", "use_refusals": "refused_words"}
        assert {key.split(".")[0] for key in learned} == {parts.get(switch)} - {None}


def test_where_no_request_rules_anything_out_there_is_no_such_weight():
    dataset = People()
    dataset.refusals[:] = 0
    model = build(dataset)
    assert "refusals" not in model.term_names
    plain = build(dataset, use_refusals=False)
    assert torch.equal(rank(model, EXAM), rank(plain, EXAM))


def scores_of(model):
    """As :func:`rank`, but the mode of the model stays as it is."""
    with torch.no_grad():
        return model.full_sort_predict(EXAM).view(len(EXAM), -1)


def changes(model):
    """What may change between two batches."""
    yield from dict(model.named_parameters()).values()
    yield model.fitted_weight
    yield model.like_history.vectors


def test_what_is_kept_for_the_next_batch_is_never_out_of_date():
    model = trained()
    model.fitted_weight.copy_(model.term_weight.detach())
    before = rank(model, EXAM)
    for tensor in changes(model):
        with torch.no_grad():
            tensor += 0.1
        after = scores_of(model)
        assert torch.equal(after, rank(model, EXAM))  # which drops all of it
    assert not torch.allclose(before, after)
    model.refusal_strength += 1
    assert torch.equal(scores_of(model), rank(model, EXAM))
    assert not torch.equal(scores_of(model), after)
    other = trained(use_refusals=True)
    assert not torch.equal(rank(other, EXAM), scores_of(model))
    other.load_state_dict(model.state_dict())
    model.refusal_strength = other.refusal_strength
    model.like_history.vectors -= 0.1  # of the dataset
    assert_close_relative(scores_of(other), scores_of(model))


def test_a_request_is_scored_once_in_an_evaluation(monkeypatch):
    model, asked = trained().eval(), []
    memory = model.memory.forward

    def count(request, *args):
        asked.extend(request.tolist())
        return memory(request, *args)

    monkeypatch.setattr(model.memory, "forward", count)
    expected = scores_of(model)
    assert sorted(asked) == sorted({*EXAM["request"].tolist()})
    for row in range(len(EXAM)):
        with torch.no_grad():
            assert_close_relative(model.full_sort_predict(EXAM[[row]]), expected[row])
    assert sorted(asked) == sorted({*EXAM["request"].tolist()})


def test_evidence_is_not_in_the_checkpoint():
    learned = set(build(People(), **PLAIN).state_dict())
    everything = set(build(People(), use_similarity=False).state_dict())
    # what words mean belongs to the words of a training
    assert (
        everything - learned == {"refused_words._extra_state"} and learned < everything
    )
    assert {"term_weight", "fitted_weight", "popularity.new_log_factor"} <= learned


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
    """u1 with three items and u4 with none ask for the same."""
    rows = interaction([(1, 4, 0, 0, 3), (4, 4, 0, 0, 0)])
    for switch, settings in ALONE.items():
        scores = rank(trained(**settings), rows)
        gap = (scores[0] - scores[1]).abs().max() / scores.abs().max()
        # two rows of one matrix product may be rounded otherwise
        differ = switch not in OF_REQUESTS
        assert gap > 1e-3 if differ else gap < 1e-5, switch


def test_items_without_a_vector_and_a_catalogue_of_one_item_are_ranked():
    dataset = People()
    dataset.vectors["item"][[3, 5]] = 0
    model = build(dataset)
    train(model, TRAINING)
    assert rank(model, EXAM).isfinite().all()

    class One(People):
        def __init__(self):
            super().__init__()
            self.vectors["item"] = self.vectors["item"][:2]
            self.inter_feat = interaction([(1, 1, 1, 0, 0), (1, 2, 1, 0, 1)])
            self.history_items = torch.tensor([1, 1])

        def num(self, field):
            return 2 if field == "item_id" else super().num(field)

    model = build(One())
    train(model, One().inter_feat)
    # nothing else can be chosen
    assert model.calculate_loss(One().inter_feat).item() == pytest.approx(0, abs=1e-6)
    assert rank(model, One().inter_feat)[:, 1].isfinite().all()


def test_full_sort_predict_may_be_written_to():
    """RecBole's trainer masks the scores in place."""
    model = trained()
    scores = rank(model, EXAM)
    expected = scores.clone()
    scores.fill_(-torch.inf)
    with torch.no_grad():
        assert torch.equal(model.full_sort_predict(EXAM).view(4, 8), expected)


# ---------------------------------------------------------------------- training


def brute_force_loss(scores, batch, had=None):
    """Cross-entropy over the items, but for what the user chose elsewhere."""
    losses = []
    for row, (user, own) in enumerate(
        zip(batch["user_id"].tolist(), batch["item_id"].tolist())
    ):
        others = [i for i in range(1, 8) if i not in (had or {}).get(user, ())]
        items = [own, *(item for item in others if item != own)]
        losses.append(torch.logsumexp(scores[row, items], dim=0) - scores[row, own])
    return torch.stack(losses).mean().item()


HAD = {
    user: set(TRAINING["item_id"][TRAINING["user_id"] == user].tolist())
    for user in range(5)
}


def test_training_reads_what_else_the_user_chose_in_training():
    rows = [
        *((1, 2, 2, 0, 1), (1, 3, 4, 0, 3), (2, 1, 2, 5, 0), (3, 1, 1, 8, 1)),
        (1, 9, 3, 0, 4),
    ]
    items, distance = build(People())._rest(interaction(rows))
    # before and after, but not what answered the same request, nor the same item
    assert items.tolist() == [
        *([1, 0, 0, 4], [1, 2, 3, 0], [0, 3, 0, 0], [3, 0, 6, 0]),
        [1, 2, 0, 4],
    ]
    found = [row[item > 0].tolist() for item, row in zip(items, distance)]
    assert found == [[0, 1], [2, 1, 0], [0], [0, 0], [3, 2, 0]]


def test_of_many_items_those_around_the_request_are_read():
    model = build(People(), MAX_ITEM_LIST_LENGTH=2)
    items, distance = model._rest(interaction([(1, 3, 4, 0, 3), (1, 1, 1, 0, 0)]))
    assert items.tolist() == [[3, 0], [0, 2]] and distance[0, 0] == distance[1, 1] == 0


@pytest.mark.parametrize("spared", [True, False])
def test_the_loss_is_over_the_target_and_what_the_user_did_not_choose(spared):
    # likeness to the history has nothing of the choice to take out
    switches = {**ALONE["use_history"], "use_refusals": True}
    model = build(People(), **{**switches, "mask_user_items": spared})
    model.refusal_strength = 1
    batch = TRAINING[torch.tensor([0, 3, 4, 5, 6, 8])]
    model._history = lambda batch: model._rest(batch)[0]
    scores = rank(model, batch)
    expected = brute_force_loss(scores, batch, HAD if spared else None)
    model.train()
    loss = model.calculate_loss(batch)
    # a difference of scores, and rounded as they are
    assert_close_relative(loss, expected, size=scores.abs().max())


def test_with_everything_off_it_is_whisperlite():
    plus = build(People(), **PLAIN)
    plain = build(People(), model=WhisperLite, bce_weight=0.5)
    plain.load_state_dict(plus.state_dict(), strict=False)
    scores = rank(plain, EXAM)
    assert_close_relative(rank(plus, EXAM), scores)
    loss = plus.train().calculate_loss(TRAINING)
    assert loss.item() == pytest.approx(
        brute_force_loss(rank(plain, TRAINING), TRAINING), rel=1e-5
    )


@EACH
@pytest.mark.parametrize("bce_weight", [0, 1])
def test_training_lowers_the_loss_and_moves_the_weights(settings, bce_weight):
    model = build(People(), **settings, bce_weight=bce_weight)
    rows = len(TRAINING)
    batch = TRAINING.repeat(2)
    batch["item_id"][rows:] = 7  # nobody chose it
    label = torch.cat([torch.ones(rows), torch.zeros(rows)])
    batch.update(Interaction({"label": label}))
    before = model.term_weight.tolist()
    model.train()
    loss = model.calculate_loss(batch).item()
    train(model, batch, steps=30)
    assert model.calculate_loss(batch).item() < loss
    for name, old, new in zip(model.term_names, before, model.term_weight.tolist()):
        # the level of the similarity is that of its parameters, and the others have no
        # part in training
        apart = "similarity", "zero_shot", "seldom", "meant", "avoided"
        learns = name not in apart
        assert (old != new) == learns, name
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("switch", COUNTS)
def test_training_does_not_see_the_choice_that_it_is_trained_on(switch):
    """The score of a choice is less sure in training than in ranking."""
    model = build(People(), **ALONE[switch])
    batch = interaction([(1, 2, 2, 0, 1), (3, 5, 6, 8, 2)])
    seen = brute_force_loss(rank(model, batch), batch)
    model.train()
    assert model.calculate_loss(batch).item() > seen + 0.01


def written_out(terms):
    return {name: term.dense((len(TRAINING), 8)) for name, term in terms}


@pytest.mark.parametrize("name", ["memory", "similar_requests", "popularity"])
@pytest.mark.parametrize("made_new", [False, True])
def test_training_has_the_terms_of_counts_without_the_own_choice(name, made_new):
    """Beside the terms written out for every row and item, with the counts of its own."""
    model = build(People())
    every, item, n = Candidates(torch.arange(8), 8), TRAINING["item_id"], len(TRAINING)
    request, row = TRAINING["request"], torch.arange(n)
    with torch.no_grad():
        model.popularity.new_log_factor.fill_(0.5)
        model.term_weight.zero_()[weight(model, name)] = 2.0
        new = torch.arange(8) == 2 if made_new else torch.zeros(8, dtype=torch.bool)
        nothing = torch.zeros(8)
        batch = Batch(TRAINING, torch.ones(n), every, nothing, new, ())
        found = model._training_logits(TRAINING, batch, slice(None), (row, item))

        def counted(rows):
            matrix = torch.zeros(6, 8)
            matrix.index_put_((request[rows], item[rows]), torch.ones(()), True)
            return matrix

        towers = model.logit_scale.exp() * (
            model.requests(request) @ model.items(every.item).T
        )
        choices = torch.bincount(item, minlength=8).float()
        is_new = (choices == 0) | new
        level = math.log(choices[choices > 0].mean() + 0.1) + 0.5
        popularity = torch.where(is_new, level, (choices + 0.1).log())
        catalogue = popularity.masked_fill(every.item == 0, -torch.inf)
        normalizer = torch.logsumexp(towers + catalogue, dim=1)
        similar = torch.zeros(6, 8)
        sparse = model.similar_requests.count(torch.arange(6), every)
        similar[sparse.row, sparse.position] = sparse.value
        for k in range(n):
            own = popularity.clone()
            if not is_new[item[k]]:
                own[item[k]] = (choices[item[k]] - 1 + 0.1).log()
            prior = towers[k] + own - normalizer[k]
            memory = counted(row[row != k])[request[k]]
            others, total = similar[request[k]], model.similar_requests.total
            expected = {
                "memory": ((memory + 20 * prior.exp()) / (memory.sum() + 20)).log(),
                "similar_requests": (
                    (others + prior.exp()) / (total[request[k]] + 1)
                ).log(),
                "popularity": own,
            }[name]
            if name != "popularity":
                expected = torch.where(is_new, prior, expected)
            assert_close_relative(found[k, 1:], 2 * expected[1:], size=10)


@pytest.mark.parametrize("use_history", [True, False])
def test_the_items_of_a_batch_go_through_their_tower_once(use_history):
    model = build(People(), use_history=use_history)
    assert model.use_refusals
    seen = []
    model.items.tower.register_forward_hook(lambda *args: seen.append(len(args[1][0])))
    model.train().calculate_loss(TRAINING)
    assert seen == [7]  # all items, in one pass


def test_requests_attend_alike_over_few_pairs_and_over_a_matrix(monkeypatch):
    losses, gradients = [], []
    for as_a_matrix in (0, 10**9):
        model = build(People())
        monkeypatch.setattr(whisperliteplus, "AS_A_MATRIX", as_a_matrix)
        products = []
        matmul = torch.matmul
        with monkeypatch.context() as patched:
            patched.setattr(
                torch, "matmul", lambda *a: products.append(1) or matmul(*a)
            )
            loss = model.train().calculate_loss(TRAINING)
        loss.backward()
        losses.append((loss.detach(), len(products)))
        gradients.append([each.grad for each in model.parameters()])
    assert losses[0][1] == losses[1][1] - 1  # the one of all requests and items
    assert_close_relative(losses[0][0], losses[1][0])
    for each, other in zip(*gradients):
        if each is not None:
            assert_close_relative(each, other, size=10)


def test_what_is_made_new_has_no_counts():
    model = build(People())
    every = Candidates(torch.arange(8), 8)
    positives = torch.arange(len(TRAINING)), TRAINING["item_id"]
    made_new = torch.arange(8) == 3
    with torch.no_grad():
        model.popularity.new_log_factor.fill_(0.5)
        prior = model.prior(TRAINING["request"], every, made_new, torch.zeros(8))
        terms = written_out(model.request_terms(TRAINING["request"], every, prior))
        terms |= written_out(model.user_terms(TRAINING, every, positives, made_new))
        plain = written_out(model.user_terms(TRAINING, every, positives))
    assert plain["neighbors"][:, 3].any() and plain["transitions"][:, 3].any()
    for name in ("neighbors", "transitions"):
        assert not terms[name][:, 3].any()
    assert_close_relative(terms["memory"][:, 3], terms["similar_requests"][:, 3])
    expected = math.log(9 / 5 + 0.1) + 0.5
    assert_close_relative(terms["popularity"][:, 3], torch.full((9,), expected))
    offset = model.similarity.bias.weight + 1
    assert not torch.equal(plain["similarity"][:, 3], terms["similarity"][:, 3])
    with torch.no_grad():
        model.similarity.bias.weight.copy_(offset)
        again = written_out(model.user_terms(TRAINING, every, positives, made_new))
    assert torch.equal(again["similarity"][:, 3], terms["similarity"][:, 3])
    for name in ("history", "nearest"):  # what its text says
        assert torch.equal(plain[name], terms[name])


# ------------------------------------------------------------- sampled negatives


def test_candidates_are_drawn_as_often_as_is_said():
    """Batches of two training choices, and two of seven items besides."""
    model = build(People(), n_candidates=2)
    # the items 1 to 7 are 2 2 3 1 0 1 0 of 9 choices
    share = torch.tensor([2, 2, 3, 1, 0, 1, 0]) / 9
    expected = 1 - (1 - 2 / 7) * (1 - share) ** 2
    count, said = torch.zeros(8), torch.zeros(8)
    for _ in range(2000):
        item = TRAINING["item_id"][torch.randint(len(TRAINING), (2,))]
        candidates, log_inclusion = model._draw_candidates(item, torch.ones(2))
        count[candidates.item] += 1
        said[candidates.item] = log_inclusion.exp()
    assert_close_relative(said[1:], expected)
    np.testing.assert_allclose(count[1:] / 2000, expected, atol=0.05)
    assert count[0] == 0


def test_negatives_of_bce_are_no_candidates_of_the_softmax():
    model = build(People(), bce_weight=1, n_candidates=1)
    item, label = torch.tensor([1, 2, 6, 7]), torch.tensor([1.0, 1, 0, 0])
    candidates, log_inclusion = model._draw_candidates(item, label)
    left_out = set(candidates.item[log_inclusion.isinf()].tolist())
    assert left_out and left_out <= {6, 7}
    batch = labelled([(1, 1, 1, 0, 0), (2, 1, 2, 5, 0), (1, 1, 6, 0, 0)], [1.0, 1, 0])
    loss = model.train().calculate_loss(batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_a_sample_of_the_catalogue_says_on_average_what_all_of_it_says():
    settings = {**ALONE["use_history"], "mask_user_items": False}
    exact, sampled = (build(People(), **settings, n_candidates=n) for n in (7, 3))
    gradients = []
    for model, steps in ((exact, 1), (sampled, 600)):
        model.train()
        for _ in range(steps):
            model.calculate_loss(TRAINING).backward()
        gradient = [
            p.grad.flatten() / steps for p in model.parameters() if p.grad is not None
        ]
        gradients.append(torch.cat(gradient))
    assert F.cosine_similarity(*gradients, dim=0) > 0.95


def test_each_parameter_is_in_one_group_for_the_optimizer():
    model = build(People(), offset_decay=2.0)
    others, numbers, offsets = model.parameter_groups(0.01)
    assert numbers["lr"] == 0.1 and "lr" not in others
    assert {id(p) for p in numbers["params"]} == {
        id(model.term_weight),
        id(model.popularity.new_log_factor),
    }
    assert offsets["weight_decay"] == 2.0 and "weight_decay" not in others
    assert [len(p) for p in offsets["params"]] == [8, 8, 8]
    together = [*others["params"], *numbers["params"], *offsets["params"]]
    assert len(together) == len({id(p) for p in together})
    assert {id(p) for p in together} == {id(p) for p in model.parameters()}


@EACH
def test_the_order_of_a_batch_does_not_matter(settings):
    model = build(People(), **settings)
    loss = model.calculate_loss(TRAINING)
    shuffled = TRAINING[torch.tensor([4, 2, 7, 0, 1, 6, 3, 8, 5])]
    # a difference of scores of size 10, and rounded as they are
    assert_close_relative(model.calculate_loss(shuffled), loss, size=10)


@pytest.mark.parametrize("switch", [*SWITCHES, None])
def test_the_cosine_loss_has_no_place_for_evidence(switch):
    settings = {**ALONE.get(switch, PLAIN), "contrastive": "cosine"}
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
    model = trained(**ALONE["use_refusals"], refusal_strength=3.0)
    scores, without = rank(model, EXAM), at_strength(model, 0)
    request = EXAM["request"]
    with torch.no_grad():
        wish, refusal = (model.requests.embed(request + n) for n in (0, 6))
        # what both are about is not refused; embeddings have length 1
        shared = torch.einsum("nd,nd->n", refusal, wish)
        assert (shared[(request == 2) | (request == 4)] > 0).any()
        refusal = refusal - shared.clamp(min=0)[:, None] * wish
        likeness = refusal @ model.items.embed_all().T / 0.1
        words = model.refused_words(request, Candidates(torch.arange(8), 8))
    likeness[(request != 2) & (request != 4)] = 0
    refusals, *of_words = (
        model.term_weight[weight(model, name)].item()
        for name in ("refusals", "meant", "avoided")
    )
    of_words = 50 * (of_words[0] * words[0] + of_words[1] * words[1])
    assert of_words.min() < -8 < of_words[of_words < 0].max()
    expected = without - 3 * refusals * likeness + 3 * 8 * torch.tanh(of_words / 8)
    assert_close_relative(scores, expected)


def test_a_refusal_of_the_very_wish_takes_nothing_off():
    dataset = People()
    dataset.refusals[:] = dataset.vectors["request"]
    model = build(dataset, **ALONE["use_refusals"])
    found = model._refusal_e(torch.arange(6))
    assert_close_relative(found, torch.zeros_like(found), size=1)


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

    def wish_and_refusal_texts(self):
        colours = [colour for colour in ("red", "blue", "green", "grey") for _ in "123"]
        return ["", *colours], ["", *["", "heels", "flats"] * 4]

    @property
    def item_texts(self):
        return [""] * 9  # of which the model knows vectors only


def test_a_refusal_lowers_what_is_like_it_for_requests_never_seen_too():
    dataset = Shoes()
    model = build(
        dataset, **ALONE["use_refusals"], refusal_strength=1.0, mlp_hidden_size=[16]
    )
    # the requests 11 and 12, of the last colour, are never trained on
    seen = dataset.inter_feat[dataset.inter_feat["request"] <= 10]
    train(model, seen, steps=100, lr=0.02)
    scores = rank(model, Interaction({"request": torch.tensor([10, 11, 12])}))
    with_heel, flat = 7, 8
    margin = scores[:, flat] - scores[:, with_heel]
    assert margin[1] > margin[0] + 1 and margin[2] < margin[0] - 1
    # of the colour that is asked for, above all of the other colours
    best = scores[:, 1:].argmax(dim=1) + 1  # without padding
    assert best[1] == flat and best[2] == with_heel
