"""What a store looks in for the items of the highest inner products."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from recbole_whisperlite.recommend.catalogue import Catalogue


class Added(NamedTuple):
    """Items that are put into an index.

    Attributes:
        keys (numpy.ndarray): Their keys, int64 ``[n]``.
        vectors (numpy.ndarray): float32 ``[n, dim]``.
        rows (numpy.ndarray): Where they are in the catalogue, int64 ``[n]``.
    """

    keys: np.ndarray
    vectors: np.ndarray
    rows: np.ndarray


#: Yields all items that are to be added, a few thousand at a time.
Additions = Callable[[], Iterator[Added]]


class Index(abc.ABC):
    """Vectors by key.

    Attributes:
        most (int): How many can be found at once.
        filters (bool): Whether it leaves out what does not meet conditions.
    """

    most: int
    filters: bool

    @abc.abstractmethod
    def search(
        self, queries: np.ndarray, k: int, where: Mapping[str, object] | None
    ) -> np.ndarray:
        """Return the keys of the highest inner products.

        Args:
            queries (numpy.ndarray): float32 ``[n, dim]``.
            k (int): How many, at most :attr:`most`.
            where (dict or None): Conditions on columns, as for :meth:`Catalogue.where`,
                by which the index may leave items out.

        Returns:
            numpy.ndarray: int64 ``[n, k]``; -1 where there are fewer.

        Raises:
            UserError: If it cannot be reached.
        """

    @abc.abstractmethod
    def changed(
        self, removed: np.ndarray, added: Additions, n_added: int, catalogue: Catalogue
    ) -> Index:
        """Return the index without the keys ``removed`` and with others, saved.

        Args:
            removed (numpy.ndarray): int64.
            added (callable): What is added.
            n_added (int): How many these are.
            catalogue (Catalogue): For their columns.

        Raises:
            UserError: If it cannot be reached, or written.
        """

    @abc.abstractmethod
    def about(self) -> dict:
        """Return what is needed to open it again, as JSON can hold it."""

    def remove_others(self) -> None:
        """Remove what this index has replaced, once nothing names it any more."""
