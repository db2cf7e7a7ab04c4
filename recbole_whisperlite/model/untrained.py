r"""
UntrainedRequestModel
################################################
What request-aware baselines without gradient training have in common.
"""

import torch

from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType

from recbole_whisperlite.errors import UserError

# Scores of the catalogue held at once where single items are scored: 16 MB as float32.
MAX_SCORES = 2**22


class UntrainedRequestModel(GeneralRecommender):
    r"""A score that depends on request and item alone, and is ready once the model is made.

    A model defines :meth:`score_catalogue`; RecBole runs it like its own Pop and ItemKNN.

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

    def score_catalogue(self, request):
        r"""Score all items for distinct requests.

        Args:
            request (torch.LongTensor): Ids of distinct request texts, shape: [n]

        Returns:
            torch.FloatTensor: shape: [n, n_items]
        """
        raise NotImplementedError

    def forward(self):
        pass

    def calculate_loss(self, interaction):
        return torch.nn.Parameter(torch.zeros(1)).to(self.device)

    def predict(self, interaction):
        item = interaction[self.ITEM_ID]
        distinct, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        result = torch.empty(len(item), device=item.device)
        step = max(MAX_SCORES // self.n_items, 1)
        for start in range(0, len(distinct), step):
            part = distinct[start : start + step]
            row = torch.where((index >= start) & (index < start + len(part)))[0]
            result[row] = self.score_catalogue(part)[index[row] - start, item[row]]
        return result

    def full_sort_predict(self, interaction):
        distinct, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        return self.score_catalogue(distinct)[index].view(-1)


def check_requests(model, dataset):
    r"""Raise a UserError if ``dataset`` is not request-aware, which ``model`` needs."""
    if not hasattr(dataset, "request_texts"):
        raise UserError(
            f"{type(model).__name__} ranks items for a request, but the dataset "
            f"'{dataset.dataset_name}' has none. Add the file "
            f"{dataset.dataset_name}.request, or set request_template to compose "
            "requests from item columns."
        )


def training_choices(dataset, label_field):
    r"""The interactions of the training dataset that are choices.

    Args:
        dataset (Dataset): The training dataset.
        label_field (str): Where the data has it, rows other than 1 are no choices.

    Returns:
        Interaction: The rows that are.
    """
    inter = dataset.inter_feat
    return inter[inter[label_field] == 1] if label_field in inter else inter
