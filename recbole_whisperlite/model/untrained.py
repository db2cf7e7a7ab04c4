r"""
UntrainedRequestModel
################################################
The base class of request-aware baselines that are not trained by gradients.
"""

from collections.abc import Callable, Sequence

import torch

from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import (
    AbstractRecommender,
    GeneralRecommender,
)
from recbole.utils import InputType, ModelType

from recbole_whisperlite.errors import UserError

# Scores of the catalogue that predict holds at once: 16 MB as float32.
MAX_SCORES = 2**22


class UntrainedRequestModel(GeneralRecommender):
    r"""UntrainedRequestModel scores by request and item alone, and is ready once constructed.

    A subclass defines :meth:`score_catalogue`; RecBole runs it like its own Pop and ItemKNN.

    Raises:
        UserError: If the dataset has no requests.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL

    def __init__(self, config, dataset):
        super(UntrainedRequestModel, self).__init__(config, dataset)
        check_requests(self, dataset)
        self.REQUEST = config["REQUEST_FIELD"]
        self.fake_loss = torch.nn.Parameter(torch.zeros(1))

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        r"""Score all items for distinct requests.

        Args:
            request (torch.LongTensor): Ids of distinct request texts, shape: [n]

        Returns:
            torch.FloatTensor: shape: [n, n_items]
        """
        raise NotImplementedError

    def forward(self) -> None:
        pass

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        return torch.nn.Parameter(torch.zeros(1)).to(self.device)

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        return score_pairs(
            interaction,
            (self.REQUEST,),
            self.ITEM_ID,
            self.n_items,
            lambda rows: self.score_catalogue(rows[self.REQUEST]),
        )

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        distinct, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        return self.score_catalogue(distinct)[index].view(-1)


def score_pairs(
    interaction: Interaction,
    keys: Sequence[str],
    item_field: str,
    n_items: int,
    score_catalogue: Callable[[Interaction], torch.FloatTensor],
) -> torch.FloatTensor:
    r"""Score the item of each row, by models that score the catalogue for a query.

    The rows of a query are scored together, and so many queries at once as fit into memory.

    Args:
        interaction (Interaction): n rows
        keys (sequence of str): The fields that say which rows are of one query; those that
            the interaction lacks do not count
        item_field (str): The field of the items
        n_items (int): Their number
        score_catalogue (callable): Given one row for each of m queries, returns their
            scores, shape: [m, n_items]

    Returns:
        torch.FloatTensor: shape: [n]
    """
    values = torch.stack([interaction[key] for key in keys if key in interaction])
    queries, index = torch.unique(values, dim=1, return_inverse=True)
    row = torch.arange(len(index), device=index.device)
    first = torch.empty_like(queries[0]).scatter_(0, index, row)
    item = interaction[item_field]
    result = torch.empty(len(item), device=item.device)
    step = max(MAX_SCORES // n_items, 1)
    for start in range(0, len(first), step):
        part = first[start : start + step]
        row = torch.where((index >= start) & (index < start + len(part)))[0]
        scores = score_catalogue(interaction[part])
        result[row] = scores[index[row] - start, item[row]]
    return result


def check_requests(model: AbstractRecommender, dataset: Dataset) -> None:
    r"""Raise a UserError, which names ``model``, if ``dataset`` has no requests."""
    if not hasattr(dataset, "request_texts"):
        raise UserError(
            f"{type(model).__name__} ranks items for a request, but the dataset "
            f"'{dataset.dataset_name}' has none. Create the file "
            f"{dataset.dataset_name}.request, or set request_template to compose "
            "requests from item columns."
        )
