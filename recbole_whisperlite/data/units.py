"""The exam: who asks what, what is right, what is not asked, and its fingerprint."""

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix


@dataclass
class Units:
    """The (user, request) pairs of one phase, in order of first appearance.

    Attributes:
        user (numpy.ndarray): Internal user id of each unit, int64 ``[n_units]``.
        request (numpy.ndarray): Internal request id of each unit, int64 ``[n_units]``.
        row (numpy.ndarray): The first interaction of each unit, as a row of the arrays
            given to :func:`make_units`, int64 ``[n_units]``.
        positive (scipy.sparse.csr_matrix): Chosen items, bool ``[n_units, n_items]``.
        excluded (scipy.sparse.csr_matrix): Items that are no candidates, because the
            user had them in an earlier phase and they are not positives of the unit,
            bool ``[n_units, n_items]``.
    """

    user: np.ndarray
    request: np.ndarray
    row: np.ndarray
    positive: csr_matrix
    excluded: csr_matrix

    def __len__(self):
        return len(self.user)

    def fingerprint(self, user_tokens, request_tokens, item_tokens, candidates=None):
        """Hash the exam, so that equal fingerprints prove equal exams.

        Hashed are the catalogue and, for every unit, user, request, positives, excluded
        items and sampled candidates: all as external tokens and sorted, so that
        neither internal ids nor the order of units or files count.

        Args:
            user_tokens, request_tokens, item_tokens (numpy.ndarray): Tokens by internal
                id (RecBole's ``field2id_token``).
            candidates (list of numpy.ndarray, optional): Sampled negatives of each unit.

        Returns:
            str: 16 hexadecimal digits of a SHA-256.
        """

        def tokens(ids):
            return sorted(str(token) for token in item_tokens[ids])

        def lines():
            for unit in range(len(self)):
                parts = [
                    [str(user_tokens[self.user[unit]])],
                    [str(request_tokens[self.request[unit]])],
                    tokens(self.positive[unit].indices),
                    tokens(self.excluded[unit].indices),
                    tokens(candidates[unit]) if candidates is not None else [],
                ]
                yield "\n".join("\t".join(part) for part in parts)

        digest = hashlib.sha256()
        for text in ["\t".join(tokens(slice(1, None))), *sorted(lines())]:
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()[:16]


def make_units(user, request, item, earlier):
    """Group interactions into units.

    Args:
        user, request, item (numpy.ndarray): Internal ids of one phase's interactions,
            int64 ``[n_interactions]``.
        earlier (scipy.sparse.csr_matrix): What each user had in earlier phases, bool
            ``[n_users, n_items]``.

    Returns:
        Units: One unit for each distinct (user, request).
    """
    _, row, unit_of = np.unique(
        np.stack([user, request], axis=1),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    # np.unique sorts by id; what people read is the order of the file
    order = np.argsort(row, kind="stable")
    unit_of = np.argsort(order, kind="stable")[unit_of.reshape(-1)]
    row = row[order]
    shape = (len(row), earlier.shape[1])
    positive = incidence(unit_of, item, shape)
    had = earlier[user[row]] if len(row) else csr_matrix(shape, dtype=bool)
    excluded = had.astype(np.int8) - had.multiply(positive).astype(np.int8)
    excluded.eliminate_zeros()
    return Units(
        user[row], request[row], row, positive, csr_matrix(excluded, dtype=bool)
    )


def incidence(rows, columns, shape):
    """Return a bool csr_matrix that is True at ``(rows, columns)``, repeats allowed."""
    matrix = csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.sort_indices()
    return matrix
