r"""
recbole_whisperlite.model.kept
##############################
What is computed once in an evaluation, for all of its batches
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

#: The most numbers in a table that is kept: 128 MB as float32.
MOST_KEPT = 2**25


def state_of(tensors: Iterable[torch.Tensor]) -> list[tuple[int, int]]:
    r"""Return what changes as soon as one of the tensors is another, or has other values."""
    return [(tensor.data_ptr(), tensor._version) for tensor in tensors]


class Kept:
    r"""Kept keeps a value for as long as what it was made from stays the same.

    It is not in a state dict; a copy, or what a file gives back, starts with nothing.
    """

    def __init__(self):
        self.forget()

    def __reduce__(self):
        return type(self), ()

    def forget(self) -> None:
        r"""Drop the value: ``state_of`` does not see a change of ``tensor.data``."""
        self._value = self._made_from = None

    def __call__(self, made_from: Any, make: Callable[[], Any]) -> Any:
        r"""Return the value.

        Args:
            made_from: Anything that differs if the value does, such as :func:`state_of`
            make (Callable): Makes the value
        """
        if self._made_from is None or made_from != self._made_from:
            self._value, self._made_from = make(), made_from
        return self._value


class KeptRows(Kept):
    r"""KeptRows keeps rows of a table, each of which is made when it is first asked for."""

    def table(
        self,
        made_from: Any,
        row: torch.LongTensor,
        shape: tuple[int, int],
        make: Callable[[torch.LongTensor], torch.FloatTensor],
    ) -> torch.FloatTensor:
        r"""Return the table, in which some rows are ready. Do not modify it.

        Args:
            made_from: Anything that differs if the table does
            row (torch.LongTensor): The rows that have to be ready, shape: [n]
            shape (tuple): Of the table
            make (Callable): Makes distinct rows, shape: [n_rows] and [n_rows, shape[1]]

        Returns:
            torch.FloatTensor: float32, shape: ``shape``; other rows hold anything
        """
        table, is_ready = self(
            made_from,
            lambda: (
                torch.empty(shape, dtype=torch.float, device=row.device),
                torch.zeros(shape[0], dtype=torch.bool, device=row.device),
            ),
        )
        new = row[~is_ready[row]]
        if len(new) > 0:
            new = torch.unique(new)
            table[new] = make(new).to(table.dtype)  # of mixed precision
            is_ready[new] = True
        return table
