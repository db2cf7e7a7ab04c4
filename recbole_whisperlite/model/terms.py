r"""
recbole_whisperlite.model.terms
###############################
Terms that WhisperLitePlus adds to the score of WhisperLite, from training interactions

Each term is a number for every (row, candidate), shape: [n_rows, n_candidates], of which most
are 0 or a product (``score.py``). In training a row must not see the very interaction that is
its target, which is therefore left out of all counts.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags, vstack

from recbole.data.interaction import Interaction

from recbole_whisperlite.model.score import ByRows, Product, Score, Sparse
from recbole_whisperlite.model.whitening import HalfWhitening

#: The weight of the towers, in interactions: a request text with as many interactions of its
# own relies on its memory and on the towers equally.
PRIOR_COUNT = 20.0
#: Added to the count of every item in popularity, so that none is 0.
UNSEEN = 0.1
# The most pairs of a user's items that are counted at once: some 200 MB.
_MOST_PAIRS = 2**24
# The most edges of the item graph that are kept for sums over the neighbors of an item: each
# is read with its row of a table.
_MOST_SHARED = 2**25
# The neighbor score above 1 / 30 is flattened by the logarithm; most cosines are below.
_NEIGHBOR_SCALE = 30.0
# A cell that is found among others takes as long as this many that are only written out.
_WRITTEN_OUT = 32


class Candidates:
    r"""Candidates are the items to be scored, and the position of each among them.

    Args:
        - item(torch.LongTensor): Distinct items, shape: [n_candidates]
        - n_items(int): The number of items
    """

    def __init__(self, item, n_items):
        self.item = item
        # position of each item among the candidates, -1 for other items
        self.position = item.new_full((n_items,), -1)
        self.position[item] = torch.arange(len(item), device=item.device)
        self.is_all = torch.equal(item, self.position)  # and in their order
        self._buffers = None

    def __len__(self):
        return len(self.item)

    def rows_of(self, table: torch.Tensor) -> torch.Tensor:
        r"""Return the rows of a table of all items, shape: [n_candidates, ...]; of all
        candidates it is the table itself."""
        return table if self.is_all else table[self.item]

    def buffers(self, n_rows: int) -> tuple[torch.FloatTensor, torch.IntTensor]:
        r"""Return memory for a number for every (row, candidate), shape: [n_rows *
        n_candidates]: float32, all of it 0, as it has to be left; and int32, anything.
        """
        size = n_rows * len(self)
        if self._buffers is None or len(self._buffers[0]) < size:
            zero = torch.zeros(size, device=self.item.device)
            self._buffers = zero, torch.empty_like(zero, dtype=torch.int)
        return tuple(each[:size] for each in self._buffers)


class SparseRows(nn.Module):
    r"""SparseRows holds a sparse matrix, and sums its rows at the columns of candidates.

    Args:
        - matrix(scipy.sparse.csr_matrix): shape: [n, n_items]
    """

    def __init__(self, matrix):
        super(SparseRows, self).__init__()
        matrix = csr_matrix(matrix)
        matrix.sort_indices()
        begin = torch.from_numpy(matrix.indptr.astype(np.int64))
        # a large matrix has hundreds of millions of entries: eight bytes each
        item = torch.from_numpy(matrix.indices.astype(np.int32, copy=False))
        value = torch.from_numpy(matrix.data.astype(np.float32, copy=False))
        self.register_buffer("begin", begin, persistent=False)
        self.register_buffer("item", item, persistent=False)
        self.register_buffer("value", value, persistent=False)
        self.n_items = matrix.shape[1]
        self.longest = int(np.diff(matrix.indptr).max(initial=0))

    def at(self, row: torch.LongTensor, item: torch.LongTensor) -> torch.FloatTensor:
        r"""Look up single values of the matrix, shape: that of ``row`` and ``item``."""
        if not self.longest:
            return torch.zeros_like(item, dtype=self.value.dtype)
        # a binary search within each row, for the first entry that is not before the item
        low, end = self.begin[row], self.begin[row + 1]
        high, last = end, len(self.item) - 1
        for _ in range(self.longest.bit_length()):
            middle = (low + high) // 2
            before = (low < high) & (self.item[middle.clamp(max=last)] < item)
            low = torch.where(before, middle + 1, low)
            high = torch.where(before, high, middle)
        found = low.clamp(max=last)
        return self.value[found] * ((low < end) & (self.item[found] == item))

    def forward(
        self, row: torch.LongTensor, candidates: Candidates, largest: bool = False
    ) -> Sparse:
        r"""Sum rows of the matrix, or take the largest of their values.

        Args:
            row (torch.LongTensor): The row, or the rows to sum, for each row of the output,
                shape: [n] or [n, length]
            candidates (Candidates): The columns
            largest (bool): Whether to take the largest value instead of the sum, and 0 for
                none

        Returns:
            Sparse: shape: [n, n_candidates]
        """
        n_rows, n_candidates = len(row), len(candidates)
        out_row = torch.arange(n_rows, device=row.device)
        out_row = out_row.view(-1, *[1] * (row.dim() - 1)).expand_as(row).flatten()
        several = row.dim() > 1
        entry, length = self._entries(row.flatten())
        out_row = torch.repeat_interleave(out_row, length)
        position = self.item.index_select(0, entry)
        if candidates.is_all:
            position = position.long()
        else:
            position = candidates.position.index_select(0, position)
            known = (position >= 0).nonzero().squeeze(1)
            entry, out_row, position = (
                each.index_select(0, known) for each in (entry, out_row, position)
            )
        value = self.value.index_select(0, entry)
        found = Sparse(out_row, position, value, (n_rows, n_candidates))
        return (
            _each_once(found, candidates.buffers(n_rows), largest) if several else found
        )

    def by_rows(
        self,
        row: torch.LongTensor,
        candidates: Candidates,
        largest: bool = False,
        then: Callable[[torch.FloatTensor], torch.FloatTensor] = torch.positive,
    ) -> ByRows | None:
        r"""The same as :meth:`forward`, where so many cells are not 0 that it is faster to
        write out all of them.

        Args:
            row (torch.LongTensor): The rows to sum, shape: [n, length]
            candidates, largest: See there
            then (Callable): What to do with the sums; it leaves 0 as it is

        Returns:
            ByRows: shape: [n, n_candidates], or None
        """
        if torch.is_grad_enabled() or not candidates.is_all:
            return None
        n_entries = int((self.begin[row + 1] - self.begin[row]).sum())
        if n_entries * _WRITTEN_OUT < len(row) * len(candidates):
            return None
        return _SumsByRows(self, row, largest, then)

    def written_out(
        self, row: torch.LongTensor, largest: bool = False
    ) -> torch.FloatTensor:
        r"""The same as :meth:`forward` for rows of shape [n, length] and all columns, as a
        dense matrix, shape: [n, n_items]."""
        entry, length = self._entries(row.flatten())
        first = torch.arange(len(row), device=row.device) * self.n_items
        first = first.unsqueeze(1).expand_as(row).flatten()
        cell = torch.repeat_interleave(first, length)
        cell += self.item.index_select(0, entry)
        value = self.value.index_select(0, entry)
        total = value.new_zeros(len(row) * self.n_items)
        return _put(total, cell, value, largest).view(len(row), self.n_items)

    def weighted_sum(
        self, row: torch.LongTensor, table: torch.FloatTensor
    ) -> torch.FloatTensor:
        r"""Sum rows of a table, one for each column, with the values of the matrix as weights.

        Args:
            row (torch.LongTensor): shape: [n]
            table (torch.FloatTensor): shape: [n_items, dim]

        Returns:
            torch.FloatTensor: shape: [n, dim]
        """
        entry, length = self._entries(row)
        return F.embedding_bag(
            self.item[entry].long(),
            table,
            torch.cumsum(length, dim=0) - length,
            mode="sum",
            per_sample_weights=self.value[entry],
        )

    def _entries(self, row):
        r"""The entries of rows, one row after the other, and the length of each row."""
        begin = self.begin[row]
        length = self.begin[row + 1] - begin
        first = torch.cumsum(length, dim=0) - length
        number = torch.arange(int(length.sum()), device=row.device)
        return number + torch.repeat_interleave(begin - first, length), length


class _SumsByRows(ByRows):
    r"""Sums of rows of :class:`SparseRows`, some at a time."""

    def __init__(self, table, row, largest, then):
        self.table, self.row, self.largest, self.then = table, row, largest, then

    def rows(self, part: slice) -> torch.FloatTensor:
        return self.then(self.table.written_out(self.row[part], self.largest))


def _put(total, cell, value, largest):
    r"""Put the sum or the largest of values into the cells of a flat matrix of 0."""
    if largest:
        return total.scatter_reduce_(0, cell, value, reduce="amax")
    if total.is_cuda:  # where the order of additions in scatter_add_ is random
        return total.index_put_((cell,), value, accumulate=True)
    return total.scatter_add_(0, cell, value)


def _each_once(found, buffers, largest):
    r"""Cells that may be there several times, each once with its sum or largest value."""
    cell, (total, last) = found.cell, buffers
    number = torch.arange(len(cell), dtype=torch.int, device=cell.device)
    last.scatter_(0, cell, number)
    once = last.index_select(0, cell) == number
    _put(total, cell, found.value, largest)
    found = found.only(once)
    cell = found.cell
    found = found._replace(value=total.index_select(0, cell))
    total.index_fill_(0, cell, 0)
    return found


def padded_histories(
    interaction: Interaction,
    fields: tuple[str, str],
    max_length: int,
    *values: torch.LongTensor,
) -> list[torch.LongTensor]:
    r"""Look up the rows that are the history of each row of an interaction.

    Args:
        interaction (Interaction): n rows
        fields (tuple): The dataset's ``history_fields``: where a history begins, and its
            length. Without them histories are empty
        max_length (int): The most rows of a history
        *values (torch.LongTensor): Of every row, such as the dataset's ``history_items``,
            shape: [n_rows]

    Returns:
        list of torch.LongTensor: For each of ``values``, padded by 0 at the end, shape:
        [n, length]
    """
    if fields[0] not in interaction:
        device = values[0].device
        empty = torch.zeros(len(interaction), 1, dtype=torch.long, device=device)
        return [empty for _ in values]
    begin, length = (interaction[field].unsqueeze(1) for field in fields)
    longest = min(max([1, *length.flatten().tolist()]), max_length)
    step = torch.arange(longest, device=begin.device)
    index = (begin + step).clamp(max=len(values[0]) - 1)
    return [each[index].masked_fill(step >= length, 0) for each in values]


def weighted_sums(
    present: torch.BoolTensor,
    row: torch.LongTensor,
    weight: torch.FloatTensor,
    table: torch.FloatTensor,
) -> torch.FloatTensor:
    r"""Sum rows of a table, one for each item of a history, by weights.

    Padding is left out before: most histories are much shorter than the longest.

    Args:
        present (torch.BoolTensor): Where histories have items, shape: [n, length]
        row (torch.LongTensor): Of the table, for each of these, shape: [n_present]
        weight (torch.FloatTensor): Of the type of the table, shape: [n, length]
        table (torch.FloatTensor): shape: [n_rows, dim]

    Returns:
        torch.FloatTensor: shape: [n, dim]; 0 where there is no history
    """
    length = present.sum(dim=1)
    return F.embedding_bag(
        row,
        table,
        torch.cumsum(length, dim=0) - length,
        mode="sum",
        per_sample_weights=weight[present],
    )


def count_pairs(
    row: np.ndarray, item: np.ndarray, shape: tuple[int, int]
) -> csr_matrix:
    r"""Count pairs.

    Args:
        row (numpy.ndarray): The row of each pair, shape: [n]
        item (numpy.ndarray): The item of each pair, shape: [n]
        shape (tuple): The shape of the result

    Returns:
        scipy.sparse.csr_matrix: float32
    """
    ones = np.ones(len(row), dtype=np.float32)
    return csr_matrix((ones, (row, item)), shape=shape)


class Popularity(nn.Module):
    r"""Popularity knows how often each item was chosen in training, and how little it knows.

    The number of choices of an item says how popular it is, unless there are none: a
    product that has just arrived was not chosen because nobody could. It is taken for
    :math:`e^b` times as popular as the average of the others. The factor is trained, by
    items that are made new in training: in every batch a share of the candidates is
    treated as if nobody had chosen them (dropout of what is known of an item: Volkovs et
    al., "DropoutNet: Addressing Cold Start in Recommender Systems", NeurIPS 2017).

    Args:
        - item(numpy.ndarray): Of each training interaction, shape: [n_interactions]
        - n_items(int): The number of items
        - known_items(numpy.ndarray): The items that were in the catalogue in training, for
          a model that is loaded with new ones, shape: [n_known]. Default: all
    """

    def __init__(self, item, n_items, known_items=None):
        super(Popularity, self).__init__()
        count = torch.from_numpy(np.bincount(item, minlength=n_items)).float()
        in_catalogue = torch.zeros(n_items, dtype=torch.bool)
        in_catalogue[slice(None) if known_items is None else known_items] = True
        in_catalogue[0] = False  # padding
        self.average = float(count.sum() / (count > 0).sum().clamp(min=1))
        self.register_buffer("count", count, persistent=False)
        self.register_buffer("is_new", count == 0, persistent=False)
        # of training, also where a model is loaded with other items
        self.register_buffer("most", count.max().clamp(min=1))
        self.register_buffer("in_catalogue", in_catalogue, persistent=False)
        self.new_log_factor = nn.Parameter(torch.tensor(0.0))

    @property
    def frequency(self) -> torch.FloatTensor:
        r"""torch.FloatTensor: From 0 for an item without a choice to 1 for one with as many
        as any had in training: :math:`\log(1 + n(i)) / \log(1 + \max_j n(j))`, shape:
        [n_items]."""
        frequency = torch.log1p(self.count) / torch.log1p(self.most)
        return frequency.clamp_(max=1)

    def forward(
        self, candidates: Candidates, made_new: torch.BoolTensor | None = None
    ) -> tuple[torch.FloatTensor, torch.BoolTensor]:
        r"""Return log popularity and whether an item is new.

        Args:
            candidates (Candidates): The items
            made_new (torch.BoolTensor): In training, the candidates that are treated as
                new, shape: [n_candidates]

        Returns:
            tuple: shape: [1, n_candidates] and [n_candidates]
        """
        is_new = self.is_new[candidates.item]
        if made_new is not None:
            is_new = is_new | made_new
        log_count = (self.count[candidates.item] + UNSEEN).log()
        of_new = math.log(self.average + UNSEEN) + self.new_log_factor
        return torch.where(is_new, of_new, log_count).unsqueeze(0), is_new

    def of_targets(self, item: torch.LongTensor) -> torch.FloatTensor:
        r"""Log popularity of items that are not new, each without one choice, shape: [n]."""
        return ((self.count[item] - 1).clamp(min=0) + UNSEEN).log()


class Prior(NamedTuple):
    r"""What is expected of items before anything is counted: :math:`\log P(i|r)`.

    The sum of ``logits`` and ``log_popularity`` less ``log_normalizer``.

    - logits(torch.FloatTensor): Of the towers, shape: [n, n_candidates]
    - log_popularity(torch.FloatTensor): shape: [1, n_candidates]
    - log_normalizer(torch.FloatTensor): shape: [n, 1]
    - is_new(torch.BoolTensor): Whether an item is new, shape: [n_candidates]
    - item_e(torch.FloatTensor): The embeddings of the candidates, for other products with
      them: in training each goes through the tower once. shape: [n_candidates, size]
    """

    logits: torch.FloatTensor
    log_popularity: torch.FloatTensor
    log_normalizer: torch.FloatTensor
    is_new: torch.BoolTensor
    item_e: torch.FloatTensor | None = None

    def score(self) -> Score:
        r"""Score: At every candidate."""
        return Score(self.logits, self.log_popularity, -self.log_normalizer)

    def at(self, row: torch.LongTensor, position: torch.LongTensor):
        r"""torch.FloatTensor: At some cells, shape: [n_cells]."""
        cell = row * self.logits.shape[1] + position
        logits = F.embedding(cell, self.logits.view(-1, 1)).squeeze(1)
        popularity = self.log_popularity[0, position]
        return logits + popularity - self.log_normalizer[row, 0]


class SmoothedCounts(nn.Module):
    r"""SmoothedCounts scores items by counts of each request, with a prior for what they do not
    say.

    .. math::
        \log \frac{n(r, i) + a\, P(i|r)}{\sum_j n(r, j) + a}

    A new item has the prior alone: whatever was counted, was counted without it.

    Args:
        - count(scipy.sparse.csr_matrix): :math:`n`, shape: [n_requests, n_items]
        - prior_count(float): :math:`a`, in the unit of the counts
    """

    def __init__(self, count, prior_count):
        super(SmoothedCounts, self).__init__()
        self.count, self.prior_count = SparseRows(count), prior_count
        total = torch.from_numpy(np.asarray(count.sum(axis=1)).ravel()).float()
        self.register_buffer("total", total, persistent=False)

    def forward(
        self, request: torch.LongTensor, candidates: Candidates, prior: Prior
    ) -> Score:
        r"""Score candidates.

        Args:
            request (torch.LongTensor): shape: [n]
            candidates (Candidates): The items
            prior (Prior): Of these requests and candidates

        Returns:
            Score: shape: [n, n_candidates]
        """
        count = self.count(request, candidates)
        count = count.only(~prior.is_new[count.position])
        # log((n + a P) / a) = log P + log(1 + n / (a P))
        log_prior = prior.at(count.row, count.position) + math.log(self.prior_count)
        gain = F.softplus(count.value.log() - log_prior)
        total = self.total[request] + self.prior_count
        share = math.log(self.prior_count) - torch.log(total)
        known = (~prior.is_new).to(share.dtype)
        return prior.score() + Score(
            Product(share.unsqueeze(1), known.unsqueeze(1)), count._replace(value=gain)
        )

    def at(
        self,
        request: torch.LongTensor,
        item: torch.LongTensor,
        log_prior: torch.FloatTensor,
        left_out: int = 0,
    ) -> torch.FloatTensor:
        r"""Score single items that are not new.

        Args:
            request, item (torch.LongTensor): shape: [n]
            log_prior (torch.FloatTensor): shape: [n]
            left_out (int): How many choices of each item with its request are not counted

        Returns:
            torch.FloatTensor: shape: [n]
        """
        count = self.count.at(request, item) - left_out
        log_prior = log_prior + math.log(self.prior_count)
        # the logarithm of 0 would have no gradient
        log_count = count.clamp(min=torch.finfo(count.dtype).tiny).log()
        total = self.total[request] - left_out + self.prior_count
        return torch.logaddexp(log_count, log_prior) - torch.log(total)


class RequestMemory(SmoothedCounts):
    r"""RequestMemory scores items by how often they occur with the same request text.

    .. math::
        \log \frac{n(r, i) + a\, P(i|r)}{n(r) + a}, \quad
        P(i|r) = \frac{p(i)\, e^{t(r, i)}}{\sum_j p(j)\, e^{t(r, j)}}

    with the training counts :math:`n`, popularity :math:`p`, the logits :math:`t` of the
    towers and a constant :math:`a`: Dirichlet smoothing (Zhai & Lafferty 2004) with the
    towers as prior. A text that is not in training is ranked by the towers, and a frequent
    one by its interactions, whatever the towers may have memorised. For an item that is
    new, :math:`n(r) = 0`: all that was chosen for the request was chosen without it.

    Args:
        - request(numpy.ndarray): Of each training interaction, 0 without a request, shape:
          [n_interactions]
        - item(numpy.ndarray): Of each training interaction, shape: [n_interactions]
        - n_requests(int): The number of request texts
        - n_items(int): The number of items
    """

    def __init__(self, request, item, n_requests, n_items):
        asked = request > 0
        count = count_pairs(request[asked], item[asked], (n_requests, n_items))
        super(RequestMemory, self).__init__(count, PRIOR_COUNT)

    def without_choice(self, request: torch.LongTensor) -> torch.FloatTensor:
        r"""By how much other items gain, but for new ones, when a choice with the request is
        left out, shape: [n]."""
        total = self.total[request] + self.prior_count
        return total.log() - (total - 1).log()


class Neighbors(nn.Module):
    r"""Neighbors scores items by how many users they share with the items of the history.

    .. math::
        \log\Big(1 + 30 \sum_{j \in H} \frac{n(i, j)}{\sqrt{n(i)\, n(j)}}\Big), \quad
        n(i, j) = \sum_{u: i, j \in H_u} \frac{1}{\sqrt{|H_u| - 1}}

    with the numbers :math:`n` of users in training: the score of ItemKNN (Deshpande & Karypis
    2004) for the history, with a logarithm because it is heavy-tailed. A user with many
    items says less about each pair of them (inverse user frequency: Breese et al. 1998).

    Args:
        - user(numpy.ndarray): Of each training interaction, shape: [n_interactions]
        - item(numpy.ndarray): Of each training interaction, shape: [n_interactions]
        - n_users(int): The number of users
        - n_items(int): The number of items
        - max_neighbors(int): The most neighbors kept of an item
        - item_now(numpy.ndarray): For a model that is loaded with other items: the current
          id of each item, -1 if it is gone, shape: [n_items]. Default: the same
        - n_now(int): Their number
    """

    def __init__(
        self, user, item, n_users, n_items, max_neighbors, item_now=None, n_now=None
    ):
        super(Neighbors, self).__init__()
        graph = _ItemGraph(user, item, (n_users, n_items), 0.5)
        inverse_norm, user_weight = _inverse_root(graph.n_users), graph.user_weight
        cosine = graph.nearest(inverse_norm, max_neighbors, _NEIGHBOR_SCALE)
        if item_now is not None:  # after the choice among equals, which is made by id
            cosine, inverse_norm = _renumbered(cosine, inverse_norm, item_now, n_now)
        self.scaled_cosine = SparseRows(cosine)
        for name, values in (
            ("inverse_norm", inverse_norm),
            ("user_weight", user_weight.astype(np.float32)),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(
        self,
        history: torch.LongTensor,
        candidates: Candidates,
        positives: tuple[torch.LongTensor, torch.LongTensor] | None = None,
        user: torch.LongTensor | None = None,
    ) -> Sparse | ByRows:
        r"""Score candidates.

        Args:
            history (torch.LongTensor): Items, padded by 0, shape: [n, length]
            candidates (Candidates): The items
            positives (tuple): In training, the rows that have a target and the positions of
                their targets among the candidates, shape: [n_positives] each. The user of
                such a row is not counted among those that its target shares with the
                history, whose interactions are all in training
            user (torch.LongTensor): With ``positives``, the user of each row, shape: [n]

        Returns:
            Sparse or ByRows: shape: [n, n_candidates]
        """
        if positives is None:
            found = self.scaled_cosine.by_rows(history, candidates, then=torch.log1p_)
            if found is not None:
                return found
        score = self.scaled_cosine(history, candidates)
        if positives is not None:
            row, position = positives
            history = history[row]
            present = history > 0  # padding takes as long as items
            item = candidates.item[position].unsqueeze(1).expand_as(history)[present]
            of_user = self.user_weight[user[row]].unsqueeze(1)
            before, of_user = history[present], of_user.expand_as(history)[present]
            # what the row's own user contributes
            own = _NEIGHBOR_SCALE * self.inverse_norm[before] * self.inverse_norm[item]
            others = self.scaled_cosine.at(before, item) - own * of_user
            value = torch.zeros_like(history, dtype=others.dtype)
            value[present] = others.clamp_(min=0)
            score = score.replaced(row, position, value.sum(dim=1))
        return score._replace(value=score.value.log1p())


def shared_users(
    user: np.ndarray, item: np.ndarray, n_users: int, n_items: int, max_neighbors: int
) -> csr_matrix:
    r"""How much the users of two items overlap, for sums over the neighbors of an item.

    The adjacency of the item graph in which a user joins each pair of their items with the
    weight :math:`1 / (|H_u| - 1)`, normalised on both sides by the root of the degree, as
    the propagation of LightGCN (He et al. 2020); the largest values of each row are kept:
    fewer where there are so many items that there would be more than 2^25 in all.

    Args:
        user, item (numpy.ndarray): Of each training interaction, shape: [n_interactions]
        n_users, n_items (int): Their numbers
        max_neighbors (int): The most neighbors kept of an item

    Returns:
        scipy.sparse.csr_matrix: float32, shape: [n_items, n_items]
    """
    graph = _ItemGraph(user, item, (n_users, n_items), 1.0)
    most = min(max_neighbors, max(_MOST_SHARED // n_items, 1))
    return graph.nearest(_inverse_root(graph.degree), most)


class Transitions(nn.Module):
    r"""Transitions scores items by how often they followed the latest item of the history.

    .. math::
        \log\Big(1 + 30 \frac{n(j \to i)}{\sqrt{n(i)\, n(j)}}\Big)

    where :math:`j` is the latest item, and :math:`n(j \to i)` how often a user chose
    :math:`i` with :math:`j` as the latest item before (a first-order Markov chain, as in
    Rendle et al., "Factorizing Personalized Markov Chains", WWW 2010), scaled as
    :class:`Neighbors`. Unlike there, direction and distance matter: a garment that is shown
    next to another in one session tends to be so in others.

    Args:
        - previous(numpy.ndarray): The latest item before each of some interactions, shape:
          [n_steps]
        - following(numpy.ndarray): The item of each of these, shape: [n_steps]
        - item(numpy.ndarray): Of each training interaction, shape: [n_interactions]
        - n_items(int): The number of items
    """

    def __init__(self, previous, following, item, n_items):
        super(Transitions, self).__init__()
        n = np.bincount(item, minlength=n_items).astype(np.float32)
        inverse_norm = _inverse_root(n)
        count = count_pairs(previous, following, (n_items, n_items))
        scaled = _NEIGHBOR_SCALE * diags(inverse_norm) @ count @ diags(inverse_norm)
        self.scaled_count = SparseRows(csr_matrix(scaled, dtype=np.float32))
        inverse_norm = torch.from_numpy(inverse_norm)
        self.register_buffer("inverse_norm", inverse_norm, persistent=False)

    def forward(
        self,
        latest: torch.LongTensor,
        candidates: Candidates,
        positives: tuple[torch.LongTensor, torch.LongTensor] | None = None,
    ) -> Sparse:
        r"""Score candidates.

        Args:
            latest (torch.LongTensor): The latest item of each history, 0 if there is none,
                shape: [n]
            candidates (Candidates): The items
            positives (tuple): As for :class:`Neighbors`; the step to the target of such a
                row is not counted

        Returns:
            Sparse: shape: [n, n_candidates]
        """
        score = self.scaled_count(latest, candidates)
        if positives is not None:
            row, position = positives
            before, item = latest[row], candidates.item[position]
            own = _NEIGHBOR_SCALE * self.inverse_norm[before] * self.inverse_norm[item]
            value = (self.scaled_count.at(before, item) - own).clamp_(min=0)
            score = score.replaced(row, position, value)
        return score._replace(value=score.value.log1p())


class LikeHistory(nn.Module):
    r"""LikeHistory compares items with those items of the history that fit the request.

    The request attends over the history in the space of the towers; the mean of the frozen
    vectors with these weights is compared with the vectors of the items. (That attention by
    the query decides how personal a ranking is comes from Ai et al., "A Zero Attention Model
    for Personalized Product Search", CIKM 2019.)

    The vectors are compared after half a whitening, see :class:`HalfWhitening`.

    Args:
        - vectors(torch.FloatTensor): Frozen vectors of the items, shape: [n_items, dim]
        - known_items(numpy.ndarray): The items that the mean and the components are those
          of, for a model that is loaded with new ones, shape: [n_known]. Default: all
    """

    def __init__(self, vectors, known_items=None):
        super(LikeHistory, self).__init__()
        self.whitening = HalfWhitening(vectors, known_items)
        self.register_buffer("vectors", self.whitening(vectors), persistent=False)

    def forward(
        self, history: torch.LongTensor, attention: torch.FloatTensor
    ) -> torch.FloatTensor:
        r"""Average the history by attention, for dot products with ``vectors``.

        Args:
            history (torch.LongTensor): Items, padded by 0, shape: [n, length]
            attention (torch.FloatTensor): Logits of the weights, shape: [n, length]

        Returns:
            torch.FloatTensor: shape: [n, dim]; 0 where there is no history
        """
        present, weight = history > 0, self.weights(history, attention)
        return weighted_sums(present, history[present], weight, self.vectors)

    def weights(
        self, history: torch.LongTensor, attention: torch.FloatTensor
    ) -> torch.FloatTensor:
        r"""The weights of the mean, shape: [n, length]; 0 for no item."""
        weight = attention.masked_fill(history == 0, -torch.inf)
        weight = torch.softmax(weight, dim=1).nan_to_num()
        # mixed precision makes the weights of another type
        return weight.to(self.vectors.dtype)


class _ItemGraph:
    r"""The items that users join, each pair of a user's n items by 1 / (n - 1) ** power.

    It has many more edges than are kept, so that only some rows are in memory at once.

    - n_users(numpy.ndarray): Of each item, shape: [n_items]
    - degree(numpy.ndarray): The sum of the edges of each item, shape: [n_items]
    - user_weight(numpy.ndarray): What a pair of a user's items counts, shape: [n_users]
    """

    def __init__(self, user, item, shape, power):
        user_items = (count_pairs(user, item, shape) > 0).astype(np.float32)
        self.n_users = np.asarray(user_items.sum(axis=0)).ravel()
        n_of_user = np.asarray(user_items.sum(axis=1)).ravel()
        self.user_weight = 1 / np.maximum(n_of_user - 1, 1) ** power
        self.degree = user_items.T @ ((n_of_user - 1) * self.user_weight)
        self._users = (user_items.T @ diags(self.user_weight)).tocsr()
        self._items = user_items
        n_pairs = np.cumsum(user_items.T @ n_of_user, dtype=np.float64)
        cuts = np.arange(_MOST_PAIRS, n_pairs[-1], _MOST_PAIRS)
        bounds = np.unique([0, *np.searchsorted(n_pairs, cuts), shape[1]])
        self._blocks = [*zip(bounds[:-1], bounds[1:])]

    def _rows(self, begin, end):
        rows = self._users[begin:end] @ self._items
        rows.setdiag(0, k=begin)
        rows.sort_indices()  # of equal edges those to the first items are kept
        return rows

    def nearest(self, root: np.ndarray, k: int, factor: float = 1.0) -> csr_matrix:
        r"""Return the ``k`` largest edges of each item, divided by the norms of both.

        Args:
            root (numpy.ndarray): One by the norm of each item, shape: [n_items]
            k (int): How many
            factor (float): Of all edges

        Returns:
            scipy.sparse.csr_matrix: float32, shape: [n_items, n_items]
        """
        blocks = []
        for begin, end in self._blocks:
            rows = factor * diags(root[begin:end]) @ self._rows(begin, end)
            rows = csr_matrix(rows @ diags(root), dtype=np.float32)
            blocks.append(largest(rows, k))
        return vstack(blocks, format="csr")


def _inverse_root(values):
    r"""One by the square root of each value; 0 for 0."""
    return np.divide(1, np.sqrt(values), where=values > 0, out=np.zeros_like(values))


def _renumbered(matrix, values, now, n):
    r"""A square matrix and values of its rows, with the current ids of items."""
    entries = matrix.tocoo()
    row, column = now[entries.row], now[entries.col]
    kept = (row >= 0) & (column >= 0)
    renumbered = csr_matrix(
        (entries.data[kept], (row[kept], column[kept])), shape=(n, n)
    )
    result = np.zeros(n, dtype=values.dtype)
    result[now[now >= 0]] = values[now >= 0]
    return renumbered, result


def largest(matrix: csr_matrix, k: int) -> csr_matrix:
    r"""Keep the ``k`` largest values of each row of a sparse matrix."""
    length = np.diff(matrix.indptr)
    if length.max(initial=0) <= k:
        return matrix
    row = np.repeat(np.arange(matrix.shape[0]), length)
    order = np.lexsort((-matrix.data, row))
    rank = np.arange(len(row)) - np.repeat(matrix.indptr[:-1], length)
    kept = order[rank < k]
    return csr_matrix(
        (matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape
    )
