"""Splitting whole requests, by RecBole's own ordering and splitting functions."""

from logging import getLogger

import numpy as np
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction

PHASES = ("train", "valid", "test")


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
