r"""
UntrainedRequestModel
################################################
The base class of request-aware baselines that are not trained by gradients.
"""

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
        item = interaction[self.ITEM_ID]
        distinct, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        result = torch.empty(len(item), device=item.device)
        step = max(MAX_SCORES // self.n_items, 1)
        for start in range(0, len(distinct), step):
            part = distinct[start : start + step]
            row = torch.where((index >= start) & (index < start + len(part)))[0]
            result[row] = self.score_catalogue(part)[index[row] - start, item[row]]
        return result

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        distinct, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        return self.score_catalogue(distinct)[index].view(-1)


def check_requests(model: AbstractRecommender, dataset: Dataset) -> None:
    r"""Raise a UserError, which names ``model``, if ``dataset`` has no requests."""
    if not hasattr(dataset, "request_texts"):
        raise UserError(
            f"{type(model).__name__} ranks items for a request, but the dataset "
            f"'{dataset.dataset_name}' has none. Create the file "
            f"{dataset.dataset_name}.request, or set request_template to compose "
            "requests from item columns."
        )
