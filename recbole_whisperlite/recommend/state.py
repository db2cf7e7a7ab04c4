"""What a recommender knows at a moment: items, model, users."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recbole_whisperlite.recommend.catalogue import Catalogue
from recbole_whisperlite.recommend.scorer import Scorer
from recbole_whisperlite.recommend.stores.base import EXACT, Store
from recbole_whisperlite.recommend.users import Users


class State(NamedTuple):
    """Immutable: a change makes another state, and whoever reads takes one state once.

    Attributes:
        catalogue (Catalogue): The items.
        scorer (Scorer): The model.
        users (Users or None): Their histories; None if they were left out.
        store (Store): Where the best items are looked for.
    """

    catalogue: Catalogue
    scorer: Scorer
    users: Users | None
    store: Store = EXACT

    def history(self, user: str | None) -> np.ndarray:
        """Return the rows of a user's history, int64 ``[n]``."""
        return (self.users or Users.none()).history(user)

    def without_items(self, rows: np.ndarray) -> State:
        """Return the state without the items ``rows``, int64; histories lose them, too."""
        n_items = len(self.catalogue)
        kept = np.setdiff1d(np.arange(n_items), rows)
        new_row = np.full(n_items, -1, dtype=np.int64)
        new_row[kept] = np.arange(len(kept))
        return State(
            self.catalogue.keep_items(kept),
            self.scorer.keep_items(kept),
            None if self.users is None else self.users.keep_items(new_row),
            self.store.keep_items(kept),
        )
