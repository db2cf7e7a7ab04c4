"""An index in a file: a navigable graph (usearch), opened memory-mapped."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recbole_whisperlite.clip.graph import usearch_library
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file
from recbole_whisperlite.recommend.catalogue import Catalogue
from recbole_whisperlite.recommend.folder import digest
from recbole_whisperlite.recommend.stores.index import Additions, Index

# Half precision: of what is found all is scored again. Neighbours of each item in the graph,
# how many are looked at to find them, and how many in a search for fewer.
_GRAPH = {"metric": "ip", "dtype": "f16", "connectivity": 16, "expansion_add": 128}
_EXPANSION = 128


class UsearchIndex(Index):
    """A hierarchical navigable small world (Malkov & Yashunin 2018) of vectors.

    Args:
        folder (Path): Where its file is.
        stored (dict): ``file`` (its name), ``digest`` and ``dim``.

    Raises:
        UserError: If usearch is not installed, or the file is missing or damaged.
    """

    most, filters = 10_000, False

    def __init__(self, folder: Path, stored: dict):
        self._folder, self._stored = folder, stored
        # the number of items that a search looks at is set for the whole index
        self._searching = threading.Lock()
        path = folder / stored["file"]
        # usearch reads whatever it is given, and a file of another kind ends the process
        if not path.is_file() or digest(path) != stored["digest"]:
            raise UserError(f"{path} is missing or damaged.")
        self._index = _new(stored["dim"], enable_key_lookups=False)
        self._index.view(str(path))

    @classmethod
    def create(cls, folder: Path, dim: int, additions: Additions) -> UsearchIndex:
        """Build an index, with a progress bar.

        Args:
            folder (Path): Where its file goes.
            dim (int): The length of the vectors.
            additions (callable): What it contains.

        Raises:
            UserError: If usearch is not installed, or the file cannot be written.
        """
        return cls._saved(folder, _new(dim), dim, additions)

    @classmethod
    def _saved(cls, folder, graph, dim, additions):
        for each in additions():
            graph.add(each.keys, each.vectors)
        name = f"items-{uuid.uuid4().hex[:8]}.usearch"
        with whole_file(folder / name) as file:
            try:
                graph.save(str(file))
            except RuntimeError:  # the library does not say why
                raise OSError("usearch could not write all of it") from None
            stored = {"file": name, "digest": digest(file), "dim": dim}
        return cls(folder, stored)

    def search(
        self, queries: np.ndarray, k: int, where: Mapping[str, object] | None
    ) -> np.ndarray:
        found = np.full((len(queries), k), -1, dtype=np.int64)
        n = min(k, len(self._index))
        if not n:
            return found
        with self._searching:
            self._index.expansion_search = max(_EXPANSION, n)
            if len(queries) == 1:  # for one, the library returns another shape
                keys = self._index.search(queries[0], n, threads=1).keys
                found[0, : len(keys)] = keys
                return found
            matches = self._index.search(queries, n)
        there = np.arange(n) < np.asarray(matches.counts)[:, None]
        found[:, :n] = np.where(there, matches.keys.astype(np.int64), -1)
        return found

    def changed(
        self,
        removed: np.ndarray,
        added: Additions,
        n_added: int,
        catalogue: Catalogue,
    ) -> UsearchIndex:
        if not len(removed) and not n_added:
            return self
        graph = _new(self._stored["dim"])
        graph.load(str(self._folder / self._stored["file"]))
        if len(removed):
            graph.remove(removed)
        return self._saved(self._folder, graph, self._stored["dim"], added)

    def about(self) -> dict:
        return self._stored

    def remove_others(self) -> None:
        """Remove the files of indexes that this one has replaced."""
        for path in self._folder.glob("items-*.usearch"):
            if path.name != self._stored["file"]:
                with contextlib.suppress(OSError):
                    path.unlink()


def _new(dim, **options):
    return usearch_library().Index(ndim=dim, **_GRAPH, **options)
