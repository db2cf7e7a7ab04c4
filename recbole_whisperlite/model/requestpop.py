r"""
RequestPop
################################################
"""

import torch
from scipy.sparse import csr_matrix

from recbole_whisperlite.model.untrained import UntrainedRequestModel


class RequestPop(UntrainedRequestModel):
    r"""RequestPop recommends the items most popular in training for the same request text.

    It resembles a shop's filter page. Overall popularity, scaled to less than one
    interaction, breaks ties, and ranks all items for a text that is not in training.
    """

    inputs = ("request", "item id")

    def __init__(self, config, dataset):
        super(RequestPop, self).__init__(config, dataset)

        # the counts are not in the state dict, where they would belong to old ids
        _, item, request = dataset.training_choices().current()
        ones = torch.ones(len(item)).numpy()
        self.request_cnt = csr_matrix(
            (ones, (request, item)), shape=(dataset.num(self.REQUEST), self.n_items)
        )
        item_cnt = torch.bincount(torch.from_numpy(item), minlength=self.n_items)
        self.item_cnt = item_cnt
        backoff = item_cnt / (item_cnt.max() + 1)
        self.register_buffer("backoff", backoff, persistent=False)

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        count = self.request_cnt[request.cpu().numpy()].toarray()
        return torch.from_numpy(count).to(request.device) + self.backoff

    def load_other_parameter(self, para: dict | None) -> None:
        pass  # older checkpoints have counts here, and in the state dict, by old ids

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        state_dict.pop(f"{prefix}backoff", None)
        super(RequestPop, self)._load_from_state_dict(state_dict, prefix, *args)
