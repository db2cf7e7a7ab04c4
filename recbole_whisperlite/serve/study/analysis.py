"""What the answers say: means, paired tests, agreement, attention checks.

The unit is the request. What a rater says of a list is the mean over its products; of these
the mean over raters is taken for each request, and means, intervals and tests are over
requests, as they are over queries in a benchmark.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recbole_whisperlite.benchmark import statistics
from recbole_whisperlite.serve.study.answers import Judged
from recbole_whisperlite.serve.study.plan import Key, Plan

# With fewer, an interval or a test says nothing.
_LEAST_REQUESTS = 2


@dataclass(frozen=True)
class Cell:
    """The lists of one model and size.

    Attributes:
        model (str), k (int): Which.
        mean (float): Over requests; NaN if none is judged.
        low, high (float): Its 95 % interval; NaN for fewer than two requests.
        n_requests (int): How many are judged.
        shares (list of float): How often each option was chosen, from worst to best.
    """

    model: str
    k: int
    mean: float
    low: float
    high: float
    n_requests: int
    shares: list[float]


@dataclass(frozen=True)
class Pair:
    """Two models compared for one size, over requests whose lists the same raters judged.

    Attributes:
        model, other (str), k (int): Which.
        mean (float): Mean of ``model`` less that of ``other``.
        low, high (float): Its 95 % interval.
        n_requests (int): How many are compared.
        p, p_holm (float): Of the paired t-test over requests, and corrected over all
            pairs and sizes; NaN for fewer than two requests.
    """

    model: str
    other: str
    k: int
    mean: float
    low: float
    high: float
    n_requests: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Checked:
    """How a rater did.

    Attributes:
        name (str): Who.
        n_judged, n_pages (int): Lists judged, and all of them.
        n_checks, n_failed (int): Attention checks answered, and those answered wrongly.
        mean (float): Of what they said of products; NaN if nothing.
    """

    name: str
    n_judged: int
    n_pages: int
    n_checks: int
    n_failed: int
    mean: float

    @property
    def is_excluded(self) -> bool:
        """bool: Whether half of the attention checks or more were failed."""
        return self.n_failed > 0 and 2 * self.n_failed >= self.n_checks


@dataclass(frozen=True)
class Findings:
    """What some raters say.

    Attributes:
        raters (list of str): Who.
        n_answers (int): Products judged, one for each rater and list.
        models (list of str), ks (list of int): In the order of the study.
        cells (dict): ``{(model, k): Cell}``.
        pairs (list of Pair): Each two models, by size.
        alphas (dict): Krippendorff's ordinal alpha of the lists of each size, and under
            None of all; NaN if no product is judged by two raters, or all are judged
            alike.
    """

    raters: list[str]
    n_answers: int
    models: list[str]
    ks: list[int]
    cells: dict[tuple[str, int], Cell]
    pairs: list[Pair]
    alphas: dict[int | None, float]


def check(plan: Plan, answers: Mapping[tuple[int, int], Judged]) -> list[Checked]:
    """Return how each rater did.

    Args:
        plan (Plan): The study.
        answers (dict): ``{(rater, page): Judged}``.
    """
    checked, values = [], np.array(plan.scale.values)
    for number, rater in enumerate(plan.raters):
        n_judged = n_checks = n_failed = 0
        said = []
        for place, page in enumerate(rater.pages):
            if (number, place) not in answers:
                continue
            options = list(answers[number, place].options)
            n_judged += 1
            if page.check:
                n_checks += 1
                n_failed += options.pop(page.check.place) != page.check.option
            said += options
        mean = float(values[said].mean()) if said else np.nan
        checked.append(
            Checked(rater.name, n_judged, len(rater.pages), n_checks, n_failed, mean)
        )
    return checked


def judgements(plan: Plan, answers: Mapping[tuple[int, int], Judged]) -> np.ndarray:
    """Return the value that each rater gave to each product of each list.

    Returns:
        numpy.ndarray: float64 ``[n_raters, n_units]``, NaN where nothing is said; units
        are the products of the first list, of the second, and so on, in the order of
        :attr:`Shown.products`.
    """
    begins = np.cumsum([0] + [len(shown.products) for shown in plan.lists])
    given = np.full((len(plan.raters), begins[-1]), np.nan)
    values = plan.scale.values
    for (rater, place), judged in answers.items():
        page = plan.raters[rater].pages[place]
        options = list(judged.options)
        if page.check:
            del options[page.check.place]
        products = plan.lists[page.shown].products
        for product, option in zip(page.products, options):
            unit = begins[page.shown] + products.index(product)
            given[rater, unit] = values[option]
    return given


def find(
    plan: Plan, key: Key, given: np.ndarray, raters: list[int] | None = None
) -> Findings:
    """Return what raters say.

    Args:
        plan (Plan), key (Key): The study.
        given (numpy.ndarray): From :func:`judgements`.
        raters (list of int, optional): By number; by default all who said something.
    """
    if raters is None:
        raters = np.flatnonzero(~np.isnan(given).all(axis=1)).tolist()
    given = given[raters]
    of_unit = np.repeat(range(len(plan.lists)), [len(x.products) for x in plan.lists])
    models = [model.name for model in key.models]
    ks = sorted({shown.k for shown in plan.lists})
    of_lists = _means_of_lists(given, of_unit, len(plan.lists))
    lists = _lists_of(plan, key)
    cluster = _clusters(key)
    cells, scores = {}, {}
    for model, k in itertools.product(models, ks):
        numbers = lists[model, k]
        scores[model, k] = np.where(numbers >= 0, of_lists[:, numbers], np.nan)
        units = given[:, np.isin(of_unit, numbers[numbers >= 0])]
        mean, low, high, n = _mean(_nanmean(scores[model, k]), cluster)
        shares = [float((units == value).sum()) for value in plan.scale.values]
        total = max(sum(shares), 1)
        shares = [share / total for share in shares]
        cells[model, k] = Cell(model, k, mean, low, high, n, shares)
    return Findings(
        raters=[plan.raters[rater].name for rater in raters],
        n_answers=int((~np.isnan(given)).sum()),
        models=models,
        ks=ks,
        cells=cells,
        pairs=_pairs(models, ks, scores, cluster),
        alphas=_alphas(plan, given, of_unit, ks),
    )


def _means_of_lists(given, of_unit, n_lists):
    """Return the mean over the products of each list, float64 ``[n_raters, n_lists]``."""
    sizes = np.bincount(of_unit, minlength=n_lists)
    sums = [np.bincount(of_unit, each, minlength=n_lists) for each in given]
    return np.array(sums).reshape(len(given), n_lists) / sizes


def _lists_of(plan, key):
    """Return the list of each request, int64 ``[n_requests]``, by model and size; -1 where
    a model found nothing."""
    lists = {
        (model.name, shown.k): np.full(len(plan.requests), -1)
        for model in key.models
        for shown in plan.lists
    }
    for number, (shown, models) in enumerate(zip(plan.lists, key.made_by)):
        for model in models:
            lists[model, shown.k][shown.request] = number
    return lists


def _clusters(key):
    """Return whose request each is, int64 ``[n_requests]``: nobody's is its own."""
    users = [user or number for number, user in enumerate(key.users)]
    numbers = {user: number for number, user in enumerate(dict.fromkeys(users))}
    return np.array([numbers[user] for user in users])


