"""The losses against loops that a reader can check by hand."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from close import assert_close_relative

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.loss import (
    InfoNCELoss,
    SampledSoftmaxLoss,
    WhisperLiteLoss,
)

# Five pairs of three requests and four items. Item 1 is chosen twice by request 0 and once
# by request 2; item 3 is in no pair.
REQUEST_INDEX = torch.tensor([0, 0, 1, 2, 0])
ITEM_INDEX = torch.tensor([1, 0, 2, 1, 1])
LOG_Q = torch.tensor([0.1, 0.6, 0.25, 0.05], dtype=torch.double).log()


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.double)
    return values.requires_grad_()


def infonce_by_loops(logits, request_index, item_index, log_q, mask):
    """The formula in InfoNCELoss's docstring, pair by pair."""
    pairs = list(zip(request_index.tolist(), item_index.tolist()))

    def term(request, item):
        correction = log_q[item] if log_q is not None else 0.0
        return torch.exp(logits[request, item] - correction)

    losses = []
    for k, (request, item) in enumerate(pairs):
        own = term(request, item)
        total = own
        for j, (_, other) in enumerate(pairs):
            if j != k and not (mask and other == item):
                total = total + term(request, other)
        losses.append(-torch.log(own / total))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("log_q", [None, LOG_Q], ids=["uncorrected", "corrected"])
def test_infonce_equals_the_loops_in_value_and_gradient(mask, log_q):
    logits = random(3, 4)
    ours = InfoNCELoss(mask)(logits, REQUEST_INDEX, ITEM_INDEX, log_q)
    loops = infonce_by_loops(logits, REQUEST_INDEX, ITEM_INDEX, log_q, mask)
    assert_close_relative(ours, loops, rtol=1e-10)
    (gradient,) = torch.autograd.grad(ours, logits)
    (by_loops,) = torch.autograd.grad(loops, logits)
    assert gradient.abs().sum() > 0.1
    assert_close_relative(gradient, by_loops, rtol=1e-10)


def test_a_dominant_item_costs_single_precision_no_accuracy():
    """2,000 of 2,001 pairs choose one item, and the model is sure of it already."""
    request_index = torch.zeros(2001, dtype=torch.long)
    item_index = torch.tensor([0] * 2000 + [1])
    for certainty in (0.0, 5.0, 20.0):
        logits = torch.tensor([[certainty, 0.0]], dtype=torch.double)
        expected = InfoNCELoss()(logits, request_index, item_index)
        by_hand = (
            2000 * math.log1p(math.exp(-certainty))
            + math.log1p(2000 * math.exp(certainty))
        ) / 2001
        assert expected.item() == pytest.approx(by_hand, rel=1e-7)
        single = logits.float().requires_grad_()
        loss = InfoNCELoss()(single, request_index, item_index)
        loss.backward()
        # the last digit of a total of 27.6, 2e-6, is 4e-3 of what is left without 2,000
        assert loss.item() == pytest.approx(by_hand, abs=1e-2)
        assert single.grad.isfinite().all()


@pytest.mark.parametrize("mask", [True, False])
def test_infonce_passes_gradcheck(mask):
    def loss(logits):
        return InfoNCELoss(mask)(logits, REQUEST_INDEX, ITEM_INDEX, LOG_Q)

    assert torch.autograd.gradcheck(loss, (random(3, 4),))


def test_infonce_of_two_pairs_by_hand():
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    pair = torch.arange(2)
    # 3 / (3 + 1) and 1 / (1 + 1)
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert_close_relative(InfoNCELoss()(logits, pair, pair), expected)
    # q = 3/4 and 1/4: the first row becomes 3 / (3/4) = 4 against 1 / (1/4) = 4, the
    # second 4 against 4/3
    log_q = torch.tensor([3 / 4, 1 / 4]).log()
    expected = -(math.log(1 / 2) + math.log(3 / 4)) / 2
    assert_close_relative(InfoNCELoss()(logits, pair, pair, log_q), expected)


def test_infonce_of_distinct_pairs_is_cross_entropy_with_the_diagonal():
    request_e, item_e = random(6, 5), random(6, 5, seed=1)
    logits = request_e @ item_e.T / 0.05
    pair = torch.arange(6)
    expected = F.cross_entropy(logits, pair)
    for mask in (True, False):
        ours = InfoNCELoss(mask)(logits, pair, pair)
        assert_close_relative(ours, expected, rtol=1e-10)


def test_the_correction_makes_log_p_the_optimum():
    """One request whose items are chosen 1, 2 and 5 times of 8: p = q = the shares."""
    item_index = torch.tensor([0, 1, 1, 2, 2, 2, 2, 2])
    request_index = torch.zeros(8, dtype=torch.long)
    log_p = torch.tensor([[1 / 8, 2 / 8, 5 / 8]], dtype=torch.double).log()

    def gradient(log_q):
        logits = log_p.clone().requires_grad_()
        InfoNCELoss(False)(logits, request_index, item_index, log_q).backward()
        return logits.grad

    torch.testing.assert_close(gradient(log_p[0]), torch.zeros_like(log_p))
    assert gradient(None)[0, 2] > 0.1  # uncorrected: the popular item is pushed down


