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
from recbole_whisperlite.model.whisperliteplus import NEVER_NEGATIVE

if TYPE_CHECKING:
    from recbole_whisperlite.evaluation.dataloader import RequestFullSortEvalDataLoader
    from recbole_whisperlite.model.whisperliteplus import WhisperLitePlus

# For each query the best items, and as many of the others, drawn at random.
_N_BEST = _N_DRAWN = 200
# The standard deviation of a normal prior around the trained weights.
_DEVIATION = 1.0
_SEED = 2020


@torch.no_grad()
def fit_weights(
    model: WhisperLitePlus, valid_data: RequestFullSortEvalDataLoader, n_queries: int
) -> dict[str, float]:
    r"""Fit the weights of the terms by maximum likelihood of the validation choices.

    A conditional logit (McFadden, "Conditional Logit Analysis of Qualitative Choice
    Behavior", 1974) over the catalogue: training has the target left out of the counts, and
    knows a user's later items, so that its weights are not quite those of ranking. A normal
    prior keeps a weight near its trained value where the queries say little. Weights of
    counts stay at least 0. The model then uses the fitted weights in evaluation.

    Args:
        model (WhisperLitePlus): Trained.
        valid_data (RequestFullSortEvalDataLoader): Full ranking of the validation part.
        n_queries (int): The most queries that are used; they are drawn at random.

    Returns:
        dict: The weights by the names of the terms.
    """
    model.eval()
    model.fitted_weight.fill_(torch.nan)
    random = np.random.default_rng(_SEED)
    generator = torch.Generator().manual_seed(_SEED)
    query = random.permutation(len(valid_data.queries))[:n_queries]
    target, others, log_share = zip(
        *(
            _features(
                model, valid_data.collate_fn(query[begin : begin + step]), generator
            )
            for step in [valid_data.step]
            for begin in range(0, len(query), step)
        )
    )
    width = max(each.shape[1] for each in others)
    others = torch.cat([_padded(each, width, 0.0) for each in others])
    log_share = torch.cat([_padded(each, width, -torch.inf) for each in log_share])
    weight = _most_likely(
        torch.cat(target),
        others,
        log_share,
        model.term_weight.detach().cpu().double().numpy(),
        [(0, None) if n in NEVER_NEGATIVE else (None, None) for n in model.term_names],
    )
    model.fitted_weight.copy_(torch.from_numpy(weight))
    return dict(zip(model.term_names, weight.tolist()))


def _features(model, batch, generator):
    r"""The terms of each positive, shape: [n_positives, n_terms], those of other items,
    shape: [n_positives, n, n_terms], and the log of how many items each of these stands for.
    """
    interaction, excluded, positive_row, positive_item = batch
    device = model.logit_scale.device
    interaction = interaction.to(device)
    candidates = Candidates(torch.arange(model.n_items, device=device), model.n_items)
    terms = _all_terms(model, interaction, candidates)
    logits = torch.stack([terms[n] * w for n, w in model.weights.items()]).sum(dim=0)
    allowed = torch.ones_like(logits, dtype=torch.bool)
    allowed[:, 0] = False
    allowed[excluded[0], excluded[1]] = False
    allowed[positive_row, positive_item] = False
    logits.masked_fill_(~allowed, -torch.inf)
    best = logits.topk(min(_N_BEST, model.n_items), dim=1)[1]
    rest = allowed.scatter(1, best, False)
    size = len(logits), min(_N_DRAWN, model.n_items)
    drawn = torch.randint(model.n_items, size, generator=generator).to(device)
    item = torch.cat([best, drawn], dim=1)
    counts = torch.cat([allowed.gather(1, best), rest.gather(1, drawn)], dim=1)
    n_drawn = counts[:, best.shape[1] :].sum(dim=1, keepdim=True).clamp(min=1)
    stands_for = torch.ones_like(item, dtype=torch.double)
    stands_for[:, best.shape[1] :] = rest.sum(dim=1, keepdim=True) / n_drawn
    log_share = stands_for.log().masked_fill(~counts, -torch.inf)
    target = [term[positive_row, positive_item] for term in terms.values()]
    others = [term.gather(1, item)[positive_row] for term in terms.values()]
    return (
        torch.stack(target, dim=-1).cpu(),
        torch.stack(others, dim=-1).cpu(),
        log_share[positive_row].cpu(),
    )


def _all_terms(model, interaction, candidates):
    r"""Every term at every candidate, by name in the order of the weights."""
    request, index = torch.unique(interaction[model.REQUEST], return_inverse=True)
    terms = {
        name: term.expand(len(request), -1)[index]
        for name, term in model.request_terms(request, candidates)
    }
    terms.update(model.user_terms(interaction, candidates))
    return {name: terms[name] for name in model.term_names}


def _padded(values, width, fill):
    missing = width - values.shape[1]
    return torch.nn.functional.pad(
        values, (0, 0) * (values.dim() - 2) + (0, missing), value=fill
    )


def _most_likely(target, others, log_share, start, bounds):
    target = target.double()

    def loss(value):
        with torch.enable_grad():
            weight = torch.tensor(value, requires_grad=True)
            own = target @ weight
            other = (others @ weight.float()).double() + log_share
            every = torch.cat([own.unsqueeze(1), other], dim=1)
            distance = ((weight - torch.from_numpy(start)) ** 2).sum()
            total = (torch.logsumexp(every, dim=1) - own).sum()
            total = (total + distance / (2 * _DEVIATION**2)) / len(target)
            total.backward()
        return total.item(), weight.grad.numpy()

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x
