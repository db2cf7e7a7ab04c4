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


from recbole_whisperlite.model.productsearch import (
    ItemTextModel,
    transformer_encoder,
)


class TEM(ItemTextModel):
    r"""TEM reads the request and the items of the history with one transformer encoder.

    The output at the request is what the user is looking for: its attention decides how
    much the history has to say, and items of the history may interact.

    Raises:
        UserError: As ProductSearchModel, or if n_heads does not divide embedding_size.
    """

    def __init__(self, config, dataset):
        super(TEM, self).__init__(config, dataset)

        # load parameters info
        self.use_positions = config["use_positions"]

        # define layers
        size = self.embedding_size
        if self.use_positions:
            self.position_embedding = nn.Embedding(self.max_seq_length + 1, size)
        self.encoder = transformer_encoder(config)

        # parameters initialization
        self.apply(self._init_weights)

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