def test_equal_popularity_corrects_nothing():
    logits = random(3, 4)
    plain = InfoNCELoss()(logits, REQUEST_INDEX, ITEM_INDEX)
    equal = InfoNCELoss()(logits, REQUEST_INDEX, ITEM_INDEX, LOG_Q * 0 - 3)
    assert_close_relative(plain, equal, rtol=1e-10)


def test_items_in_no_pair_are_no_negatives():
    logits = random(3, 4)
    without = InfoNCELoss()(logits[:, :3], REQUEST_INDEX, ITEM_INDEX, LOG_Q[:3])
    loss = InfoNCELoss()(logits, REQUEST_INDEX, ITEM_INDEX, LOG_Q)
    assert_close_relative(loss, without, rtol=1e-10)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[:, 3] == 0).all() and gradient.isfinite().all()


@pytest.mark.parametrize(
    "request_index, item_index",
    [([1], [2]), ([0, 1, 2, 1], [3, 3, 3, 3]), ([], [])],
    ids=["one pair", "one item", "no pair"],
)
def test_infonce_without_a_negative_is_zero(request_index, item_index):
    logits = random(3, 4)
    index = [torch.tensor(i, dtype=torch.long) for i in (request_index, item_index)]
    loss = InfoNCELoss()(logits, *index, LOG_Q)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits))


def test_unmasked_infonce_of_one_item_is_log_of_the_batch_size():
    index = torch.tensor([0, 1, 2, 1]), torch.tensor([3, 3, 3, 3])
    loss = InfoNCELoss(mask_false_negatives=False)(random(3, 4), *index)
    assert loss.item() == pytest.approx(math.log(4))


# --------------------------------------------------------------- sampled softmax


def test_of_all_items_the_sampled_softmax_is_exact():
    logits, target = random(5, 4), torch.tensor([0, 3, 1, 1, 2])
    expected = F.cross_entropy(logits, target)
    assert_close_relative(SampledSoftmaxLoss()(logits, target), expected, rtol=1e-10)
    certain = torch.zeros(4, dtype=torch.double)
    found = SampledSoftmaxLoss()(logits, target, certain)
    assert_close_relative(found, expected, rtol=1e-10)


def test_an_item_that_is_drawn_half_of_the_time_counts_twice():
    logits = torch.tensor([[math.log(3), 0.0, 0.0]])
    inclusion = torch.tensor([1.0, 0.5, 1.0]).log()
    loss = SampledSoftmaxLoss()(logits, torch.tensor([0]), inclusion)
    assert loss.item() == pytest.approx(-math.log(3 / (3 + 2 + 1)))


def test_excluded_items_are_no_negatives_and_only_in_their_row():
    logits, target = random(2, 3), torch.tensor([0, 1])
    excluded = torch.tensor([0]), torch.tensor([2])
    rows = logits[0, :2], logits[1]
    expected = [F.cross_entropy(row, own) for row, own in zip(rows, target)]
    found = SampledSoftmaxLoss()(logits, target, None, excluded)
    assert_close_relative(found, sum(expected) / 2, rtol=1e-10)


def test_what_has_infinite_probability_is_left_out():
    logits, target = random(2, 3), torch.tensor([0, 1])
    inclusion = torch.tensor([0.0, 0.0, math.inf], dtype=torch.double)
    found = SampledSoftmaxLoss()(logits, target, inclusion)
    assert_close_relative(found, F.cross_entropy(logits[:, :2], target), rtol=1e-10)
    (gradient,) = torch.autograd.grad(found, logits)
    assert gradient.isfinite().all() and not gradient[:, 2].any()


@pytest.mark.parametrize("corrected", [True, False])
def test_over_all_draws_log_p_is_the_optimum(corrected):
    """Items are drawn independently beside the target, every set with its probability."""
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.double)
    inclusion = torch.tensor([0.9, 0.5, 0.3, 0.7], dtype=torch.double)
    logits = p.log()[None].requires_grad_()
    expected = 0.0
    for drawn in itertools.product([False, True], repeat=4):
        drawn = torch.tensor(drawn)
        probability = torch.where(drawn, inclusion, 1 - inclusion).prod()
        for target in range(4):
            left_out = ~drawn.clone()
            left_out[target] = False
            loss = SampledSoftmaxLoss()(
                logits,
                torch.tensor([target]),
                inclusion.log() if corrected else None,
                torch.nonzero(left_out[None], as_tuple=True),
            )
            expected = expected + p[target] * probability * loss
    (gradient,) = torch.autograd.grad(expected, logits)
    assert (gradient.abs().max() < 1e-12) == corrected
    assert corrected or gradient.abs().max() > 0.03


