r"""
recbole_whisperlite.model.score
###############################
The score of WhisperLitePlus as a sum that is written out only once

A term is a number for every (row, candidate). Most terms are a product of two thin matrices,
or 0 at almost every candidate. A sum of such terms is kept as its parts, and adds them up in
one matrix: as many dense matrices for every term are what takes the time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

# The most numbers that are written out by rows at once: 2 MB, which a processor has close by.
_AT_ONCE = 2**19


class Sparse(NamedTuple):
    r"""A matrix that is 0 but for some cells, each of which is there once.

    - row, position(torch.LongTensor): Of each cell, shape: [n_cells]
    - value(torch.FloatTensor): shape: [n_cells]
    - shape(tuple): (n_rows, n_candidates)
    """

    row: torch.LongTensor
    position: torch.LongTensor
    value: torch.FloatTensor
    shape: tuple[int, int]

    @property
    def cell(self) -> torch.LongTensor:
        r"""torch.LongTensor: Numbers of the cells in the flattened matrix."""
        return self.row * self.shape[1] + self.position

    def only(self, kept: torch.BoolTensor) -> Sparse:
        r"""Return some of the cells, shape of ``kept``: [n_cells]."""
        # one search for the cells, and copies without one
        index = kept.nonzero().squeeze(1)
        parts = (self.row, self.position, self.value)
        return Sparse(*(each.index_select(0, index) for each in parts), self.shape)

    def replaced(
        self,
        row: torch.LongTensor,
        position: torch.LongTensor,
        value: torch.FloatTensor,
    ) -> Sparse:
        r"""Return the matrix with other values at some cells, at most one in each row.

        Args:
            row, position (torch.LongTensor): Of these cells, shape: [m]
            value (torch.FloatTensor): shape: [m]
        """
        of_row = position.new_full((self.shape[0],), -1)
        of_row[row] = position
        kept = self.only(self.position != of_row[self.row])
        return Sparse(
            torch.cat([kept.row, row]),
            torch.cat([kept.position, position]),
            torch.cat([kept.value, value]),
            self.shape,
        )


class Product(NamedTuple):
    r"""A matrix of low rank, :math:`q k^T`.

    - query(torch.FloatTensor): shape: [n_rows, size]
    - key(torch.FloatTensor): shape: [n_candidates, size]
    """

    query: torch.FloatTensor
    key: torch.FloatTensor


class ByRows:
    r"""A matrix that is written out some rows at a time, so that no more of it is in memory
    than fits there with the sum that it is added to. It has no gradient.
    """

    def rows(self, part: slice) -> torch.FloatTensor:
        r"""Return some rows, which may be changed, shape: [n_part, n_candidates]."""
        raise NotImplementedError


class Score:
    r"""A sum of weighted matrices of the same shape; each is a tensor that can be broadcast to
    it, a :class:`Sparse`, a :class:`Product` or :class:`ByRows`.

    A weight is a number (a float or a tensor of no dimension), or one for each candidate,
    shape: [n_candidates].

    Args:
        - *parts: The matrices, each with the weight 1
    """

    def __init__(self, *parts):
        self._parts = [(1.0, part) for part in parts]

    def __add__(self, other: Score) -> Score:
        result = Score()
        result._parts = self._parts + other._parts
        return result

    def __rmul__(self, weight: float | torch.FloatTensor) -> Score:
        result = Score()
        result._parts = [(weight * own, part) for own, part in self._parts]
        return result

    def dense(self, shape: tuple[int, int]) -> torch.FloatTensor:
        r"""Add up all parts.

        Args:
            shape (tuple): (n_rows, n_candidates)

        Returns:
            torch.FloatTensor: float32, shape: ``shape``
        """
        return self.added_to(None, shape)

    def added_to(
        self, result: torch.FloatTensor | None, shape: tuple[int, int]
    ) -> torch.FloatTensor:
        r"""Add all parts to a matrix, which may be changed, and return it.

        Args:
            result (torch.FloatTensor): Nothing else may need its values; None for 0
            shape (tuple): (n_rows, n_candidates)

        Returns:
            torch.FloatTensor: float32, shape: ``shape``
        """
        vectors, matrices, products, cells, by_rows = 0.0, {}, [], [], []
        for weight, part in self._parts:
            if isinstance(part, Sparse):
                cells.append((weight, part))
            elif isinstance(part, Product):
                products.append((weight, part))
            elif isinstance(part, ByRows):
                by_rows.append((weight, part))
            elif 1 in part.shape and tuple(part.shape) != tuple(shape):
                vectors = vectors + weight * part
            else:  # the same matrix in several terms is added once
                total, _ = matrices.get(id(part), (0.0, None))
                matrices[id(part)] = total + weight, part
        for weight, part in matrices.values():
            # what mixed precision made narrow is added up in float32
            part = part.float()
            result = weight * part if result is None else _add(result, part, weight)
        if isinstance(vectors, torch.Tensor):
            if result is None:
                result = vectors.float().expand(shape).clone()
            else:
                result = result.add_(vectors)
        for weight, (query, key) in products:
            query, key = query.float(), key.float().transpose(0, 1)
            if not (isinstance(weight, torch.Tensor) and weight.dim()):
                query = query * weight
            elif result is not None and len(query) < len(key):
                result = result.addcmul_(torch.matmul(query, key), weight)
                continue
            else:
                key = key * weight
            if result is None:
                result = torch.matmul(query, key).float()
            else:
                result = result.addmm_(query, key)
        if result is None and cells:
            result = cells[0][1].value.new_zeros(shape)
        if by_rows:
            result = _added_by_rows(result, shape, by_rows)
        for weight, sparse in cells:
            if isinstance(weight, torch.Tensor) and weight.dim():
                weight = weight[sparse.position]
            value = (weight * sparse.value).to(result.dtype)
            result = _CellsAdded.apply(result, sparse.cell, value)
        return result


class _CellsAdded(torch.autograd.Function):
    r"""Add values to cells of a matrix in place, each at most once.

    The gradient of an addition to a view of it would copy that of the whole matrix.
    """

    @staticmethod
    def forward(ctx, result, cell, value):
        ctx.save_for_backward(cell)
        ctx.mark_dirty(result)
        result.view(-1).scatter_add_(0, cell, value)
        return result

    @staticmethod
    def backward(ctx, gradient):
        (cell,), of_value = ctx.saved_tensors, None
        if ctx.needs_input_grad[2]:
            of_value = gradient.reshape(-1).index_select(0, cell)
        return gradient, None, of_value


def _added_by_rows(result, shape, weighted):
    r"""Add weighted matrices of the kind :class:`ByRows` to a matrix, or to 0 for None."""
    if result is None:
        result = weighted[0][1].rows(slice(0)).new_zeros(shape)
    # a graphics card would rather have all at once
    step = max(len(result) if result.is_cuda else _AT_ONCE // shape[1], 1)
    for begin in range(0, len(result), step):
        part = slice(begin, begin + step)
        for weight, matrix in weighted:
            _add(result[part], matrix.rows(part), weight)
    return result


def _add(result, part, weight):
    r"""Add a weighted matrix in place."""
    if isinstance(weight, torch.Tensor):
        return result.addcmul_(part, weight)
    return result.add_(part, alpha=weight)
