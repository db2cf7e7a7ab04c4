"""The catalogue as a table in which wishes, tastes and refusals are looked up."""

from collections.abc import Iterable

import numpy as np

from recbole_whisperlite.stylist_mini import vocabulary as words


class Stock:
    """Which ``column=value`` facts hold for which product.

    Attributes:
        facts (list): ``(column, value)``, one per column of ``table``.
        index (dict): ``{(column, value): column of table}``.
        table (numpy.ndarray): float64 ``[n_items, n_facts]``, 1 where a fact holds.
        bans (numpy.ndarray): float64 ``[n_items, len(BANS)]``, 1 where a product is
            ruled out by that member of :data:`vocabulary.BANS`.
    """

    def __init__(self, products: list[dict[str, str]]):
        self.facts = sorted(
            {
                (column, product[column])
                for product in products
                for column in words.ATTRIBUTES
                if product[column]
            }
        )
        self.index = {fact: position for position, fact in enumerate(self.facts)}
        self.table = np.zeros((len(products), len(self.facts)))
        for row, product in enumerate(products):
            for column in words.ATTRIBUTES:
                if product[column]:
                    self.table[row, self.index[column, product[column]]] = 1
        bans = [self.matching(ban.predicates) for ban in words.BANS]
        self.bans = np.stack(bans, axis=1).astype(float)

    def matching(self, predicates: Iterable[str]) -> np.ndarray:
        """Return which products match any ``column=value``, bool ``[n_items]``."""
        facts = [tuple(predicate.split("=")) for predicate in predicates]
        known = [self.index[fact] for fact in facts if fact in self.index]
        return self.table[:, known].any(axis=1)

    def of(self, garments: Iterable[str]) -> np.ndarray:
        """Return which products have these types, bool ``[n_items]``; all if empty."""
        if not garments:
            return np.ones(len(self.table), dtype=bool)
        return self.matching(f"garment={garment}" for garment in garments)
