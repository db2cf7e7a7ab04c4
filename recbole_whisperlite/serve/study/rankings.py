"""What is compared: exported models, lists drawn at random, and BM25."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.words import words_of

if TYPE_CHECKING:
    from recbole_whisperlite.recommend.recommender import Recommender

# As in properties/model/BM25.yaml.
_K1, _B = 1.5, 0.75


class Asked(NamedTuple):
    """A request of a study, and who asked; None for nobody."""

    request: str
    user: str | None


#: ``(requests, k)`` -> the item ids of each request's list, best first; one at a time.
Ranker = Callable[[Sequence[Asked], int], Iterator[list[str]]]


def of_model(shop: Recommender) -> Ranker:
    """Return a ranker that asks an exported model."""

    def rank(asked, k):
        for each in asked:
            found = shop.recommend(each.request, each.user, k=k)
            yield [one.item for one in found]

    return rank


def at_random(shop: Recommender, seed: int) -> Ranker:
    """Return a ranker that draws items uniformly from a model's catalogue.

    The user's history is left out, as models do it.
    """
    rng = np.random.default_rng([seed, 1])
    return _by_score(shop, lambda request: np.zeros(len(shop)), rng)


def bm25(shop: Recommender, seed: int) -> Ranker:
    """Return a ranker by BM25 over the item texts of a model's catalogue.

    The user's history is left out, as models do it. Equal scores, such as those of items
    that share no word with the request, are ranked at random.

    Raises:
        UserError: If no item text has a word.
    """
    from bm25s import BM25  # takes a while to import

    texts = [words_of(shop.text(item)) for item in shop]
    if not any(texts):
        raise UserError(
            "bm25 compares words, but no item text of the catalogue has any."
        )
    index = BM25(k1=_K1, b=_B)
    index.index(texts, show_progress=False)

    def scores(request):
        known = index.get_tokens_ids(words_of(request))
        return index.get_scores_from_ids(known) if known else np.zeros(len(texts))

    return _by_score(shop, scores, np.random.default_rng([seed, 2]))


#: The words that stand for a ranker of their own: ``{word: (name, ranker)}``.
BASELINES = {"random": ("Random", at_random), "bm25": ("BM25", bm25)}


def _by_score(shop, scores, rng):
    ids = list(shop)

    def rank(asked, k):
        for request, user in asked:
            seen = set() if user is None else {*shop.history(user)}
            order = np.lexsort((rng.permutation(len(ids)), -scores(request)))
            best = (ids[row] for row in order if ids[row] not in seen)
            yield [item for item, _ in zip(best, range(k))]

    return rank
