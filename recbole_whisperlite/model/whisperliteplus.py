r"""
WhisperLitePlus
################################################
WhisperLite with what a shop knows besides the texts: interactions with the same request,
the history of the user, and what a request rules out.
"""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole.data.interaction import Interaction

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

#: The factor of the towers' cosines before the softmax over the history.
ATTENTION_SCALE = 10.0


class WhisperLitePlus(WhisperLite):
    r"""WhisperLitePlus adds four parts to WhisperLite, each with its own switch.

    - ``use_memory``: how often an item occurs in training with the same request text; the
      scores of the towers are the prior.
    - ``use_neighbors``: how many users an item shares with the items of the history.
    - ``use_history``: how similar an item is to those items of the history that fit the
      request.
    - ``use_refusals``: what a request rules out ("no heels") has a vector of its own, whose
      score is subtracted.

    The weights of the last three are trained. In training, the target interaction is left
    out of all counts. ``mask_user_items`` keeps the other items of the user out of the
    negatives. With all five switched off, the model is WhisperLite.

    Raises:
        UserError: As WhisperLite, if the dataset has no histories, or if a part is used
            with the contrastive term ``cosine``, which compares only texts.
    """

    @staticmethod
    def inputs(settings: dict) -> list[str]:
        inputs = {
            "history": settings["use_neighbors"] or settings["use_history"],
            "item id": settings["use_neighbors"] or settings["use_memory"],
        }
        return WhisperLite.inputs(settings) + [name for name in inputs if inputs[name]]

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
                "contrastive: cosine compares only texts. Set use_memory, use_neighbors, "
                "use_history and use_refusals to False, or contrastive to infonce."
            )
        if self.reads_history and not dataset.history_fields:
            raise UserError(
                f"The dataset of {config['model']} has no histories: set use_neighbors and "
                "use_history to False."
            )

        # define layers
        if self.mask_user_items or self.use_memory or self.reads_history:
            choices = dataset.training_choices()
            user, item, request = choices.current()
            known_items = choices.known_items
        if self.mask_user_items or self.use_neighbors:
            shape = max(self.n_users, user.max(initial=0) + 1), self.n_items
            self.user_items = SparseRows(count_pairs(user, item, shape))
        if self.reads_history:
            self.HISTORY_BEGIN, self.HISTORY_LENGTH = dataset.history_fields
            history_items = dataset.history_items
            self.register_buffer("history_items", history_items, persistent=False)
        # The initial weights are the best on hm's validation part before any training.
        if self.use_memory:
            self.memory = RequestMemory(
                request, item, dataset.num(self.REQUEST), self.n_items, known_items
            )
        if self.use_neighbors:
            self.neighbors = Neighbors(
                choices.user,
                choices.item,
                len(choices.user_now),
                len(choices.item_now),
                config["neighbor_num"],
                None if known_items is None else choices.item_now,
                self.n_items,
            )
            self.neighbors_weight = nn.Parameter(torch.tensor(1.0))
        if self.use_history:
            self.like_history = LikeHistory(self.items.vectors, known_items)
            self.history_weight = nn.Parameter(torch.tensor(5.0))

    def _request_vectors(self, config, dataset):
        r"""Vectors of requests, shape: [n_requests, dim]; if any rules something out, followed
        by the vectors of what they rule out, shape: [2 * n_requests, dim]"""
        self.use_refusals = config["use_refusals"]
        if not self.use_refusals:
            return super(WhisperLitePlus, self)._request_vectors(config, dataset)
        wish, refusal = dataset.wish_and_refusal_vectors()
        self.register_buffer(
            "refuses",
            torch.tensor(refusal.any(axis=1, keepdims=True)),
            persistent=False,
        )
        self.use_refusals = dataset.has_refusals(refusal)
        if not self.use_refusals:
            return wish
        self.refusal_weight = nn.Parameter(torch.tensor(0.5))
        return np.concatenate([wish, refusal])

    def _refusal_e(self, request):
        r"""Embeddings of what requests rule out, shape: [n, embedding_size]; 0 where they rule
        out nothing."""
        refuses = self.refuses[request]
        return self.requests(request + len(self.refuses)) * refuses

    def _history(self, interaction):
        r"""The items of the user before the request, padded by 0, shape: [n, length]."""
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
        r"""Logits of the attention of requests over their histories, shape: [n, length]."""
        request, request_index = torch.unique(request, return_inverse=True)
        item, item_index = torch.unique(history, return_inverse=True)
        cosine = torch.matmul(
            F.normalize(self.requests(request), dim=1),
            F.normalize(self.items(item), dim=1).transpose(0, 1),
        )
        index = request_index.unsqueeze(1) * len(item) + item_index
        return ATTENTION_SCALE * F.embedding(index, cosine.view(-1, 1)).squeeze(2)

    def _request_logits(self, request, request_e, candidates, item_e, positives=None):
        r"""Logits that do not depend on the user: towers, memory and refusals.

        Args:
            request (torch.LongTensor): shape: [n]
            request_e (torch.FloatTensor): Their embeddings, shape: [n, embedding_size]
            candidates (Candidates): The items
            item_e (torch.FloatTensor): shape: [n_candidates, embedding_size]
            positives (tuple): As for :class:`RequestMemory`

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        scale = self.logit_scale.exp()
        logits = torch.matmul(scale * request_e, item_e.transpose(0, 1))
        if self.use_memory:
            if positives is not None and len(positives[0]) > 0:
                drawn = torch.bincount(positives[1], minlength=len(candidates))
                normalizer = self.memory.log_normalizer(logits, drawn)
            else:
                all_logits = logits
                if len(candidates) < self.n_items:
                    all_e = self.items.embed_all()
                    all_logits = torch.matmul(scale * request_e, all_e.transpose(0, 1))
                normalizer = self.memory.log_normalizer(all_logits)
            logits = self.memory(request, candidates, logits, normalizer, positives)
        if self.use_refusals:
            weight = self.refusal_weight * scale
            if not self.training:
                weight = self.refusal_strength * weight
            logits = torch.addmm(
                logits, -weight * self._refusal_e(request), item_e.transpose(0, 1)
            )
        return logits

    def _add_user_terms(self, logits, interaction, candidates, positives=None):
        r"""Add the terms that depend on the user, in place: neighbors and history.

        Args:
            logits (torch.FloatTensor): shape: [n, n_candidates]
            interaction (Interaction): n rows
            candidates (Candidates): The items
            positives (tuple): As for :class:`RequestMemory`

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        if not self.reads_history:
            return logits
        history = self._history(interaction)
        if self.use_neighbors:
            in_training = None
            if positives is not None:
                user = interaction[self.USER_ID].unsqueeze(1).expand_as(history)
                in_training = self.user_items.at(user, history) > 0
            neighbors = self.neighbors(history, candidates, positives, in_training)
            logits.addcmul_(self.neighbors_weight, neighbors)
        if self.use_history:
            attention = self._attention(interaction[self.REQUEST], history)
            mean = self.history_weight * self.like_history(history, attention)
            vectors = self.like_history.vectors[candidates.item]
            logits.addmm_(mean, vectors.transpose(0, 1))
        return logits

    def _other_user_items(self, interaction, candidates, positives):
        r"""Whether a candidate is an item of the user other than the target, shape:
        [n, n_candidates]; False in rows without a target"""
        row = positives[0]
        other = torch.zeros(len(interaction), len(candidates), dtype=torch.bool)
        other = other.to(row.device)
        other[row] = self.user_items(interaction[self.USER_ID][row], candidates) > 0
        other[positives] = False
        return other

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        # a temperature below 0.01 makes training unstable (as in CLIP)
        self.logit_scale.data.clamp_(max=math.log(100))
        interaction, label = self._trained_pairs(interaction)
        # each distinct text goes through its tower once, but there is a row per pair: pairs
        # with the same request have different users
        request, request_index = torch.unique(
            interaction[self.REQUEST], return_inverse=True
        )
        request_e = F.embedding(request_index, self.requests.embed(request))
        item, item_index = torch.unique(interaction[self.ITEM_ID], return_inverse=True)
        item_e = self.items.embed(item)
        candidates = Candidates(item, self.n_items)
        row = torch.arange(len(label), device=label.device)
        positive_row = torch.where(label == 1)[0]
        positives = positive_row, item_index[positive_row]
        logits = self._request_logits(
            interaction[self.REQUEST], request_e, candidates, item_e, positives
        )
        logits = self._add_user_terms(logits, interaction, candidates, positives)
        excluded = None
        if self.mask_user_items:
            excluded = self._other_user_items(interaction, candidates, positives)
        return self.loss(
            request_e,
            item_e,
            row,
            item_index,
            label,
            self.logit_scale.exp(),
            self._log_q(item),
            logits,
            excluded,
        )

    def _logits(self, interaction, item):
        r"""Logits of items for the user and request of each row, shape: [n, n_items]."""
        # requests with the same text differ only by their users
        request, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        candidates = Candidates(item, self.n_items)
        logits = self._request_logits(
            request, self.requests(request), candidates, self.items(item)
        )
        return self._add_user_terms(logits[index], interaction, candidates)

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        candidate, index = torch.unique(interaction[self.ITEM_ID], return_inverse=True)
        logits = self._logits(interaction, candidate)
        return logits.gather(1, index.unsqueeze(1)).squeeze(1)

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        item = torch.arange(self.n_items, device=self.logit_scale.device)
        return self._logits(interaction, item).view(-1)