def test_no_pairs_cost_nothing():
    logits = random(0, 3)
    loss = SampledSoftmaxLoss()(logits, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss == 0


# Positives as above, then two negatives: request 0 with item 3, request 1 with item 1.
PAIRS = dict(
    request_index=torch.cat([REQUEST_INDEX, torch.tensor([0, 1])]),
    item_index=torch.cat([ITEM_INDEX, torch.tensor([3, 1])]),
    label=torch.tensor([1, 1, 1, 1, 1, 0, 0], dtype=torch.double),
)
SCALE = torch.tensor(2.5, dtype=torch.double)


def bce_by_loops(request_e, item_e, scale):
    losses = []
    for r, i, y in zip(*(column.tolist() for column in PAIRS.values())):
        score = scale * sum(a * b for a, b in zip(request_e[r], item_e[i]))
        probability = 1 / (1 + torch.exp(-score))
        losses.append(-torch.log(probability if y == 1 else 1 - probability))
    return sum(losses) / len(losses)


def cosine_by_loops(request_e, item_e):
    losses = []
    for r, i, y in zip(*(column.tolist() for column in PAIRS.values())):
        a, b = request_e[r], item_e[i]
        cosine = (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())
        losses.append(1 - cosine if y == 1 else torch.clamp(cosine, min=0))
    return sum(losses) / len(losses)


def by_loops(request_e, item_e, bce_weight, contrastive_weight, contrastive):
    total = bce_weight * bce_by_loops(request_e, item_e, SCALE)
    if contrastive == "cosine":
        return total + contrastive_weight * cosine_by_loops(request_e, item_e)
    logits = SCALE * request_e @ item_e.T
    return total + contrastive_weight * infonce_by_loops(
        logits, REQUEST_INDEX, ITEM_INDEX, LOG_Q, True
    )


@pytest.mark.parametrize(
    "bce_weight, contrastive_weight, contrastive",
    [(1, 0, "infonce"), (0, 1, "infonce"), (0, 1, "cosine"), (0.3, 2, "infonce")]
    + [(0.3, 2, "cosine")],
)
def test_the_weighted_sum_equals_the_loops_in_value_and_gradient(
    bce_weight, contrastive_weight, contrastive
):
    embeddings = random(3, 5), random(4, 5, seed=1)
    loss = WhisperLiteLoss(bce_weight, contrastive_weight, contrastive)
    ours = loss(*embeddings, **PAIRS, scale=SCALE, log_q=LOG_Q)
    loops = by_loops(*embeddings, bce_weight, contrastive_weight, contrastive)
    assert_close_relative(ours, loops, rtol=1e-10)
    for gradient, by_loop in zip(
        torch.autograd.grad(ours, embeddings), torch.autograd.grad(loops, embeddings)
    ):
        assert gradient.abs().sum() > 0.1
        assert_close_relative(gradient, by_loop, rtol=1e-10)


@pytest.mark.parametrize("contrastive", ["infonce", "cosine"])
def test_the_weighted_sum_passes_gradcheck_also_in_the_scale(contrastive):
    loss = WhisperLiteLoss(0.3, 2, contrastive)

    def function(request_e, item_e, scale):
        return loss(request_e, item_e, **PAIRS, scale=scale, log_q=LOG_Q)

    scale = SCALE.clone().requires_grad_()
    assert torch.autograd.gradcheck(function, (random(3, 5), random(4, 5), scale))


def test_sampled_negatives_play_no_part_in_infonce():
    embeddings = random(3, 5), random(4, 5, seed=1)
    loss = WhisperLiteLoss(0, 1, "infonce")
    assert not loss.needs_negatives
    only_positives = {name: column[:5] for name, column in PAIRS.items()}
    with_negatives = loss(*embeddings, **PAIRS, scale=SCALE, log_q=LOG_Q)
    without = loss(*embeddings, **only_positives, scale=SCALE, log_q=LOG_Q)
    assert_close_relative(with_negatives, without, rtol=1e-10)


def test_a_term_of_weight_zero_is_not_computed():
    """What only the other term reads may be nonsense: 0 · NaN would be NaN."""
    embeddings = random(3, 5), random(4, 5, seed=1)
    nan = torch.full((4,), math.nan)
    bce = WhisperLiteLoss(1, 0)(*embeddings, **PAIRS, scale=SCALE, log_q=nan)
    cosine = WhisperLiteLoss(0, 1, "cosine")(*embeddings, **PAIRS, scale=nan[0])
    assert bce.isfinite() and cosine.isfinite()
    assert WhisperLiteLoss(1, 0).needs_negatives
    assert WhisperLiteLoss(0, 1, "cosine").needs_negatives


@pytest.mark.parametrize(
    "settings, said",
    [
        ((-0.5, 1), "bce_weight is -0.5"),
        ((0, -1), "contrastive_weight is -1"),
        ((math.nan, 1), "bce_weight is nan"),
        ((0, math.inf), "contrastive_weight is inf"),
        (("1", 1), "bce_weight is '1'"),
        ((0, 0), "both 0"),
        ((1, 1, "infonec"), "it must be one of infonce, cosine"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        WhisperLiteLoss(*settings)
