"""The rows of a user before a request."""

import numpy as np
import torch

#: The fields of a query that say what is known of its user: the items of ``known_length``
#: interactions from index ``known_begin`` of the dataset's ``all_chosen_items`` on.
KNOWN_FIELDS = ("known_begin", "known_length")


class Histories:
    """Earlier rows of the same user, for rows sorted by user and time of the request.

    Args:
        user (numpy.ndarray): User of each row, int64 ``[n]``.
        request (numpy.ndarray): Request of each row, int64 ``[n]``; rows of one request
            are adjacent. A row without a request, 0, is on its own.
        max_length (int): The number of latest rows to which a history is cut.
        known (numpy.ndarray, optional): Marks the rows that may be in a history, bool
            ``[n]``, the first ones of each user. Default: all.

    Attributes:
        begin (numpy.ndarray): The row where each row's history begins, int64 ``[n]``.
        length (numpy.ndarray): Length of each row's history, int64 ``[n]``.
    """

    def __init__(self, user, request, max_length, known=None):
        row = np.arange(len(user))
        starts = _starts(user)
        # A history ends where the request begins, not at the preceding row: the items of
        # one request are chosen together.
        no_request = request == 0
        new = starts | _starts(request) | no_request
        end = np.maximum.accumulate(np.where(new, row, 0))
        begin = np.maximum.accumulate(np.where(starts, row, 0))
        if known is not None:
            of_user = np.cumsum(starts) - 1
            n_known = np.bincount(of_user[known], minlength=len(user))
            end = np.minimum(end, begin + n_known[of_user])
        self.begin = np.maximum(begin, end - max_length)
        self.length = end - self.begin
        self._max_length = max_length

    def gather(self, rows: np.ndarray, values: torch.Tensor) -> torch.Tensor:
        """Return the values in the history of each row, padded by 0.

        Args:
            rows (numpy.ndarray): The rows, int64 ``[m]``.
            values (torch.Tensor): A value for each row, ``[n, ...]``.

        Returns:
            torch.Tensor: ``[m, max_length, ...]``, oldest first.
        """
        step = np.arange(self._max_length)
        index = self.begin[rows, None] + step
        gathered = values[torch.from_numpy(np.minimum(index, len(values) - 1))]
        gathered[torch.from_numpy(step >= self.length[rows, None])] = 0
        return gathered


def _starts(values):
    """Mark where a run of equal values starts, bool ``[n]``."""
    return np.concatenate([[True], values[1:] != values[:-1]])
