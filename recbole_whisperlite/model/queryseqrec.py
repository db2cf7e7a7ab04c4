r"""
QuerySeqRec
################################################
Reference:
    Zhankui He et al. "Query-Aware Sequential Recommendation." in CIKM 2022.

Reference code:
    https://github.com/AaronHeee/Query-SeqRec
"""

import torch
import torch.nn as nn

from recbole_whisperlite.model.productsearch import (
    ProductSearchModel,
    transformer_encoder,
)


class QuerySeqRec(ProductSearchModel):
    r"""QuerySeqRec is SASRec over a sequence in which each item comes after its request.

    The sequence ends with the request that is asked; the output there predicts the item.
    In training, some items of the history are replaced by others, chosen for the same
    request or at random, and some requests by others that led to the same item: this is
    how the paper uses the graph of requests and items.

    Raises:
        UserError: As ProductSearchModel, or if n_heads does not divide
            embedding_size.
    """

    inputs = ("request", "history", "item id")

    def __init__(self, config, dataset):
        super(QuerySeqRec, self).__init__(config, dataset)

        # load parameters info
        self.replace_prob = config["replace_prob"]
        self.graph_prob = config["graph_prob"]

        # define layers
        size = self.embedding_size
        self.position_embedding = nn.Embedding(self.max_seq_length + 1, size)
        self.type_embedding = nn.Embedding(2, size)  # request, item
        self.layer_norm = nn.LayerNorm(size, eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])
        self.encoder = transformer_encoder(config)

        # the graph of requests and items; it is not in the state dict
        pairs = dataset.inter_feat
        if self.LABEL in pairs:
            pairs = pairs[pairs[self.LABEL] == 1]
        request, item = pairs[self.REQUEST], pairs[self.ITEM_ID]
        self.items_of = Links(request, item, dataset.num(self.REQUEST))
        self.requests_of = Links(item, request, self.n_items)
        self.register_buffer("trained_requests", request.unique(), persistent=False)

        # parameters initialization
        self.apply(self._init_weights)

    def sequence(
        self,
        request: torch.LongTensor,
        items: torch.LongTensor,
        requests: torch.LongTensor,
    ) -> tuple[torch.FloatTensor, torch.BoolTensor]:
        r"""Interleave requests and items; arguments are those of :meth:`intent`.

        Returns:
            tuple: Embeddings of request, item, request, item, ..., request, shape:
            [n, 2 * length + 1, embedding_size]; and where there is something: a request is
            missing where an item was chosen without one, shape: [n, 2 * length + 1]
        """
        n, length = items.shape
        # counted back from the request that is asked, at 0
        position = (items > 0).sum(dim=1, keepdim=True) - torch.arange(
            length, device=items.device
        )
        position = self.position_embedding(position.clamp(min=0))
        of_request, of_item = self.type_embedding.weight
        text = torch.cat([requests, request.unsqueeze(1)], dim=1)
        text_e = self.words(text.view(-1)).view(n, length + 1, -1) + of_request
        item_e = self.item_embedding(items) + of_item + position
        now_e = text_e[:, -1:] + self.position_embedding.weight[0]
        pairs = torch.stack([text_e[:, :-1] + position, item_e], dim=2)
        known = torch.stack([requests > 0, items > 0], dim=2)
        return (
            torch.cat([pairs.view(n, 2 * length, -1), now_e], dim=1),
            torch.cat([known.view(n, -1), torch.ones_like(known[:, :1, 0])], dim=1),
        )

    def intent(self, request, items, requests):
        sequence, known = self.sequence(request, items, requests)
        sequence = self.dropout(self.layer_norm(sequence))
        # each sees what comes before, and itself: padding too, or its softmax is empty
        end = known.shape[1]
        earlier = torch.ones(end, end, dtype=torch.bool, device=known.device).tril()
        sees = (known.unsqueeze(1) & earlier) | torch.eye(
            end, dtype=torch.bool, device=known.device
        )
        mask = torch.zeros_like(sees, dtype=sequence.dtype)
        mask = mask.masked_fill(~sees, -torch.inf).unsqueeze(1)
        return self.encoder(sequence, mask, output_all_encoded_layers=False)[-1][:, -1]

    def _history(self, interaction):
        items, requests = super()._history(interaction)
        if not self.training or self.replace_prob == 0:
            return items, requests
        return (
            self._replace(items, requests, self.items_of, self._any_item),
            self._replace(requests, items, self.requests_of, self._any_request),
        )

    def _replace(self, values, by, links, draw_any):
        r"""Replace some values: of these, some by what is linked to the same partner"""
        device = values.device
        chance = torch.rand(2, *values.shape, device=device)
        linked = links.draw(by)
        use_link = (chance[1] < self.graph_prob) & (linked > 0)
        other = torch.where(use_link, linked, draw_any(values.shape, device))
        replaced = (chance[0] < self.replace_prob) & (values > 0)
        return torch.where(replaced, other, values)

    def _any_item(self, shape, device):
        return torch.randint(1, self.n_items, shape, device=device)

    def _any_request(self, shape, device):
        drawn = torch.randint(len(self.trained_requests), shape, device=device)
        return self.trained_requests[drawn]


class Links(nn.Module):
    r"""Links holds what each id occurs with; it has no parameters and no state.

    Args:
        - source(torch.LongTensor): Ids, shape: [n_pairs]
        - target(torch.LongTensor): What each occurs with, shape: [n_pairs]
        - n(int): The number of ids
    """

    def __init__(self, source, target, n):
        super(Links, self).__init__()
        order = torch.argsort(source, stable=True)
        count = torch.bincount(source, minlength=n)
        self.register_buffer("target", target[order], persistent=False)
        self.register_buffer("count", count, persistent=False)
        self.register_buffer("begin", count.cumsum(dim=0) - count, persistent=False)

    def draw(self, source: torch.LongTensor) -> torch.LongTensor:
        r"""Draw one of the targets of each id, as often as it occurs; 0 if there is none."""
        count = self.count[source]
        step = (torch.rand(source.shape, device=source.device) * count).long()
        step = torch.minimum(step, (count - 1).clamp(min=0))
        index = (self.begin[source] + step).clamp(max=len(self.target) - 1)
        return self.target[index].masked_fill(count == 0, 0)
