r"""
recbole_whisperlite.model.fitting
#################################
Fits the weights of WhisperLitePlus's terms on validation queries
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize

from recbole_whisperlite.model.terms import Candidates
from recbole_whisperlite.model.whisperliteplus import (
    BY_FREQUENCY,
    NEVER_NEGATIVE,
    OF_REQUEST,
)

if TYPE_CHECKING:
    from recbole_whisperlite.evaluation.dataloader import RequestFullSortEvalDataLoader
    from recbole_whisperlite.model.whisperliteplus import WhisperLitePlus

# For each query the best items, and as many of the others, drawn at random.
_N_BEST = _N_DRAWN = 200
# The standard deviation of a normal prior around the trained weights.
_DEVIATION = 1.0
_SEED = 2020
# The name of the second weight of a term that has two.
_FREQUENT = "{} of the frequent"
# That of a weight for users without a history.
_ALONE = "{} without a history"


@torch.no_grad()
def fit_weights(
    model: WhisperLitePlus, valid_data: RequestFullSortEvalDataLoader, n_queries: int
) -> dict[str, float]:
    r"""Fit the weights of the terms by maximum likelihood of the validation choices.

    A conditional logit (McFadden, "Conditional Logit Analysis of Qualitative Choice
    Behavior", 1974) over the catalogue: training has the target left out of the counts, and
    knows a user's later items, so that its weights are not quite those of ranking. A normal
    prior keeps a weight near its trained value where the queries say little. Weights of
    counts stay at least 0, and that of refusals stays as trained: the choices say what was
    bought in spite of a request, not what its author wanted to see. Terms of pairs of items
    have two weights: one for an item that nobody chose and one for the item that was chosen
    most often, and others are between them by their ``frequency``. Where a history says
    what is chosen, popularity and the memory say less than for somebody of whom nothing is
    known: so the terms of the request are fitted once more on the same queries with all
    histories hidden. The model then uses the fitted weights in evaluation.

    Args:
        model (WhisperLitePlus): Trained.
        valid_data (RequestFullSortEvalDataLoader): Full ranking of the validation part.
        n_queries (int): The most queries that are used; they are drawn at random.

    Returns:
        dict: The weights by the names of the terms; those for the item that was chosen most
        often by these names with " of the frequent", and those for users without a history
        with " without a history".
    """
    model.eval()
    model.fitted_weight.fill_(torch.nan)
    random = np.random.default_rng(_SEED)
    generator = torch.Generator().manual_seed(_SEED)
    query = random.permutation(len(valid_data.queries))[:n_queries]
    batches = np.split(query, range(valid_data.step, len(query), valid_data.step))
    data = _all_features(model, valid_data, batches, generator)
    trained = {name: float(weight) for name, weight in model.weights.items()}
    start = trained | {_FREQUENT.format(name): trained[name] for name in _two(model)}
    fitted = _most_likely(*data, start, [*start])
    if "refusals" in fitted:
        # fitted with the others all the same: were it held where it is, it would leave
        # nothing to the words
        fitted["refusals"] = max(trained["refusals"], 0.0)
    of_frequent = {
        name: fitted.get(_FREQUENT.format(name), fitted[name]) for name in trained
    }
    without = fitted
    free = [name for name in OF_REQUEST if name in trained]
    if model.reads_history and free:
        data = _all_features(model, valid_data, batches, generator, hidden=True)
        without = _most_likely(*data, fitted, free)
    rows = [[each[name] for name in trained] for each in (fitted, of_frequent, without)]
    model.fitted_weight.copy_(torch.tensor(rows))
    gained = {
        _ALONE.format(name): without[name] for name in free if without is not fitted
    }
    return fitted | gained


def _two(model):
    r"""The terms that have two weights."""
    return [name for name in model.term_names if name in BY_FREQUENCY]


def _bounds(name):
    of_counts = name in map(_FREQUENT.format, NEVER_NEGATIVE) or name in NEVER_NEGATIVE
    return (0 if of_counts else None), None


def _all_features(model, valid_data, batches, generator, hidden=False):
    r"""The results of :func:`_features` for all queries, ready for :func:`_most_likely`."""
    features = []
    for batch in batches:
        interaction, *others = valid_data.collate_fn(batch)
        if hidden:
            interaction[model.HISTORY_LENGTH] = torch.zeros_like(
                interaction[model.HISTORY_LENGTH]
            )
        features.append(_features(model, (interaction, *others), generator))
    target, n_positives, others, log_share = map(torch.cat, zip(*features))
    return target, torch.repeat_interleave(n_positives), others, log_share


def _features(model, batch, generator):
    r"""The terms of each positive, shape: [n_positives, n_terms]; the number of positives
    of each query; the terms of other items, shape: [n_queries, n, n_terms]; and the log of
    how many items each of these stands for.
    """
    interaction, excluded, positive_row, positive_item = batch
    device = model.logit_scale.device
    interaction = interaction.to(device)
    candidates = Candidates(torch.arange(model.n_items, device=device), model.n_items)
    terms, weights = _all_terms(model, interaction, candidates), model.weights
    logits = sum(terms[name] * weight for name, weight in weights.items())
    # what the second weight of a term counts, and what that leaves to the first
    for name in _two(model):
        of_frequent = terms[name] * model.popularity.frequency
        terms[_FREQUENT.format(name)] = of_frequent
        terms[name] = terms[name] - of_frequent
    allowed = torch.ones_like(logits, dtype=torch.bool)
    allowed[:, 0] = False
    allowed[excluded[0], excluded[1]] = False
    allowed[positive_row, positive_item] = False
    logits.masked_fill_(~allowed, -torch.inf)
    best = logits.topk(min(_N_BEST, model.n_items), dim=1)[1]
    rest = allowed.scatter(1, best, False)
    size = len(logits), _N_DRAWN
    drawn = torch.randint(model.n_items, size, generator=generator).to(device)
    item = torch.cat([best, drawn], dim=1)
    counts = torch.cat([allowed.gather(1, best), rest.gather(1, drawn)], dim=1)
    n_drawn = counts[:, best.shape[1] :].sum(dim=1, keepdim=True).clamp(min=1)
    stands_for = torch.ones_like(item, dtype=torch.double)
    stands_for[:, best.shape[1] :] = rest.sum(dim=1, keepdim=True) / n_drawn
    log_share = stands_for.log().masked_fill(~counts, -torch.inf)
    target = [term[positive_row, positive_item] for term in terms.values()]
    others = [term.gather(1, item) for term in terms.values()]
    n_positives = torch.bincount(positive_row, minlength=len(logits))
    return (
        torch.stack(target, dim=-1).cpu(),
        n_positives,
        torch.stack(others, dim=-1).cpu(),
        log_share.cpu(),
    )


def _all_terms(model, interaction, candidates):
    r"""Every term at every candidate, by name in the order of the weights."""
    request, index = torch.unique(interaction[model.REQUEST], return_inverse=True)
    n = len(candidates)
    terms = {
        name: term.dense((len(request), n))[index]
        for name, term in model.request_terms(request, candidates)
    }
    for name, term in model.user_terms(interaction, candidates):
        terms[name] = term.dense((len(interaction), n))
    return {name: terms[name] for name in model.term_names}


def _most_likely(target, query, others, log_share, start, free):
    r"""The weights that make the targets most likely, each among the others of its query.

    Args:
        start (dict): The weights that the prior has as its mean, by the names of the terms
            in the order of the last dimension of ``target`` and ``others``
        free (list): The names of those that are fitted

    Returns:
        dict: All weights
    """
    target = target.double()
    # a query without other items says nothing, and the logarithm of their sum is infinite
    has_others = log_share.isfinite().any(dim=1, keepdim=True)
    log_share = log_share.masked_fill(~has_others, 0)
    known = has_others.squeeze(1)[query]
    target, query = target[known], query[known]
    mean = torch.tensor([*start.values()], dtype=torch.double)
    column = torch.tensor([[*start].index(name) for name in free])

    def loss(value):
        with torch.enable_grad():
            fitted = torch.tensor(value, requires_grad=True)
            weight = mean.index_put((column,), fitted)
            own = target @ weight
            other = (others @ weight.float()).double() + log_share
            total = torch.logaddexp(own, torch.logsumexp(other, dim=1)[query]) - own
            distance = ((weight - mean) ** 2).sum()
            total = total.sum() + distance / (2 * _DEVIATION**2)
            total = total / max(len(target), 1)
            total.backward()
        return total.item(), fitted.grad.numpy()

    found = minimize(
        loss,
        mean[column].numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=[_bounds(name) for name in free],
    )
    return start | dict(zip(free, found.x.tolist()))
