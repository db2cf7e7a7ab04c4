r"""
recbole_whisperlite.model.item_products
#######################################
Products of histories and items, from those of the single items of a history
"""

import torch

from recbole_whisperlite.model.kept import MOST_KEPT, KeptRows, state_of
from recbole_whisperlite.model.score import ByRows
from recbole_whisperlite.model.terms import weighted_sums

# How many numbers of a vector cost as much to multiply as one item of a history to add.
_NUMBERS_OF_AN_ITEM = 16


class ItemProducts:
    r"""ItemProducts keeps the products of each item with all items, to be summed over
    histories.

    .. math::
        \Big(\sum_{j \in H} w_j\, v_j\Big) \cdot v_i = \sum_{j \in H} w_j\, (v_j \cdot v_i)

    The left side costs as many multiplications as a vector has numbers; the right side as
    many as a history has items, once the products of pairs are known. It pays for short
    histories in a catalogue whose pairs fit in memory, where a processor and not a graphics
    card multiplies.
    """

    def __init__(self):
        self._products = KeptRows()

    def summed(
        self,
        history: torch.LongTensor,
        weight: torch.FloatTensor,
        vectors: torch.FloatTensor,
    ) -> ByRows | None:
        r"""Return the products of weighted sums of vectors with all vectors.

        Args:
            history (torch.LongTensor): Items, 0 for none, shape: [n, length]
            weight (torch.FloatTensor): Of each item in its history, shape: [n, length]
            vectors (torch.FloatTensor): Of all items, shape: [n_items, size]

        Returns:
            ByRows: shape: [n, n_items], or None where it does not pay
        """
        n_items, size = vectors.shape
        if torch.is_grad_enabled() or history.is_cuda or n_items**2 > MOST_KEPT:
            return None
        item = history[history > 0]
        if len(item) * _NUMBERS_OF_AN_ITEM > len(history) * size:
            return None

        def make(new):
            # whoever asks next may want more than the mixed precision of now
            with torch.autocast(vectors.device.type, enabled=False):
                return torch.matmul(vectors[new], vectors.transpose(0, 1))

        products = self._products.table(
            state_of([vectors]), item, (n_items, n_items), make
        )
        return _SumsOfRows(history, weight, products)


class _SumsOfRows(ByRows):
    r"""Weighted sums of rows of a table, those of the items of histories."""

    def __init__(self, history, weight, table):
        self.history, self.weight, self.table = history, weight, table

    def rows(self, part: slice) -> torch.FloatTensor:
        history, weight = self.history[part], self.weight[part].to(self.table.dtype)
        present = history > 0
        return weighted_sums(present, history[present], weight, self.table)
