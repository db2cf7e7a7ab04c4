"""The test set: its queries, their positives, and their fingerprint."""

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.data.incidence import incidence
from recbole_whisperlite.renamed import property_of


@dataclass
class Queries:
    """The (user, request) pairs of one phase, in order of first appearance.

    Attributes:
        user (numpy.ndarray): Internal user id of each query, int64 ``[n_queries]``.
        request (numpy.ndarray): Internal request id of each query, int64
            ``[n_queries]``.
        row (numpy.ndarray): The first interaction of each query, as a row of the arrays
            given to :func:`make_queries`, int64 ``[n_queries]``.
        positives (scipy.sparse.csr_matrix): Chosen items, bool
            ``[n_queries, n_items]``.
        excluded (scipy.sparse.csr_matrix): Items that are not candidates: the user's
            seen items (from earlier phases), except the positives of the query, bool
            ``[n_queries, n_items]``.
        known (tuple of numpy.ndarray): The user's items that are known at the query: where
            they begin in the dataset's ``all_chosen_items``, and how many they are, int64
            ``[n_queries]`` each.
    """

    user: np.ndarray
    request: np.ndarray
    row: np.ndarray
    positives: csr_matrix
    excluded: csr_matrix
    known: tuple[np.ndarray, np.ndarray]

    positive = property_of("positives")

    def __len__(self) -> int:
        return len(self.user)

    def fingerprint(
        self,
        user_tokens: np.ndarray,
        request_tokens: np.ndarray,
        item_tokens: np.ndarray,
        known_items: np.ndarray,
        topk: list[int],
        candidates: list[np.ndarray] | None = None,
        new_items: np.ndarray | None = None,
    ) -> str:
        """Hash the test set, so that equal fingerprints prove equal test sets.

        The hash covers the catalogue, the values of k and, for every query, its user,
        request, positives, excluded items, sampled candidates and the items that are
        known of the user. All of them are hashed as external tokens and, but for the last,
        sorted, so that neither internal ids nor the order of queries or files matter. What
        is known is in order of time, and of the file where times are equal.

        Args:
            user_tokens, request_tokens, item_tokens (numpy.ndarray): Tokens by internal
                id (RecBole's ``field2id_token``).
            known_items (numpy.ndarray): The array that :attr:`known` points into, int64.
            topk (list of int): The values of k of the metrics.
            candidates (list of numpy.ndarray, optional): Sampled negatives of each
                query (internal item ids, int64 ``[n_negatives]``).
            new_items (numpy.ndarray, optional): The items that training lacks, bool
                ``[n_items]``. With some, the hash covers them, too.

        Returns:
            str: 16 hexadecimal digits of a SHA-256.
        """

        names = [str(token) for token in item_tokens]

        def tokens(ids):
            return sorted(names[id_] for id_ in ids.tolist())

        def row(matrix, query):  # much faster than matrix[query], for millions of them
            return matrix.indices[slice(*matrix.indptr[query : query + 2])]

        def known(query):
            begin, length = (each[query] for each in self.known)
            return [names[id_] for id_ in known_items[begin : begin + length].tolist()]

        def lines():
            for query in range(len(self)):
                parts = [
                    [str(user_tokens[self.user[query]])],
                    [str(request_tokens[self.request[query]])],
                    tokens(row(self.positives, query)),
                    tokens(row(self.excluded, query)),
                    tokens(candidates[query]) if candidates is not None else [],
                    known(query),
                ]
                yield "\n".join("\t".join(part) for part in parts)

        digest = hashlib.sha256()
        catalogue = "\t".join(sorted(names[1:]))
        at = "\t".join(map(str, sorted(set(topk))))
        for text in [catalogue, at, *sorted(lines())]:
            digest.update(text.encode() + b"\0")
        if new_items is not None and new_items.any():
            new = tokens(np.flatnonzero(new_items))
            digest.update("\t".join(new).encode() + b"\0")
        return digest.hexdigest()[:16]


def make_queries(
    user: np.ndarray,
    request: np.ndarray,
    item: np.ndarray,
    seen: csr_matrix,
    known: tuple[np.ndarray, np.ndarray],
) -> Queries:
    """Group interactions into queries.

    Args:
        user, request, item (numpy.ndarray): Internal ids of one phase's interactions,
            int64 ``[n_interactions]``.
        seen (scipy.sparse.csr_matrix): The seen items of each user (from earlier
            phases), bool ``[n_users, n_items]``.
        known (tuple of numpy.ndarray): Begin and length of what is known of the user at
            each interaction, int64 ``[n_interactions]`` each.

    Returns:
        Queries: One query for each distinct (user, request).
    """
    _, row, query_of = np.unique(
        np.stack([user, request], axis=1),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    # np.unique sorts by id; go back to the order of the file, which is easier to follow
    order = np.argsort(row, kind="stable")
    query_of = np.argsort(order, kind="stable")[query_of.reshape(-1)]
    row = row[order]
    shape = (len(row), seen.shape[1])
    positives = incidence(query_of, item, shape)
    of_user = seen[user[row]] if len(row) else csr_matrix(shape, dtype=bool)
    excluded = of_user.astype(np.int8) - of_user.multiply(positives).astype(np.int8)
    excluded.eliminate_zeros()
    return Queries(
        user[row],
        request[row],
        row,
        positives,
        csr_matrix(excluded, dtype=bool),
        tuple(each[row] for each in known),
    )


def query_ids(requests: np.ndarray) -> list[str]:
    """Return the id of each query in files of other tools, such as TREC's.

    They are those of the requests, if all are unique and have no white space; otherwise
    numbers from 1.

    Args:
        requests (numpy.ndarray): The request token of each query, str ``[n_queries]``.
    """
    ids = [str(token) for token in requests]
    if len({*ids}) == len(ids) and all(map(is_one_word, ids)):
        return ids
    return [str(number) for number in range(1, len(ids) + 1)]


def is_one_word(text: str) -> bool:
    """Return whether a text has no white space, and is not empty."""
    return text.split() == [text]
