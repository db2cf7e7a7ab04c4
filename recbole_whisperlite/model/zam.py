r"""
ZAM
################################################
Reference:
    Qingyao Ai et al. "A Zero Attention Model for Personalized Product Search." in CIKM 2019.
"""

import torch
import torch.nn as nn


from recbole_whisperlite.model.productsearch import ItemTextModel


class ZAM(ItemTextModel):
    r"""ZAM decides for each request how much the user's history has to say.

    The request attends over the items of the history and a vector of zeros, whose logit is
    0: where no item is relevant, the zero vector takes the weight and the request decides
    alone.
    """

    def __init__(self, config, dataset):
        super(ZAM, self).__init__(config, dataset)

        # load parameters info
        self.n_heads = config["n_heads"]
        self.query_weight = config["query_weight"]

        # define layers
        size = self.embedding_size
        self.attention_layer = nn.Linear(size, size * self.n_heads)
        self.head_weight = nn.Linear(self.n_heads, 1, bias=False)

        # parameters initialization
        self.apply(self._init_weights)

    def attention(
        self,
        query: torch.FloatTensor,
        item_e: torch.FloatTensor,
        mask: torch.BoolTensor,
    ) -> torch.FloatTensor:
        r"""Weights of the items of a history; what is missing to 1 is the zero vector's.

        Args:
            query (torch.FloatTensor): shape: [n, embedding_size]
            item_e (torch.FloatTensor): shape: [n, length, embedding_size]
            mask (torch.BoolTensor): False for padding, shape: [n, length]

        Returns:
            torch.FloatTensor: shape: [n, length]
        """
        heads = torch.tanh(self.attention_layer(query))
        heads = heads.view(len(query), self.embedding_size, self.n_heads)
        logit = self.head_weight(torch.matmul(item_e, heads)).squeeze(2)
        logit = logit.masked_fill(~mask, -torch.inf)
        zero = torch.zeros_like(logit[:, :1])
        return torch.softmax(torch.cat([zero, logit], dim=1), dim=1)[:, 1:]

    def intent(self, request, items, requests):
        query, item_e = self.query(request), self.item_embedding(items)
        weight = self.attention(query, item_e, items > 0)
        user = torch.matmul(weight.unsqueeze(1), item_e).squeeze(1)
        return self.query_weight * query + (1 - self.query_weight) * user
