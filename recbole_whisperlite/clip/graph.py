"""Approximate search among millions of vectors by a navigable graph (usearch)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.clip import output
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    import usearch.index

# usearch's default favours speed; this finds nearly all true neighbours.
_CANDIDATES = 128


class Graph:
    """A hierarchical navigable small world (Malkov & Yashunin 2018) over unit vectors.

    Args:
        index (usearch.index.Index): The library's graph; its keys are row numbers.
    """

    def __init__(self, index: usearch.index.Index):
        self._index = index

    @classmethod
    def build(cls, vectors: np.ndarray) -> Graph:
        """Build the graph of ``vectors``, float32 ``[n, dim]``, with a progress bar.

        Raises:
            UserError: If usearch is not installed.
        """
        index = usearch_library().Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", expansion_add=_CANDIDATES
        )
        index.add(np.arange(len(vectors)), vectors, log="search graph")
        return cls(index)

    @classmethod
    def load(cls, path: str | Path) -> Graph | None:
        """Read a graph that :meth:`save` wrote; return None if it is damaged.

        Raises:
            UserError: If usearch is not installed.
        """
        library = usearch_library()
        try:
            index = library.Index.restore(str(path))
        except (RuntimeError, ValueError):
            return None
        return index and cls(index)

    def save(self, path: str | Path) -> None:
        """Write the graph, completely or not at all.

        Raises:
            UserError: If the file cannot be written.
        """
        with output.writing(path) as temporary:
            try:
                self._index.save(str(temporary))
            except RuntimeError:
                # The library does not say why.
                raise OSError("usearch could not write all of it") from None

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Return rows of similar vectors, int64 ``[n_queries, k]``, in no fixed order.

        Args:
            queries (numpy.ndarray): float32 ``[n_queries, dim]``.
            k (int): How many, at most the number of vectors.
        """
        self._index.expansion_search = max(_CANDIDATES, 2 * k)
        # At least two rows: for one, the library returns another shape.
        found = self._index.search(np.concatenate([queries, queries[:1]]), k)
        return found.keys[:-1].astype(np.int64)


def check_installed() -> None:
    """Raise a UserError if usearch is not installed."""
    usearch_library()


def usearch_library():
    """Return the module ``usearch.index``.

    Raises:
        UserError: If usearch is not installed.
    """
    try:
        import usearch.index
    except ImportError:
        raise UserError(
            "Approximate search needs the package usearch, which is not installed: "
            "pip install 'recbole-whisperlite[ann]'. Exact search works without it."
        ) from None
    return usearch.index
