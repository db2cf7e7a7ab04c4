"""A store that finds candidates in an index, and lets the model score them."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Iterator, Mapping

import numpy as np
from tqdm import tqdm

from recbole_whisperlite.recommend.catalogue import Catalogue
from recbole_whisperlite.recommend.plus_scorer import PlusScorer
from recbole_whisperlite.recommend.scorer import Asked, Batch, LinearScorer
from recbole_whisperlite.recommend.stores import candidates
from recbole_whisperlite.recommend.stores.address import N_CANDIDATES
from recbole_whisperlite.recommend.stores.base import Store
from recbole_whisperlite.recommend.stores.geometry import Geometry
from recbole_whisperlite.recommend.stores.index import Added, Index
from recbole_whisperlite.recommend.stores.keys import Keys
from recbole_whisperlite.recommend.stores.log_sums import SampledSum

# Items that are put into an index at once: 8 MB of 500 numbers each.
_AT_ONCE = 4096
_SUMS: weakref.WeakKeyDictionary[PlusScorer, SampledSum] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class IndexedStore(Store):
    """Finds candidates in an index.

    Items that were added or have changed since the index was written are candidates of
    every request, as are long ones (see :class:`Geometry`); those that are gone are not.

    Attributes:
        name (str): As of :class:`Store`.
        index (Index): Where candidates are found.
        geometry (Geometry): How items and queries become vectors.
        keys (Keys): Which rows these are.
        n_candidates (int): How many are looked for at first.
        few (int): As for :func:`candidates.top`.
    """

    name: str
    index: Index
    geometry: Geometry
    keys: Keys
    n_candidates: int = N_CANDIDATES
    few: int = candidates.FEW

    def encode(self, scorer: LinearScorer, asked: Asked) -> Batch:
        if not isinstance(scorer, PlusScorer) or scorer.memory is None:
            return scorer.encode(asked)

        def find(logits):
            n = len(logits), self.n_candidates
            return self._find(scorer, (logits,), *n, None)

        sums = _sampled_sum(scorer)
        return scorer.encode(asked, lambda logits: sums.of(scorer, logits, find))

    def top(
        self,
        scorer: LinearScorer,
        batch: Batch,
        k: int,
        allowed: np.ndarray,
        where: Mapping[str, object] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        def find(rows, number):
            parts = tuple(q if q is None else q[rows] for q in batch.queries)
            return self._find(scorer, parts, len(rows), number, where)

        return candidates.top(
            scorer,
            batch,
            k,
            allowed,
            find,
            self.keys.besides,
            n_candidates=self.n_candidates,
            most=self.index.most,
            is_filtered=bool(where) and self.index.filters,
            few=self.few,
        )

    def _find(self, scorer, parts, n, number, where):
        queries = self.geometry.queries(scorer, parts, n)
        return self.keys.rows(self.index.search(queries, number, where))

    def with_items(self, n: int) -> IndexedStore:
        return dataclasses.replace(self, keys=self.keys.with_items(n))

    def keep_items(self, rows: np.ndarray) -> IndexedStore:
        return dataclasses.replace(self, keys=self.keys.keep_items(rows))

    def with_change(self, row: int) -> IndexedStore:
        return dataclasses.replace(self, keys=self.keys.with_change(row))

    def written(
        self, scorer: LinearScorer, catalogue: Catalogue, before: Keys
    ) -> IndexedStore:
        """Return the store after its index has got all changes.

        Args:
            scorer (LinearScorer): The model as it is now.
            catalogue (Catalogue): Its items.
            before (Keys): What the index has now.

        Raises:
            UserError: If the index cannot be reached, or written.
        """
        keys = completed(self.keys, self.geometry, scorer)
        rows = self.keys.missing[keys.of_row[self.keys.missing] >= 0]
        added = functools.partial(additions, self.geometry, scorer, keys, rows)
        index = self.index.changed(self.keys.gone(before), added, len(rows), catalogue)
        return dataclasses.replace(self, index=index, keys=keys)


def completed(keys: Keys, geometry: Geometry, scorer: LinearScorer) -> Keys:
    """Return keys with those of the items that an index is to get."""
    return keys.complete(geometry.lengths(scorer, keys.missing) > geometry.length)


def _sampled_sum(scorer):
    """Return that of a scorer, drawn once: scorers never change."""
    if scorer not in _SUMS:
        _SUMS[scorer] = SampledSum(scorer)
    return _SUMS[scorer]


def additions(
    geometry: Geometry, scorer: LinearScorer, keys: Keys, rows: np.ndarray
) -> Iterator[Added]:
    """Yield items for an index, with a progress bar: those of ``rows``, int64."""
    # None: shown on terminals only
    with tqdm(total=len(rows), unit=" items", desc="index", disable=None) as bar:
        for begin in range(0, len(rows), _AT_ONCE):
            part = rows[begin : begin + _AT_ONCE]
            yield Added(keys.of_row[part], geometry.items(scorer, part), part)
            bar.update(len(part))
