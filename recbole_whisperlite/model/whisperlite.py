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
from recbole_whisperlite.model.loss import WhisperLiteLoss


class WhisperLite(GeneralRecommender):
    r"""WhisperLite ranks items for a request, a text that says what is wanted.

    The texts of requests and items are vectors of a frozen encoder. Two MLP towers, the only
    part that is trained, take them into one space; the score is the dot product there,
    divided by a temperature. There is no user and no history: the request is the user.

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
        self.request_tower = self._build_tower(dataset.request_vectors())
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

        # parameters initialization
        self.apply(xavier_normal_initialization)

    def _build_tower(self, vectors):
        return Tower(
            torch.tensor(vectors, dtype=torch.float32),
            self.mlp_hidden_size + [self.embedding_size],
            self.dropout_prob,
            self.normalize,
        )

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
            request, item, label = request[chosen], item[chosen], label[chosen]

        # each distinct text goes through its tower once
        request, request_index = torch.unique(request, return_inverse=True)
        item, item_index = torch.unique(item, return_inverse=True)
        return self.loss(
            self.request_tower.embed(request),
            self.item_tower.embed(item),
            request_index,
            item_index,
            label,
            self.logit_scale.exp(),
            self.log_q[item] if self.popularity_correction else None,
        )

    def predict(self, interaction):
        return self.forward(interaction[self.REQUEST], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction):
        request_e = self.request_tower(interaction[self.REQUEST])
        all_item_e = self.item_tower.embed_all()
        score = torch.matmul(
            self.logit_scale.exp() * request_e, all_item_e.transpose(0, 1)
        )
        return score.view(-1)


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
