"""Like this, but …: a product that was shown, and what should be different.

The product joins the end of the history, as garments that were shown do in fashion
dialogues, and the cosine of :meth:`Recommender.similar` is added to the score. So it works
with models that know no history, too. The cosine is spread as widely as the scores are,
over the products that are best by either: over the whole catalogue, the few that are much
alike would stand so far out that no text could say "but".
"""

from __future__ import annotations

import numpy as np

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.question import Question
from recbole_whisperlite.recommend.scorer import Batch
from recbole_whisperlite.recommend.state import State
from recbole_whisperlite.recommend.top_k import dense_top_k

#: The name of the part of a score.
PART = "likeness"
# The best by score, and the best by likeness.
_MOST_NEAR = 100


def after(asked: Question, item: int) -> Question:
    """Return the question of users whose histories end with an item, a row."""
    histories = [np.append(history, item) for history in asked.histories]
    return Question(**{**asked._asdict(), "histories": histories})


def top(
    state: State, batch: Batch, k: int, allowed: np.ndarray, item: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the best items that are like one.

    Args:
        state (State): What is known.
        batch (Batch): What is asked, encoded.
        k (int): How many items.
        allowed (numpy.ndarray): bool ``[n, n_items]`` or ``[1, n_items]``.
        item (int): The row of the item.

    Returns:
        tuple: items and scores, as of :meth:`Scorer.top`, and the parts of the scores.

    Raises:
        UserError: If the model cannot compare items.
    """
    likeness = state.scorer.similar(item, state.catalogue.texts([item])[0])
    if likeness is None:
        raise UserError(
            f"like: {state.scorer.kind} cannot compare items: it knows only how often "
            "they were chosen."
        )
    scores = state.scorer.scores(batch)
    weights = [_weight(of_row, likeness) for of_row in scores]
    likeness = np.outer(weights, likeness).astype(np.float32)
    total = np.where(allowed, scores + likeness, np.float32(-np.inf))
    items, total = dense_top_k(total, k)
    parts = dict(state.scorer.parts(batch, items))
    parts[PART] = np.take_along_axis(likeness, np.maximum(items, 0), axis=1)
    return items, total, parts


def _weight(scores, likeness):
    """Return what makes likeness as important as the scores of one row, ``[n_items]``."""
    near = np.union1d(_best(scores), _best(likeness))
    return scores[near].std() / max(likeness[near].std(), 1e-12)


def _best(values):
    n = min(_MOST_NEAR, len(values))
    return np.argpartition(-values, n - 1)[:n]
