r"""
TEM
################################################
Reference:
    Keping Bi et al. "A Transformer-based Embedding Model for Personalized Product Search."
    in SIGIR 2020.

Reference code:
    https://github.com/kepingbi/ProdSearch
"""

import torch
import torch.nn as nn

from recbole.data.interaction import Interaction
from recbole.model.layers import TransformerEncoder

from recbole_whisperlite.model.productsearch import (
    ItemLanguageModel,
    ProductSearchModel,
    check_heads,
)


class TEM(ProductSearchModel):
    r"""TEM reads the request and the items of the history with one transformer encoder.

    The output at the request is what the user is looking for: its attention decides how
    much the history has to say, and items of the history may interact.

    Raises:
        UserError: As ProductSearchModel, or if n_heads does not divide embedding_size.
    """

    @staticmethod
    def inputs(settings: dict) -> list[str]:
        text = ["item text"] if settings["text_weight"] > 0 else []
        return ["request", *text, "history", "item id"]

    def __init__(self, config, dataset):
        super(TEM, self).__init__(config, dataset)

        # load parameters info
        self.use_positions = config["use_positions"]
        self.text_weight = config["text_weight"]
        check_heads(config)

        # define layers
        size = self.embedding_size
        self.query_layer = nn.Linear(size, size)
        if self.use_positions:
            self.position_embedding = nn.Embedding(self.max_seq_length + 1, size)
        self.encoder = TransformerEncoder(
            n_layers=config["n_layers"],
            n_heads=config["n_heads"],
            hidden_size=size,
            inner_size=config["inner_size"],
            hidden_dropout_prob=config["hidden_dropout_prob"],
            attn_dropout_prob=config["attn_dropout_prob"],
            hidden_act=config["hidden_act"],
            layer_norm_eps=config["layer_norm_eps"],
        )
        if self.text_weight > 0:
            self.language_model = ItemLanguageModel(
                dataset.item_texts, self.words, config["n_words"], config["n_negatives"]
            )

        # parameters initialization
        self.apply(self._init_weights)

    def _vocabulary_texts(self, config, dataset):
        texts = super()._vocabulary_texts(config, dataset)
        # without the language model, words of item texts would not be trained
        return texts + dataset.item_texts if config["text_weight"] > 0 else texts

    def query(self, request: torch.LongTensor) -> torch.FloatTensor:
        r"""Embeddings of requests, shape: [n, embedding_size]"""
        return torch.tanh(self.query_layer(self.words(request)))

    def intent(self, request, items, requests):
        query = self.query(request).unsqueeze(1)
        sequence = torch.cat([query, self.item_embedding(items)], dim=1)
        known = torch.cat([torch.ones_like(items[:, :1]), items], dim=1) > 0
        if self.use_positions:
            # counted back from the request, at 0: the latest item is at 1
            position = known.sum(dim=1, keepdim=True) - torch.arange(
                known.shape[1], device=known.device
            )
            position[:, 0] = 0
            sequence = sequence + self.position_embedding(position.clamp(min=0))
        mask = torch.zeros_like(known, dtype=sequence.dtype)
        mask = mask.masked_fill(~known, -torch.inf)[:, None, None, :]
        return self.encoder(sequence, mask, output_all_encoded_layers=False)[-1][:, 0]

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        loss = super().calculate_loss(interaction)
        if self.text_weight > 0:
            text_loss = self.language_model(
                self.item_embedding.weight,
                self.words.embedding,
                self.n_positives(interaction),
            )
            loss = loss + self.text_weight * text_loss
        return loss
