"""What a recommender knows at a moment: items, model, users."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recbole_whisperlite.recommend.catalogue import Catalogue
from recbole_whisperlite.recommend.scorer import Scorer
from recbole_whisperlite.recommend.users import Users


class State(NamedTuple):
    """Immutable: a change makes another state, and whoever reads takes one state once.

    Attributes:
        catalogue (Catalogue): The items.
        scorer (Scorer): The model.
        gone (numpy.ndarray): Which items were removed, bool ``[n_items]``.
        users (Users or None): Their histories; None if they were left out.
    """

    catalogue: Catalogue
    scorer: Scorer
    gone: np.ndarray
    users: Users | None

    def rows(self, ids: object, what: str) -> np.ndarray:
        """Return the rows of item ids, see :meth:`Catalogue.rows`."""
        return self.catalogue.rows(ids, what, self.gone)

    def history(self, user: str | None) -> np.ndarray:
        """Return the rows of a user's history, int64 ``[n]``."""
        return (self.users or Users.none()).history(user)

    def compact(self) -> State:
        """Return the state without the removed items."""
        if not self.gone.any():
            return self
        kept = np.flatnonzero(~self.gone)
        new_row = np.full(len(self.gone), -1, dtype=np.int64)
        new_row[kept] = np.arange(len(kept))
        return State(
            self.catalogue.keep_items(kept),
            self.scorer.keep_items(kept),
            np.zeros(len(kept), dtype=bool),
            None if self.users is None else self.users.keep_items(new_row),
        )
