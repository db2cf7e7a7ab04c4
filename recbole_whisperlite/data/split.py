"""Splitting whole requests, by RecBole's own ordering and splitting functions."""

from logging import getLogger

import numpy as np
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction

PHASES = ("train", "valid", "test")


def events(request, n_requests):
    """Number what happened: a request with all its rows, or a row without request.

    Args:
        request (numpy.ndarray): Request of each row, 0 for none, int64 ``[n_rows]``.
        n_requests (int): All requests are below it.

    Returns:
        numpy.ndarray: The request, or a number of its own from ``n_requests`` on, int64
        ``[n_rows]``.
    """
    event = request.astype(np.int64)
    unasked = event == 0
    event[unasked] = n_requests + np.arange(unasked.sum())
    return event


def unasked_phases(user, time, asked, phase, n_users=None):
    """Return the phases of choices without a request, where time decides.

    Training ends before the first request of a later phase: such a choice belongs to
    training only if it is earlier than that. A later one is a choice of the later
    phase, in which nothing but requests is asked: it is history there, no more.

    Args:
        user, time (numpy.ndarray): Of each event, int64 and float64 ``[n_events]``.
        asked (numpy.ndarray): Whether it is a request, bool ``[n_events]``.
        phase (numpy.ndarray): Of the requests, int64 ``[n_events]``.
        n_users (int, optional): Where each user's requests are split for themselves,
            each user has such an end of training; else there is one for all.

    Returns:
        numpy.ndarray: int64 ``[n_events that are no requests]``.
    """
    group = np.zeros_like(user) if n_users is None else user
    phases = np.zeros(np.count_nonzero(~asked), dtype=np.int64)
    for number in range(1, len(PHASES)):
        first = np.full(n_users or 1, np.inf)
        later = asked & (phase >= number)
        np.minimum.at(first, group[later], time[later])
        phases += time[~asked] >= first[group[~asked]]
    return phases


class RequestTable(Dataset):
    """One row a request, so that ``Dataset.build`` orders and splits requests.

    All of ``eval_args`` keeps RecBole's meaning; only the thing that is split is a
    request with all its interactions instead of a single interaction.

    Args:
        config (Config): For ``eval_args`` and ``seed``.
        user (numpy.ndarray): User of each request, int64 ``[n_requests]``.
        time (numpy.ndarray): When it was made, float64 ``[n_requests]``; rows come in
            this order.
    """

    def __new__(cls, *args):
        # Dataset.__new__ may choose a request-aware class; this is only a table.
        return object.__new__(cls)

    def __init__(self, config, user, time):
        # Nothing is loaded: Dataset.__init__ would read files.
        self.config, self.logger = config, getLogger()
        self.benchmark_filename_list = None
        self.uid_field = config["USER_ID_FIELD"]
        self.time_field = config["TIME_FIELD"]
        self.inter_feat = Interaction(
            {
                self.uid_field: torch.from_numpy(user),
                self.time_field: torch.from_numpy(time),
                "row": torch.arange(len(user)),
            }
        )

    def phases(self):
        """Return the phase of each request: 0 train, 1 valid, 2 test.

        A random order depends on ``seed`` alone, not on what ran before, so that every
        model family sits the same exam.

        Returns:
            numpy.ndarray: int64 ``[n_requests]``.
        """
        phase = np.zeros(len(self.inter_feat), dtype=np.int64)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config["seed"])
            for number, part in enumerate(self.build()):
                phase[part.inter_feat["row"].numpy()] = number
        return phase

    def _change_feat_format(self):
        pass  # inter_feat is an Interaction from the start

    def _drop_unused_col(self):
        pass  # the columns belong to the dataset whose requests these are
