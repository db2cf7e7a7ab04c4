"""Ids as small integers, assigned while a file is streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Codes:
    """Number ids 0, 1, 2 … in the order in which they first occur.

    Args:
        ids (iterable of str): Ids that get the first numbers, in this order.
    """

    def __init__(self, ids: Iterable[str] = ()):
        self._code = {name: code for code, name in enumerate(ids)}

    def __len__(self) -> int:
        return len(self._code)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids in the order of their codes."""
        return iter(self._code)

    def encode(self, column: pa.StringArray) -> np.ndarray:
        """Return the codes of a column, assigning new ones to new ids.

        Args:
            column (pyarrow.StringArray): Ids, shape ``[rows]``, none missing.

        Returns:
            numpy.ndarray: int32, shape ``[rows]``.
        """
        # Arrow finds the distinct ids, so that Python handles each only once per batch.
        distinct = column.dictionary_encode()
        code = self._code
        codes = [
            code.setdefault(id_, len(code)) for id_ in distinct.dictionary.to_pylist()
        ]
        return np.array(codes, dtype=np.int32)[distinct.indices.to_numpy()]