def _nanmean(values):
    """Return the mean over the first axis, NaN where there is nothing."""
    n = (~np.isnan(values)).sum(axis=0)
    return np.where(n > 0, np.nansum(values, axis=0) / np.maximum(n, 1), np.nan)


def _mean(values, cluster):
    """Return mean, ends of the 95 % interval, and n, of what is not NaN."""
    known = ~np.isnan(values)
    n = int(known.sum())
    mean = float(values[known].mean()) if n else np.nan
    low, high = statistics.t_interval(values[known], cluster[known])
    return mean, low, high, n


def _pairs(models, ks, scores, cluster):
    found = []
    for k in ks:
        for model, other in itertools.combinations(models, 2):
            # a severe rater who judged one of the two only would tell nothing of them
            gap = _nanmean(scores[model, k] - scores[other, k])
            known, p = ~np.isnan(gap), np.nan
            if len({*cluster[known]}) >= _LEAST_REQUESTS:
                with warnings.catch_warnings():
                    # scipy's, where all differences are equal
                    warnings.simplefilter("ignore", RuntimeWarning)
                    p = statistics.paired_t_test(
                        gap[known], np.zeros(known.sum()), cluster[known]
                    )
            found.append((model, other, k, *_mean(gap, cluster), p))
    tested = [each[-1] for each in found if not np.isnan(each[-1])]
    corrected = iter(statistics.holm(tested))
    return [
        Pair(*each, np.nan if np.isnan(each[-1]) else next(corrected)) for each in found
    ]


def _alphas(plan, given, of_unit, ks):
    k_of_unit = np.array([shown.k for shown in plan.lists])[of_unit]
    alphas = {None: alpha(given, plan.scale.values)}
    for k in ks:
        alphas[k] = alpha(given[:, k_of_unit == k], plan.scale.values)
    return alphas


def alpha(given: np.ndarray, values: list[float]) -> float:
    """Return Krippendorff's alpha for ordinal values.

    Args:
        given (numpy.ndarray): float64 ``[n_raters, n_units]``, NaN where nothing is said.
        values (list of float): All values of the scale, ascending.

    Returns:
        float: 1 is agreement, 0 what chance makes; NaN where it is not defined: if no
        unit is judged by two raters, or all are judged alike.
    """
    import krippendorff  # of the extra ``serve``

    judged = (~np.isnan(given)).sum(axis=0)
    if not (judged > 1).any():
        return np.nan
    with np.errstate(invalid="ignore"):
        return float(
            krippendorff.alpha(
                given, value_domain=values, level_of_measurement="ordinal"
            )
        )
