"""The rows of a user before a request."""

import numpy as np
import torch


class Histories:
    """Earlier rows of the same user, for rows sorted by user and time of the request.

    Args:
        user (numpy.ndarray): User of each row, int64 ``[n]``.
        request (numpy.ndarray): Request of each row, int64 ``[n]``; rows of one request
            are adjacent. A row without a request, 0, is on its own.
        max_length (int): The number of latest rows to which a history is cut.

    Attributes:
        begin (numpy.ndarray): The row where each row's history begins, int64 ``[n]``.
        length (numpy.ndarray): Length of each row's history, int64 ``[n]``.
    """

    def __init__(self, user, request, max_length):
        row = np.arange(len(user))
        # A history ends where the request begins, not at the preceding row: the items of
        # one request are chosen together.
        no_request = request == 0
        end = np.maximum.accumulate(np.where(_starts(request) | no_request, row, 0))
        begin = np.maximum.accumulate(np.where(_starts(user), row, 0))
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
