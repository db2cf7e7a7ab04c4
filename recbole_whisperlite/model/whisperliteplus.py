r"""
WhisperLitePlus
################################################
WhisperLite with what a shop knows beside the texts: what was chosen for the same request,
what the user has seen before, and what a request rules out.
"""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.terms import (
    Candidates,
    LikeHistory,
    Neighbors,
    RequestMemory,
    SparseRows,
    count_pairs,
)
from recbole_whisperlite.model.whisperlite import WhisperLite

# Before the softmax over the history: cosines of the towers times this.
_ATTENTION_SCALE = 10.0


class WhisperLitePlus(WhisperLite):
    r"""WhisperLitePlus adds four parts to WhisperLite, each with a switch of its own.

    - ``use_memory``: what was chosen in training for this very request text counts; the
      towers say what is expected before that.
    - ``use_neighbors``: what was chosen by those who chose what the user has seen.
    - ``use_history``: how similar an item is to the items of the history that the request
      is about.
    - ``use_refusals``: what a request rules out ("no heels") is a vector of its own, which
      is subtracted.

    The weights of the last three are trained. In training, the interaction that is trained
    on is taken out of all counts. ``mask_user_items`` keeps the other items of the user out
    of the negatives. With all five switched off the model is WhisperLite.

    Raises:
        UserError: As WhisperLite, if the dataset has no histories, or if a part is used
            with a contrastive term that compares texts alone.
    """

    @staticmethod
    def inputs(settings):
        user = {
            "history": settings["use_neighbors"] or settings["use_history"],
            "item id": settings["use_neighbors"] or settings["use_memory"],
        }
        return WhisperLite.inputs(settings) + [part for part in user if user[part]]

    def __init__(self, config, dataset):
        super(WhisperLitePlus, self).__init__(config, dataset)

        # load parameters info
        self.use_memory = config["use_memory"]
        self.use_neighbors = config["use_neighbors"]
        self.use_history = config["use_history"]
        self.refusal_strength = config["refusal_strength"]
        self.mask_user_items = config["mask_user_items"]
        self.max_seq_length = config["MAX_ITEM_LIST_LENGTH"]
        self.reads_history = self.use_neighbors or self.use_history
        if self.loss.compares_by_cosine and (
            self.use_memory or self.reads_history or self.use_refusals
        ):
            raise UserError(
                "contrastive: cosine compares texts alone. Set use_memory, use_neighbors, "
                "use_history and use_refusals to False, or contrastive to infonce."
            )
        if self.reads_history and not dataset.history_fields:
            raise UserError(
                f"The dataset of {config['model']} has no histories: set use_neighbors and "
                "use_history to False."
            )

        # define layers
        inter = self._training_positives(dataset)
        item = inter[self.ITEM_ID].numpy()
        if self.mask_user_items or self.use_neighbors:
            user, shape = inter[self.USER_ID].numpy(), (self.n_users, self.n_items)
            self.chosen = SparseRows(count_pairs(user, item, shape))
        if self.reads_history:
            self.HISTORY_BEGIN, self.HISTORY_LENGTH = dataset.history_fields
            history_items = dataset.history_items
            self.register_buffer("history_items", history_items, persistent=False)
        # The weights they start with were best on the validation of hm, untrained.
        if self.use_memory:
            request, n_requests = inter[self.REQUEST].numpy(), dataset.num(self.REQUEST)
            self.memory = RequestMemory(request, item, n_requests, self.n_items)
        if self.use_neighbors:
            self.neighbors = Neighbors(
                user, item, self.n_users, self.n_items, config["neighbor_num"]
            )
            self.neighbors_weight = nn.Parameter(torch.tensor(1.0))
        if self.use_history:
            self.like_history = LikeHistory(self.items.vectors)
            self.history_weight = nn.Parameter(torch.tensor(5.0))

    def _request_vectors(self, config, dataset):
        r"""Vectors of requests, shape: [n_requests, dim]; below them, where requests rule
        something out, those of what they do, shape: [2 * n_requests, dim]"""
        self.use_refusals = config["use_refusals"]
        if not self.use_refusals:
            return super(WhisperLitePlus, self)._request_vectors(config, dataset)
        wish, refusal = dataset.wish_and_refusal_vectors()
        self.register_buffer(
            "refuses",
            torch.tensor(refusal.any(axis=1, keepdims=True)),
            persistent=False,
        )
        self.use_refusals = bool(self.refuses.any())
        if not self.use_refusals:
            return wish
        self.refusal_weight = nn.Parameter(torch.tensor(0.5))
        return np.concatenate([wish, refusal])

    def _refusal_e(self, request):
        r"""What requests rule out, in the space of the towers, shape:
        [n, embedding_size]; 0 where they rule out nothing."""
        refuses = self.refuses[request]
        return self.requests(request + len(self.refuses)) * refuses

    def _history(self, interaction):
        r"""Items that the user has seen before the request, shape: [n, length], padded by 0."""
        if self.HISTORY_BEGIN not in interaction:
            return torch.zeros_like(interaction[self.REQUEST]).unsqueeze(1)
        begin, length = (
            interaction[self.HISTORY_BEGIN],
            interaction[self.HISTORY_LENGTH],
        )
        longest = min(max([1, *length.tolist()]), self.max_seq_length)
        step = torch.arange(longest, device=begin.device)
        index = (begin.unsqueeze(1) + step).clamp(max=len(self.history_items) - 1)
        return self.history_items[index].masked_fill(step >= length.unsqueeze(1), 0)

    def _attention(self, request, history):
        r"""How much requests are about items of the history, shape: [n, length]."""
        request, to_request = torch.unique(request, return_inverse=True)
        item, to_item = torch.unique(history, return_inverse=True)
        cosine = torch.matmul(
            F.normalize(self.requests(request), dim=1),
            F.normalize(self.items(item), dim=1).transpose(0, 1),
        )
        index = to_request.unsqueeze(1) * len(item) + to_item
        return _ATTENTION_SCALE * F.embedding(index, cosine.view(-1, 1)).squeeze(2)

    def _request_logits(self, request, request_e, candidates, item_e, own=None):
        r"""Logits that know the request, but not the user: towers, memory and refusals.

        Args:
            request (torch.LongTensor): shape: [n]
            request_e (torch.FloatTensor): Their embeddings, shape: [n, embedding_size]
            candidates (Candidates): The items
            item_e (torch.FloatTensor): shape: [n_candidates, embedding_size]
            own (tuple): Rows and places among the candidates of the choices trained on

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        scale = self.logit_scale.exp()
        logits = torch.matmul(scale * request_e, item_e.transpose(0, 1))
        if self.use_memory:
            if own is not None and len(own[0]) > 0:
                drawn = torch.bincount(own[1], minlength=len(candidates))
                normalizer = self.memory.log_normalizer(logits, drawn)
            else:
                everything = logits
                if len(candidates) < self.n_items:
                    all_e = self.items.embed_all()
                    everything = torch.matmul(scale * request_e, all_e.transpose(0, 1))
                normalizer = self.memory.log_normalizer(everything)
            logits = self.memory(request, candidates, logits, normalizer, own)
        if self.use_refusals:
            weight = self.refusal_weight * scale
            if not self.training:
                weight = self.refusal_strength * weight
            logits = torch.addmm(
                logits, -weight * self._refusal_e(request), item_e.transpose(0, 1)
            )
        return logits

    def _add_user_terms(self, score, interaction, candidates, own=None):
        r"""Add to logits what a user adds, in place: neighbors and likeness to the history.

        Args:
            score (torch.FloatTensor): shape: [n, n_candidates]
            interaction (Interaction): n rows
            candidates (Candidates): The items
            own (tuple): Rows and places among the candidates of the choices trained on

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        if not self.reads_history:
            return score
        history = self._history(interaction)
        if self.use_neighbors:
            chose = None
            if own is not None:
                user = interaction[self.USER_ID].unsqueeze(1).expand_as(history)
                chose = self.chosen.at(user, history) > 0
            neighbors = self.neighbors(history, candidates, own, chose)
            score.addcmul_(self.neighbors_weight, neighbors)
        if self.use_history:
            attention = self._attention(interaction[self.REQUEST], history)
            about = self.history_weight * self.like_history(history, attention)
            vectors = self.like_history.vectors[candidates.item]
            score.addmm_(about, vectors.transpose(0, 1))
        return score

    def _others(self, interaction, candidates, own):
        r"""Where candidates are what the user chose, but not for this request; False in
        rows that are not trained on, shape: [n, n_candidates]"""
        row = own[0]
        other = torch.zeros(len(interaction), len(candidates), dtype=torch.bool)
        other = other.to(row.device)
        other[row] = self.chosen(interaction[self.USER_ID][row], candidates) > 0
        other[own] = False
        return other

    def calculate_loss(self, interaction):
        # a temperature below 0.01 makes training unstable (as in CLIP)
        self.logit_scale.data.clamp_(max=math.log(100))
        interaction, label = self._trained_pairs(interaction)
        # each distinct text goes through its tower once, but rows are pairs: those of one
        # request are of different users
        request, request_index = torch.unique(
            interaction[self.REQUEST], return_inverse=True
        )
        request_e = F.embedding(request_index, self.requests.embed(request))
        item, item_index = torch.unique(interaction[self.ITEM_ID], return_inverse=True)
        item_e = self.items.embed(item)
        candidates = Candidates(item, self.n_items)
        row = torch.arange(len(label), device=label.device)
        positive = torch.where(label == 1)[0]
        own = positive, item_index[positive]
        logits = self._request_logits(
            interaction[self.REQUEST], request_e, candidates, item_e, own
        )
        logits = self._add_user_terms(logits, interaction, candidates, own)
        others = None
        if self.mask_user_items:
            others = self._others(interaction, candidates, own)
        return self.loss(
            request_e,
            item_e,
            row,
            item_index,
            label,
            self.logit_scale.exp(),
            self._log_q(item),
            logits,
            others,
        )

    def _logits(self, interaction, item):
        r"""Logits of items for the user and request of each row, shape: [n, n_items]."""
        # requests with the same text differ by their users only
        request, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        candidates = Candidates(item, self.n_items)
        logits = self._request_logits(
            request, self.requests(request), candidates, self.items(item)
        )
        return self._add_user_terms(logits[index], interaction, candidates)

    def predict(self, interaction):
        candidate, index = torch.unique(interaction[self.ITEM_ID], return_inverse=True)
        logits = self._logits(interaction, candidate)
        return logits.gather(1, index.unsqueeze(1)).squeeze(1)

    def full_sort_predict(self, interaction):
        item = torch.arange(self.n_items, device=self.logit_scale.device)
        return self._logits(interaction, item).view(-1)
