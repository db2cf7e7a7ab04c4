"""Products that came after the training: a share of the items, in no training part.

``new_items`` makes a split by product of any other split. What would have taught a model
about the drawn items is left out of the training part as if it had not happened; validation
and test keep all of their requests.
"""

import numpy as np


def draw_new_items(tokens: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw the items that count as new.

    Args:
        tokens (numpy.ndarray): The token of each item by internal id; the first is
            padding, str ``[n_items]``.
        share (float): ``new_items``, their share of the catalogue.
        seed (int): Of the run. The draw depends on it and on the set of tokens alone, so
            that every model has the same new items.

    Returns:
        numpy.ndarray: Whether each item is new, bool ``[n_items]``.
    """
    new = np.zeros(len(tokens), dtype=bool)
    by_token = 1 + np.argsort(tokens[1:].astype(str))
    count = max(round(share * len(by_token)), 1) if share else 0
    drawn = np.random.default_rng(seed).choice(len(by_token), count, replace=False)
    new[by_token[drawn]] = True
    return new


def without_new_items(
    user: np.ndarray,
    request: np.ndarray,
    rank: np.ndarray,
    phase: np.ndarray,
    is_new: np.ndarray,
    in_time: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Say which rows are left out of a split, and in which phase the others are.

    A training request that led to a new item is left out with all its rows, and so is a
    row without a request in the training part whose item is new. Where a split is not by
    time, a user may have been shown a new item before a request that is held out. If all
    of a user's requests are held out, rows without a request, from that with the first new
    item on, belong to the phase of the earliest of them: they are history of requests
    there, and nothing is trained on them.

    Args:
        user, request (numpy.ndarray): Of each row, int64 ``[n_rows]``; request 0 is none.
        rank, phase (numpy.ndarray): The rank in time and the phase of each row, int64
            ``[n_rows]``.
        is_new (numpy.ndarray): Whether its item is new, bool ``[n_rows]``.
        in_time (bool): Whether the split is by time.

    Returns:
        tuple: Whether each row is kept, bool ``[n_rows]``, and its phase, int64
        ``[n_rows]``.
    """
    phase, training = phase.copy(), phase == 0
    unasked = training & (request == 0)
    if not in_time:
        # of each user: the first phase of their requests, and when the first new item came
        first_phase = np.zeros(user.max() + 1, dtype=np.int64)
        asked = request > 0
        first_phase[user[asked]] = np.iinfo(np.int64).max
        np.minimum.at(first_phase, user[asked], phase[asked])
        first_new = np.full(len(first_phase), np.iinfo(np.int64).max)
        shown = unasked & is_new
        np.minimum.at(first_new, user[shown], rank[shown])
        moved = unasked & (first_phase[user] > 0) & (rank >= first_new[user])
        phase[moved] = first_phase[user[moved]]
        unasked &= ~moved
    led_to_new = np.zeros(request.max() + 1, dtype=bool)
    led_to_new[request[is_new]] = True
    led_to_new[0] = False
    return ~(training & led_to_new[request] | unasked & is_new), phase
