r"""
RequestPop
################################################
"""

import torch
from scipy.sparse import csr_matrix

from recbole_whisperlite.model.untrained import (
    UntrainedRequestModel,
    training_choices,
)


class RequestPop(UntrainedRequestModel):
    r"""RequestPop recommends the items most popular in training for the same request text.

    It resembles a shop's filter page. Overall popularity, scaled to less than one
    interaction, breaks ties, and ranks all items for a text that is not in training.
    """

    inputs = ("request", "item id")

    def __init__(self, config, dataset):
        super(RequestPop, self).__init__(config, dataset)

        inter = training_choices(dataset, config["LABEL_FIELD"])
        request, item = inter[self.REQUEST].numpy(), inter[self.ITEM_ID].numpy()
        ones = torch.ones(len(item)).numpy()
        self.request_cnt = csr_matrix(
            (ones, (request, item)), shape=(dataset.num(self.REQUEST), self.n_items)
        )
        item_cnt = torch.bincount(inter[self.ITEM_ID], minlength=self.n_items)
        self.register_buffer("backoff", item_cnt / (item_cnt.max() + 1))
        self.other_parameter_name = ["request_cnt"]

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        count = self.request_cnt[request.cpu().numpy()].toarray()
        return torch.from_numpy(count).to(request.device) + self.backoff
