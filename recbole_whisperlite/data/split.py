"""Splits whole requests, with RecBole's own ordering and splitting functions."""

from logging import getLogger

import numpy as np
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction

from recbole_whisperlite.data.folds import check_folds, rolling_phases
from recbole_whisperlite.data.phases import PHASES


def evaluated_phases(eval_args: dict) -> set[str]:
    """Return the phases that a split is to give requests for evaluation to.

    Args:
        eval_args (dict): With ``split``. ``RS`` with a share of 0 wants none in a phase, and
            neither does ``LS`` with ``valid_only`` or ``test_only`` in the other.
    """
    split = eval_args["split"]
    if "RS" in split:
        shares = zip(PHASES[1:], split["RS"][1:])
        return {phase for phase, share in shares if share > 0}
    wanted = str(split.get("LS", "valid_and_test"))
    return {phase for phase in PHASES[1:] if phase in wanted}


class RequestTable(Dataset):
    """A table with one row per request, so that ``Dataset.build`` splits requests.

    ``eval_args`` has its meaning in RecBole, except that what is ordered and split is
    requests with all their interactions instead of single interactions.

    Args:
        config (Config): With ``eval_args`` and ``seed``.
        user (numpy.ndarray): User of each request, int64 ``[n_requests]``.
        time (numpy.ndarray): Time of each request, float64 ``[n_requests]``; rows are
            sorted by it.
    """

    def __new__(cls, *args):
        # Dataset.__new__ may choose a request-aware class, but this is only a table.
        return object.__new__(cls)

    def __init__(self, config, user, time):
        # Dataset.__init__ is not called: it would read files.
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

    def phases(self) -> np.ndarray:
        """Return the phase of each request: 0 train, 1 valid, 2 test; 3 if it is later
        than the test part of its fold (setting ``folds``).

        A random order depends only on ``seed``, not on what ran before, so that every
        model family has the same test set.

        Returns:
            numpy.ndarray: int64 ``[n_requests]``.
        """
        args, folds = self.config["eval_args"], self.config["folds"]
        folds = 1 if folds is None else folds
        check_folds(folds, args)
        if folds > 1:
            user = self.inter_feat[self.uid_field].numpy()
            by_user = str(args["group_by"]).lower() == "user"
            group = np.unique(user, return_inverse=True)[1] if by_user else user * 0
            return rolling_phases(
                group, args["split"]["RS"], folds, self.config["seed"]
            )
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
