r"""
LinearFusion
################################################
Reference:
    McFadden, "Conditional Logit Analysis of Qualitative Choice Behavior." 1974.
"""

from logging import getLogger

import numpy as np
import torch

from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType, set_color

from recbole_whisperlite.model.features import NAMES, Features
from recbole_whisperlite.model.logit import ConditionalLogit
from recbole_whisperlite.model.terms import padded_histories
from recbole_whisperlite.model.untrained import (
    MAX_SCORES,
    check_requests,
    score_pairs,
)

# Without validation data: smoothed counts, and ItemKNN at half its weight.
_UNFITTED = {"log request count": 1.0, "log ItemKNN": 0.5}
# The features that are held while the weights are fitted: 1 GB as float32.
_MAX_FITTED = 2**28


class LinearFusion(GeneralRecommender):
    r"""LinearFusion is a weighted sum of textbook signals, fitted by maximum likelihood.

    The probability that an item is chosen is the softmax over the candidates of the weighted
    sum of its :class:`Features`. ``LinearFusionTrainer`` fits the weights on validation
    queries, whose choices are in none of the counts; each positive of a query is one choice.
    Without validation data the weights are fixed: 1 for the counts of the request, and 0.5
    for ItemKNN.

    Raises:
        UserError: If the dataset has no requests.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL
    inputs = ("request", "item text", "history", "item id")

    def __init__(self, config, dataset):
        super(LinearFusion, self).__init__(config, dataset)
        check_requests(self, dataset)

        # load parameters info
        self.REQUEST = config["REQUEST_FIELD"]
        self.history_fields = dataset.history_fields
        self.max_seq_length = config["MAX_ITEM_LIST_LENGTH"]
        self.fit_queries = config["fit_queries"]
        self.ridge = config["ridge"]
        self.seed = config["seed"]

        # define layers and loss
        self.features = Features(config, dataset)
        history_items = dataset.history_items
        self.register_buffer("history_items", history_items, persistent=False)
        weight = torch.tensor([_UNFITTED.get(name, 0.0) for name in NAMES])
        self.register_buffer("weight", weight)
        self.fake_loss = torch.nn.Parameter(torch.zeros(1))

    def forward(self) -> None:
        pass

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        return torch.nn.Parameter(torch.zeros(1)).to(self.device)

    def _history(self, interaction):
        r"""The items of the user before the request, padded by 0, shape: [n, length]."""
        (history,) = padded_histories(
            interaction, self.history_fields, self.max_seq_length, self.history_items
        )
        return history

    def score_catalogue(self, interaction: Interaction) -> torch.FloatTensor:
        r"""Score all items for each row, shape: [n, n_items]."""
        request, history = interaction[self.REQUEST], self._history(interaction)
        scores = torch.zeros(len(request), self.n_items, device=self.device)
        columns = self.features.each(request, history)
        for weight, column in zip(self.weight.tolist(), columns):
            scores.add_(column, alpha=weight)
        return scores

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        fields = self.REQUEST, *self.history_fields
        return score_pairs(
            interaction, fields, self.ITEM_ID, self.n_items, self.score_catalogue
        )

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        return self.score_catalogue(interaction).view(-1)

    @torch.no_grad()
    def fit_weights(self, queries, query_feat: Interaction) -> None:
        r"""Fit the weights.

        In a catalogue whose features do not fit into memory, each query has a uniform sample
        of the candidates, which leaves the estimate consistent (McFadden 1978).

        Args:
            queries (Queries): With their positives and excluded items
            query_feat (Interaction): Their inputs
        """
        drawn = self._draw(queries, self.fit_queries)
        generator = torch.Generator().manual_seed(self.seed)
        n_sampled = _MAX_FITTED // (len(drawn) * len(NAMES))
        logit = ConditionalLogit(self.ridge)
        for rows in self._batches(drawn):
            features = self._describe(query_feat, rows)
            positive = torch.from_numpy(queries.positives[rows].toarray())
            excluded = torch.from_numpy(queries.excluded[rows].toarray())
            excluded[:, 0] = True  # padding
            if n_sampled < self.n_items:
                item, positive, excluded = _sample(
                    positive, excluded, n_sampled, generator
                )
                item = item.to(self.device).unsqueeze(2)
                features = features.gather(1, item.expand(-1, -1, len(NAMES)))
            logit.add(features, positive.to(self.device), excluded.to(self.device))
        self.weight.copy_(logit.fit())
        told = zip(NAMES, self.weight.tolist())
        told = ", ".join(f"{name} {weight:.2f}" for name, weight in told)
        getLogger().info(set_color(f"LinearFusion weights: {told}", "pink"))

    def _draw(self, queries, n):
        r"""The rows of up to ``n`` random queries, in a random order, int64."""
        return np.random.default_rng(self.seed).permutation(len(queries))[:n]

    def _batches(self, rows):
        step = max(MAX_SCORES // (self.n_items * len(NAMES)), 1)
        return (rows[start : start + step] for start in range(0, len(rows), step))

    def _describe(self, query_feat, rows):
        r"""The features of all items for queries, shape: [n, n_items, n_features]."""
        interaction = query_feat[rows].to(self.device)
        return self.features(interaction[self.REQUEST], self._history(interaction))


def _sample(positive, excluded, n, generator):
    r"""Draw ``n`` candidates for each query uniformly, and append its positives.

    Returns:
        tuple: Items, and whether they are positives and excluded, shape: [n_queries,
        n + largest number of positives] each
    """
    n_items = positive.shape[1]
    row, column = torch.where(positive)
    length = positive.sum(dim=1)
    place = torch.arange(len(row)) - (length.cumsum(0) - length)[row]
    item = torch.zeros(len(positive), n + int(length.max()), dtype=torch.int64)
    item[:, :n] = torch.randint(1, n_items, (len(positive), n), generator=generator)
    item[row, n + place] = column
    chosen = torch.zeros(item.shape, dtype=torch.bool)
    chosen[row, n + place] = True
    excluded = excluded.gather(1, item) | (positive.gather(1, item) & ~chosen)
    return item, chosen, excluded
