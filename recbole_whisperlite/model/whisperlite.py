r"""
WhisperLite
################################################
Reference:
    "Contrastive Learning for Interactive Recommendation in Fashion." in SIGIR eCom 2022.
"""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.init import xavier_normal_initialization
from recbole.model.layers import MLPLayers
from recbole.utils import InputType

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.evidence import (
    Candidates,
    LikeHistory,
    Neighbors,
    RequestMemory,
    SparseRows,
    count_pairs,
)
from recbole_whisperlite.model.loss import WhisperLiteLoss

# Before the softmax over the history: cosines of the towers times this.
_ATTENTION_SCALE = 10.0


class WhisperLite(GeneralRecommender):
    r"""WhisperLite ranks items for a request, a text that says what is wanted.

    The texts of requests and items are vectors of a frozen encoder. Two MLP towers, the only
    part that is trained, take them into one space; the score is the dot product there,
    divided by a temperature. That is the paper's model: without user or history, the request
    is the user.

    Four parts go beyond the paper. What was chosen for this very request text counts, and
    the towers are what is expected before (``use_memory``). With weights that are trained,
    there are added what was chosen by those who chose what the user had before
    (``use_neighbors``), and how much an item is like what of that the request is about
    (``use_history``). What a request rules out ("no heels") is a vector of its own that is
    taken off (``use_refusals``). In training the choice that is trained on is taken
    out of all three, and what else the user chose is no negative.

    The dataset gives the vectors: ``dataset.request_vectors()`` of shape
    [n_requests, dim] and ``dataset.item_vectors()`` of shape [n_items, dim], float, whose
    rows are RecBole's ids of ``REQUEST_FIELD`` (a distinct text each) and ``ITEM_ID_FIELD``.
    With ``use_image``, the paper's future work, ``dataset.item_image_vectors()`` gives those
    of the items' pictures, float [n_items, dim], and which items have one, bool [n_items].

    Raises:
        UserError: If the dataset has no requests, the loss needs negatives and none are
            sampled, or a setting is out of its range.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config, dataset):
        super(WhisperLite, self).__init__(config, dataset)

        # load dataset info
        self.REQUEST = config["REQUEST_FIELD"]
        self.LABEL = config["LABEL_FIELD"]
        if not hasattr(dataset, "request_vectors"):
            raise UserError(
                f"WhisperLite ranks items for a request, but the dataset "
                f"'{dataset.dataset_name}' has none. Add the file "
                f"{dataset.dataset_name}.request, or set request_template to compose "
                "requests from item columns."
            )

        # load parameters info
        self.use_text = config["use_text"]
        self.use_image = config["use_image"]
        self.embedding_size = config["embedding_size"]
        self.use_memory = config["use_memory"]
        self.use_neighbors = config["use_neighbors"]
        self.use_history = config["use_history"]
        self.use_refusals = config["use_refusals"]
        self.refusal_strength = config["refusal_strength"]
        self.max_seq_length = config["MAX_ITEM_LIST_LENGTH"]
        self.mlp_hidden_size = config["mlp_hidden_size"]
        self.dropout_prob = config["dropout_prob"]
        self.normalize = config["normalize"]
        self.temperature = config["temperature"]
        self.learn_temperature = config["learn_temperature"]
        self.popularity_correction = config["popularity_correction"]
        if not self.temperature > 0:
            raise UserError(f"temperature is {self.temperature}; it must be above 0.")

        if not (self.use_text or self.use_image):
            raise UserError(
                "use_text and use_image are both False; an item needs one of them."
            )

        # define layers and loss
        request_vectors = self._request_vectors(dataset)
        self.request_tower = self._build_tower(request_vectors)
        self.item_tower = self._build_tower(self._item_vectors(dataset))
        self.logit_scale = nn.Parameter(
            torch.tensor(-math.log(self.temperature)),
            requires_grad=self.learn_temperature,
        )
        self.loss = WhisperLiteLoss(
            config["bce_weight"],
            config["contrastive_weight"],
            config["contrastive"],
            config["mask_false_negatives"],
        )
        if self.loss.needs_negatives and self.LABEL not in dataset.field2type:
            raise UserError(
                "bce_weight above 0 and contrastive: cosine need negatives, but "
                "train_neg_sample_args is None and the data has no field "
                f"'{self.LABEL}'. Set train_neg_sample_args to {{'distribution': "
                "'uniform', 'sample_num': 1}, or train with contrastive: infonce and "
                "bce_weight: 0."
            )
        log_q = self._log_popularity(dataset) if self.popularity_correction else None
        self.register_buffer("log_q", log_q, persistent=False)
        self.has_evidence = self.use_memory or self.use_neighbors or self.use_history
        self.has_terms = self.has_evidence or self.use_refusals
        if self.has_terms and self.loss.compares_by_cosine:
            raise UserError(
                "contrastive: cosine compares texts alone. Set use_memory, use_neighbors, "
                "use_history and use_refusals to False, or contrastive to infonce."
            )
        if self.has_evidence:
            self._build_evidence(config, dataset)

        # parameters initialization
        self.apply(xavier_normal_initialization)

    def _build_tower(self, vectors):
        return Tower(
            torch.tensor(vectors, dtype=torch.float32),
            self.mlp_hidden_size + [self.embedding_size],
            self.dropout_prob,
            self.normalize,
        )

    def _request_vectors(self, dataset):
        r"""Vectors of requests, shape: [n_requests, dim]; below them, where requests rule
        something out, those of what they do, shape: [2 * n_requests, dim]"""
        if not self.use_refusals:
            return dataset.request_vectors()
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

    def _item_vectors(self, dataset):
        r"""Vectors of text and picture side by side, shape: [n_items, dim]"""
        parts = [dataset.item_vectors()] if self.use_text else []
        if self.use_image:
            vectors, has_image = dataset.item_image_vectors()
            # zeros stand for a missing picture; the last column tells them from one
            parts += [vectors, has_image[:, None]]
        return np.concatenate(parts, axis=1)

    def _log_popularity(self, dataset):
        r"""Log of each item's share of the training positives, shape: [n_items]"""
        inter = dataset.inter_feat
        item = inter[self.ITEM_ID]
        if self.LABEL in inter:
            item = item[inter[self.LABEL] == 1]
        # an item without a positive is never in an InfoNCE batch: any finite value serves
        count = torch.bincount(item, minlength=self.n_items).clamp(min=1)
        return torch.log(count / len(item))

    def _build_evidence(self, config, dataset):
        if not dataset.history_fields and (self.use_neighbors or self.use_history):
            raise UserError(
                f"The dataset of {config['model']} has no histories for WhisperLite: set "
                "use_neighbors and use_history to False."
            )
        inter = dataset.inter_feat
        if self.LABEL in inter:
            inter = inter[inter[self.LABEL] == 1]
        user, item = inter[self.USER_ID].numpy(), inter[self.ITEM_ID].numpy()
        request = inter[self.REQUEST].numpy()
        if self.use_neighbors or self.use_history:
            self.HISTORY_BEGIN, self.HISTORY_LENGTH = dataset.history_fields
            history_items = dataset.history_items
            self.register_buffer("history_items", history_items, persistent=False)
        self.had = SparseRows(count_pairs(user, item, (self.n_users, self.n_items)))
        # The weights they start with were best on the validation of hm, untrained.
        if self.use_memory:
            n_requests = dataset.num(self.REQUEST)
            self.memory = RequestMemory(request, item, n_requests, self.n_items)
        if self.use_neighbors:
            self.neighbors = Neighbors(
                user, item, self.n_users, self.n_items, config["neighbor_num"]
            )
            self.neighbors_weight = nn.Parameter(torch.tensor(1.0))
        if self.use_history:
            self.like_history = LikeHistory(self.item_tower.vectors)
            self.history_weight = nn.Parameter(torch.tensor(5.0))

    def _refusal_e(self, request):
        r"""What requests rule out, in the space of the towers, shape:
        [n, embedding_size]; 0 where they rule out nothing."""
        refuses = self.refuses[request]
        return self.request_tower(request + len(self.refuses)) * refuses

    def _history(self, interaction):
        r"""Items that the user had before the request, shape: [n, length], padded by 0."""
        if self.HISTORY_BEGIN not in interaction:
            return torch.zeros_like(interaction[self.REQUEST]).unsqueeze(1)
        begin, length = (
            interaction[self.HISTORY_BEGIN],
            interaction[self.HISTORY_LENGTH],
        )
        longest = min(max([1, *length.tolist()]), self.max_seq_length)
        step = torch.arange(longest, device=begin.device)
        place = (begin.unsqueeze(1) + step).clamp(max=len(self.history_items) - 1)
        return self.history_items[place].masked_fill(step >= length.unsqueeze(1), 0)

    def _attention(self, request, history):
        r"""How much requests are about items of the history, shape: [n, length]."""
        request, to_request = torch.unique(request, return_inverse=True)
        item, to_item = torch.unique(history, return_inverse=True)
        cosine = torch.matmul(
            F.normalize(self.request_tower(request), dim=1),
            F.normalize(self.item_tower(item), dim=1).transpose(0, 1),
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
                    all_e = self.item_tower.embed_all()
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
        if not (self.use_neighbors or self.use_history):
            return score
        history = self._history(interaction)
        if self.use_neighbors:
            chose = None
            if own is not None:
                user = interaction[self.USER_ID].unsqueeze(1).expand_as(history)
                chose = self.had.at(user, history) > 0
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
        other[row] = self.had(interaction[self.USER_ID][row], candidates) > 0
        other[own] = False
        return other

    def forward(self, request, item):
        request_e = self.request_tower(request)
        item_e = self.item_tower(item)
        return self.logit_scale.exp() * torch.mul(request_e, item_e).sum(dim=1)

    def calculate_loss(self, interaction):
        # a temperature below 0.01 makes training unstable (as in CLIP)
        self.logit_scale.data.clamp_(max=math.log(100))

        request = interaction[self.REQUEST]
        item = interaction[self.ITEM_ID]
        if self.LABEL in interaction:
            label = interaction[self.LABEL]
        else:
            label = torch.ones(len(item), device=item.device)
        if not self.loss.needs_negatives:
            chosen = label == 1
            interaction = interaction[chosen]
            request, item, label = request[chosen], item[chosen], label[chosen]

        # each distinct text goes through its tower once
        distinct, request_index = torch.unique(request, return_inverse=True)
        request_e = self.request_tower.embed(distinct)
        candidate, item_index = torch.unique(item, return_inverse=True)
        item_e = self.item_tower.embed(candidate)
        logits = others = None
        if self.has_terms:
            # rows are pairs: those of one request are of different users
            request_e = F.embedding(request_index, request_e)
            request_index = torch.arange(len(request), device=request.device)
            row = torch.where(label == 1)[0]
            own = row, item_index[row]
            candidates = Candidates(candidate, self.n_items)
            logits = self._request_logits(request, request_e, candidates, item_e, own)
            logits = self._add_user_terms(logits, interaction, candidates, own)
            if self.has_evidence:
                others = self._others(interaction, candidates, own)
        return self.loss(
            request_e,
            item_e,
            request_index,
            item_index,
            label,
            self.logit_scale.exp(),
            self.log_q[candidate] if self.popularity_correction else None,
            logits,
            others,
        )

    def _logits(self, interaction, item):
        r"""Logits of items for the user and request of each row, shape: [n, n_items]."""
        # requests with the same text differ by their users only
        request, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        candidates = Candidates(item, self.n_items)
        logits = self._request_logits(
            request, self.request_tower(request), candidates, self.item_tower(item)
        )
        return self._add_user_terms(logits[index], interaction, candidates)

    def predict(self, interaction):
        item = interaction[self.ITEM_ID]
        if not self.has_terms:
            return self.forward(interaction[self.REQUEST], item)
        candidate, index = torch.unique(item, return_inverse=True)
        logits = self._logits(interaction, candidate)
        return logits.gather(1, index.unsqueeze(1)).squeeze(1)

    def full_sort_predict(self, interaction):
        item = torch.arange(self.n_items, device=self.logit_scale.device)
        return self._logits(interaction, item).view(-1)


class Tower(nn.Module):
    r"""Tower is an MLP over the frozen vectors of one side.

    In evaluation (``eval()`` and ``torch.no_grad()``) it remembers embeddings, so that each
    text goes through the MLP once an evaluation. It forgets them when its mode is set or
    its parameters change. The vectors are not in the state dict: they come from the dataset.

    Args:
        - vectors(torch.FloatTensor): One row a text, shape: [n_texts, dim]
        - mlp_size(list): The output size of each layer
        - dropout_prob(float): Dropout before each layer
        - normalize(bool): Whether embeddings get unit length
    """

    def __init__(self, vectors, mlp_size, dropout_prob, normalize):
        super(Tower, self).__init__()
        self.register_buffer("vectors", vectors, persistent=False)
        self.mlp_layers = MLPLayers(
            [vectors.shape[1]] + mlp_size, dropout_prob, last_activation=False
        )
        self.embedding_size = mlp_size[-1]
        self.normalize = normalize
        # what evaluation remembers, and the state of the tensors it was made from
        self._embedding = self._is_known = self._made_from = None

    def embed(self, text):
        r"""Send texts through the MLP.

        Args:
            text (torch.LongTensor): Rows of the vectors, shape: [n]

        Returns:
            torch.FloatTensor: shape: [n, embedding_size]
        """
        embedding = self.mlp_layers(self.vectors[text])
        return F.normalize(embedding, dim=1) if self.normalize else embedding

    def forward(self, text):
        r"""The same as :meth:`embed`, with each distinct text sent through the MLP once."""
        if self.training or torch.is_grad_enabled():
            distinct, index = torch.unique(text, return_inverse=True)
            return F.embedding(index, self.embed(distinct))
        self._remember(text)
        return self._embedding[text]

    def embed_all(self):
        r"""Embeddings of all texts, shape: [n_texts, embedding_size]. Not to be written to."""
        text = torch.arange(len(self.vectors), device=self.vectors.device)
        if self.training or torch.is_grad_enabled():
            return self.embed(text)
        self._remember(text)
        return self._embedding

    def train(self, mode=True):
        self._made_from = None
        return super(Tower, self).train(mode)

    def _remember(self, text):
        tensors = (self.vectors, *self.parameters())
        made_from = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
        if made_from != self._made_from:
            size = len(self.vectors), self.embedding_size
            self._embedding = self.vectors.new_empty(size)
            self._is_known = torch.zeros_like(self.vectors[:, 0], dtype=torch.bool)
            self._made_from = made_from
        new = text[~self._is_known[text]]
        if len(new) > 0:
            new = torch.unique(new)
            self._embedding[new] = self.embed(new)
            self._is_known[new] = True
