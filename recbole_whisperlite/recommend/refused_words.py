"""Which words of products a refusal means, exported: see ``model/refused_words.py``."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, vstack

from recbole_whisperlite.recommend.counts import bags_of_words


@dataclasses.dataclass(frozen=True)
class RefusedWords:
    """The words of refusals and of products, and how much the ones mean the others.

    Attributes:
        words (list of str): Words that a request may rule out.
        item_words (list of str): Words of products.
        table (scipy.sparse.csr_matrix): What a word of a refusal takes off a product with
            a word, float32 ``[n_words, n_item_words]``.
        bags (scipy.sparse.csr_matrix): Which words each product has, 1 or none, float32
            ``[n_items, n_item_words]``.
        most (float): What is taken off a product at most.
    """

    words: list[str]
    item_words: list[str]
    table: csr_matrix
    bags: csr_matrix
    most: float

    @cached_property
    def _column_of(self):
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def _items_of_word(self):
        return self.bags.T.tocsr()

    def of(self, refusals: list[str]) -> csr_matrix:
        """Return what refusals take off the products, csr ``[n, n_items]``, below 0."""
        refused = bags_of_words(refusals, self._column_of)
        found = (refused @ self.table @ self._items_of_word).tocsr()
        found.data = np.float32(-self.most) * np.tanh(
            found.data / np.float32(self.most)
        )
        return found

    def with_items(self, texts: list[str]) -> RefusedWords:
        column_of = {word: number for number, word in enumerate(self.item_words)}
        added = bags_of_words(texts, column_of)
        bags = vstack([self.bags, added]).tocsr()
        return dataclasses.replace(self, bags=bags)

    def keep_items(self, rows: np.ndarray) -> RefusedWords:
        return dataclasses.replace(self, bags=self.bags[rows])
