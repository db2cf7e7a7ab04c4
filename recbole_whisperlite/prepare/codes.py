"""Ids as small integers, given out while a file streams by."""

import numpy as np


class Codes:
    """Number ids 0, 1, 2 … in the order in which they are first met.

    Args:
        ids (iterable of str): Ids that have their numbers already.
    """

    def __init__(self, ids=()):
        self._code = {name: code for code, name in enumerate(ids)}

    def __len__(self):
        return len(self._code)

    def __iter__(self):
        """The ids in the order of their codes."""
        return iter(self._code)

    def encode(self, column):
        """Give the codes of a column, new ones for new ids.

        Args:
            column (pyarrow.StringArray): Ids, none missing; shape ``[rows]``.

        Returns:
            numpy.ndarray: int32, shape ``[rows]``.
        """
        # Arrow finds the batch's distinct ids, so that Python touches each but once.
        distinct = column.dictionary_encode()
        code = self._code
        codes = [
            code.setdefault(id_, len(code)) for id_ in distinct.dictionary.to_pylist()
        ]
        return np.array(codes, dtype=np.int32)[distinct.indices.to_numpy()]
