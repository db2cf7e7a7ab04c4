"""Phases of requests, and of interactions without one, whoever split the requests."""

import numpy as np

PHASES = ("train", "valid", "test")


def events(request: np.ndarray, n_requests: int) -> np.ndarray:
    """Number the events: a request with all its rows, or a row without a request.

    Args:
        request (numpy.ndarray): Request of each row, 0 for none, int64 ``[n_rows]``.
        n_requests (int): A number above all request ids.

    Returns:
        numpy.ndarray: The request of each row, or a unique number from ``n_requests`` on,
        int64 ``[n_rows]``.
    """
    event = request.astype(np.int64)
    no_request = event == 0
    event[no_request] = n_requests + np.arange(no_request.sum())
    return event


def unasked_phases(
    user: np.ndarray,
    time: np.ndarray,
    is_request: np.ndarray,
    phase: np.ndarray,
    n_users: int | None = None,
) -> np.ndarray:
    """Return the phases of interactions without a request, in a split by time.

    Training ends before the first request of a later phase: only earlier interactions
    belong to training. Later ones belong to the later phase, where only requests are
    queries and these interactions merely history.

    Args:
        user, time (numpy.ndarray): Of each event, int64 and float64 ``[n_events]``.
        is_request (numpy.ndarray): Whether it is a request, bool ``[n_events]``.
        phase (numpy.ndarray): Phases of the requests, int64 ``[n_events]``.
        n_users (int, optional): Given if each user's requests are split separately, so
            that training ends at a different time for each user.

    Returns:
        numpy.ndarray: int64 ``[number of events that are not requests]``.
    """
    group = np.zeros_like(user) if n_users is None else user
    phases = np.zeros(np.count_nonzero(~is_request), dtype=np.int64)
    for number in range(1, len(PHASES)):
        first = np.full(n_users or 1, np.inf)
        later = is_request & (phase >= number)
        np.minimum.at(first, group[later], time[later])
        phases += time[~is_request] >= first[group[~is_request]]
    return phases
