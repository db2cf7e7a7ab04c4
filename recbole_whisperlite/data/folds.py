"""Rolling evaluation: every seed tests another stretch of the requests.

A test set of a hundred requests decides nothing. With ``folds`` the split moves back in
time from seed to seed, so that the seeds together test almost all requests, each once, and
what is later than a fold's test part does not exist in that fold.
"""

import numpy as np

from recbole_whisperlite.errors import UserError

#: The phase of requests that are later than the test part: they are left out.
LATER = 3


def check_folds(folds: int, eval_args: dict) -> None:
    """Raise a UserError if there cannot be so many folds with these ``eval_args``."""
    if folds == 1:
        return
    split = eval_args["split"]
    if eval_args["order"] != "TO" or "RS" not in split:
        raise UserError(
            f"folds is {folds}, and folds follow each other in time: in eval_args, set "
            f"order to TO (it is {eval_args['order']}) and split to a ratio such as "
            f"{{'RS': [0.75, 0.1, 0.15]}} (it is {split})."
        )
    _, valid, test = _shares(split["RS"])
    if not test > 0 or not folds * test + valid < 1:
        raise UserError(
            f"folds is {folds}, but the split {split} has a test part of {test:.3g} and "
            f"a validation part of {valid:.3g} of the requests: {folds} test parts and "
            "one for validation leave nothing to train on. Take fewer folds or a "
            "smaller test part."
        )


def rolling_phases(
    group: np.ndarray, ratios: list[float], folds: int, seed: int
) -> np.ndarray:
    """Return the phases of requests in one fold.

    The requests of a group, in order of time, end in ``folds`` test parts of the share that
    the ratios give. A fold's training and validation parts come before its test part, and
    later requests are left out. Groups take turns: in fold 0, group 0 is tested at its end,
    group 1 one part earlier, so that no fold has early parts only.

    Args:
        group (numpy.ndarray): The number of each request's group, all 0 if all requests are
            split together; requests are sorted by time, int64 ``[n_requests]``.
        ratios (list of float): Shares of training, validation and test.
        folds (int): The number of folds.
        seed (int): Its remainder, divided by ``folds``, is the fold.

    Returns:
        numpy.ndarray: 0 train, 1 valid, 2 test, :data:`LATER`, int64 ``[n_requests]``.
    """
    _, valid, test = _shares(ratios)
    by_group = np.argsort(group, kind="stable")
    size = np.bincount(group)
    starts = np.cumsum(size) - size
    position = np.empty(len(group), dtype=np.int64)
    position[by_group] = np.arange(len(group)) - starts[group[by_group]]
    turn = (seed + np.arange(len(size))) % folds
    # rounded as one grid, so that the test parts of a group neither overlap nor leave gaps
    begin = np.floor(size * (1 - (turn + 1) * test) + 0.5)
    end = np.floor(size * (1 - turn * test) + 0.5)
    middle = np.floor(size * (1 - (turn + 1) * test - valid) + 0.5)
    bounds = np.stack([middle, begin, end])[:, group]
    return (position >= bounds).sum(axis=0)


def _shares(ratios):
    return np.asarray(ratios, dtype=float) / np.sum(ratios)
