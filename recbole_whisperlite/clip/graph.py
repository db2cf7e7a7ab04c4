"""Approximate search among millions of vectors: a navigable graph, by usearch."""

import numpy as np

from recbole_whisperlite.clip import output
from recbole_whisperlite.errors import UserError

# usearch's own choice is made for speed; this finds nearly all true neighbours.
_CANDIDATES = 128


class Graph:
    """A hierarchical navigable small world (Malkov & Yashunin 2018) over unit vectors.

    Args:
        index (usearch.index.Index): The library's graph; keys are rows.
    """

    def __init__(self, index):
        self._index = index

    @classmethod
    def build(cls, vectors):
        """Make the graph of ``vectors``, float32 ``[n, dim]``, with a progress bar.

        Raises:
            UserError: If usearch is not installed.
        """
        index = _usearch().Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", expansion_add=_CANDIDATES
        )
        index.add(np.arange(len(vectors)), vectors, log="search graph")
        return cls(index)

    @classmethod
    def load(cls, path):
        """Read a graph that :meth:`save` wrote; None if it is damaged.

        Raises:
            UserError: If usearch is not installed.
        """
        library = _usearch()
        try:
            index = library.Index.restore(str(path))
        except (RuntimeError, ValueError):
            return None
        return index and cls(index)

    def save(self, path):
        """Write the graph, whole or not at all."""
        with output.writing(path) as temporary:
            try:
                self._index.save(str(temporary))
            except RuntimeError:
                # The library does not say why.
                raise OSError("usearch could not write all of it") from None

    def search(self, queries, k):
        """Return rows of similar vectors, int64 ``[n_queries, k]``, in no fixed order.

        Args:
            queries (numpy.ndarray): float32 ``[n_queries, dim]``.
            k (int): At most the number of vectors.
        """
        self._index.expansion_search = max(_CANDIDATES, 2 * k)
        # Two rows at least: for one the library answers in another shape.
        found = self._index.search(np.concatenate([queries, queries[:1]]), k)
        return found.keys[:-1].astype(np.int64)


def check_installed():
    """Raise a UserError if usearch is not installed."""
    _usearch()


def _usearch():
    try:
        import usearch.index
    except ImportError:
        raise UserError(
            "Approximate search needs the package usearch, which is not installed: "
            "pip install 'recbole-whisperlite[ann]'. Without it the search is exact."
        ) from None
    return usearch.index
