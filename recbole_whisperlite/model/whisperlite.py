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

from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.init import xavier_normal_initialization
from recbole.utils import InputType

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.loss import WhisperLiteLoss
from recbole_whisperlite.model.tower import EmbeddedTexts


class WhisperLite(GeneralRecommender):
    r"""WhisperLite ranks items for a request, a text that says what the user wants.

    A frozen encoder turns the texts of requests and items into vectors. Two MLP towers, the
    only part that is trained, map them to a common space; the score is the dot product
    there, divided by a temperature. The loss combines binary cross-entropy on sampled
    negatives with a contrastive term. The model knows neither user nor history.

    The dataset provides the vectors: ``dataset.request_vectors()`` of shape
    [n_requests, dim] and ``dataset.item_vectors()`` of shape [n_items, dim], float, whose
    rows are RecBole's ids of ``REQUEST_FIELD`` (distinct texts) and ``ITEM_ID_FIELD``. With
    ``use_image``, the paper's future work, ``dataset.item_image_vectors()`` provides those
    of the items' pictures, float [n_items, dim], and whether an item has one, bool [n_items].

    Raises:
        UserError: If the loss needs negatives and none are sampled.
    """

    input_type = InputType.POINTWISE

    @staticmethod
    def inputs(settings):
        item = {"item text": settings["use_text"], "picture": settings["use_image"]}
        return ["request", *(part for part, used in item.items() if used)]

    def __init__(self, config, dataset):
        super(WhisperLite, self).__init__(config, dataset)

        # load dataset info
        self.REQUEST = config["REQUEST_FIELD"]
        self.LABEL = config["LABEL_FIELD"]

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
        if not (self.use_text or self.use_image):
            raise UserError(
                "use_text and use_image are both False; at least one must be True."
            )

        # define layers and loss
        tower = (
            self.mlp_hidden_size + [self.embedding_size],
            self.dropout_prob,
            self.normalize,
        )
        self.requests = EmbeddedTexts(self._request_vectors(config, dataset), *tower)
        self.items = EmbeddedTexts(self._item_vectors(dataset), *tower)
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
        item = self._training_positives(dataset)[self.ITEM_ID]
        count = torch.bincount(item, minlength=self.n_items)
        # an item that is never positive is in no InfoNCE batch: any finite value will do
        log_q = torch.log(count.clamp(min=1) / len(item))
        log_q = log_q if self.popularity_correction else None
        self.register_buffer("log_q", log_q, persistent=False)
        self.register_buffer("is_chosen", count > 0, persistent=False)

        # parameters initialization
        self.apply(xavier_normal_initialization)

    def _request_vectors(self, config, dataset):
        r"""Vectors of the distinct request texts, shape: [n_requests, dim]"""
        return dataset.request_vectors()

    def _item_vectors(self, dataset):
        r"""Concatenated vectors of text and picture, shape: [n_items, dim]"""
        parts = [dataset.item_vectors()] if self.use_text else []
        if self.use_image:
            vectors, has_image = dataset.item_image_vectors()
            # the vector of a missing picture is zero; the last column marks the others
            parts += [vectors, has_image[:, None]]
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def _training_positives(self, dataset):
        r"""The training interactions; where the data has labels, those of label 1."""
        inter = dataset.inter_feat
        return inter[inter[self.LABEL] == 1] if self.LABEL in inter else inter

    def forward(self, request, item):
        score = torch.mul(self.requests(request), self.items(item)).sum(dim=1)
        return self.logit_scale.exp() * score

    def calculate_loss(self, interaction):
        return self.part_of_loss(self.prepare_batch(interaction))

    def part_of_loss(self, batch, own=slice(None)):
        r"""What some rows of a batch add to its loss: parts of all rows add up to the loss.

        Args:
            batch (tuple): From :meth:`prepare_batch`
            own (slice): The rows. Default: all
        """
        # a temperature below 0.01 makes training unstable (as in CLIP)
        self.logit_scale.data.clamp_(max=math.log(100))
        interaction, label = batch
        # each distinct text goes through its tower once
        request, request_index = torch.unique(
            interaction[self.REQUEST][own], return_inverse=True
        )
        item, item_index = torch.unique(interaction[self.ITEM_ID], return_inverse=True)
        return self.loss(
            self.requests.embed(request),
            self.items.embed(item),
            request_index,
            item_index[own],
            label[own],
            self.logit_scale.exp(),
            self._log_q(item),
            (item_index, label),
        )

    def prepare_batch(self, interaction):
        r"""The rows that the loss uses, and their labels, shape: [n]

        An item that nobody chose in training is no negative: it may have come later, and
        as nothing but a negative its text would be learned as one that nobody wants.
        """
        item = interaction[self.ITEM_ID]
        if self.LABEL not in interaction:
            return interaction, torch.ones(len(item), device=item.device)
        label = interaction[self.LABEL]
        used = label == 1
        if self.loss.needs_negatives:
            used = used | self.is_chosen[item]
        if not used.all():  # RecBole's way to take rows goes through lists
            columns = interaction.interaction.items()
            columns = {name: each[used] for name, each in columns}
            interaction, label = type(interaction)(columns), label[used]
        return interaction, label

    def _log_q(self, item):
        return self.log_q[item] if self.popularity_correction else None

    def predict(self, interaction):
        return self.forward(interaction[self.REQUEST], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction):
        # requests with the same text have the same scores
        request, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        request_e = self.logit_scale.exp() * self.requests(request)
        score = torch.matmul(request_e, self.items.embed_all().transpose(0, 1))
        return score[index].view(-1)
