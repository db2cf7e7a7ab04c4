r"""
RequestPop
################################################
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from recbole_whisperlite.model.untrained import UntrainedRequestModel

#: What popularity adds at most. The logarithms of two counts below 10,000 are further apart.
TIE_BREAK = 1e-4


class RequestPop(UntrainedRequestModel):
    r"""RequestPop recommends the items most popular in training for the same request text.

    It resembles a shop's filter page. Overall popularity breaks ties, and ranks all items for
    a text that is not in training. Scores are logarithms of counts, so that LateFusion adds
    them to other scores without the most popular items drowning the rest.
    """

    inputs = ("request", "item id")

    def __init__(self, config, dataset):
        super(RequestPop, self).__init__(config, dataset)

        # the counts are not in the state dict, where they would belong to old ids
        _, item, request = dataset.training_choices().current()
        ones = np.ones(len(item), dtype=np.float32)
        self.request_cnt = csr_matrix(
            (ones, (request, item)), shape=(dataset.num(self.REQUEST), self.n_items)
        )
        self.request_cnt.sum_duplicates()  # log1p is that of sums
        self.log_request_cnt = self.request_cnt.log1p()
        item_cnt = torch.bincount(torch.from_numpy(item), minlength=self.n_items)
        self.item_cnt = item_cnt
        log_cnt = item_cnt.float().log1p()
        backoff = TIE_BREAK * log_cnt / log_cnt.max().clamp(min=1)
        self.register_buffer("backoff", backoff, persistent=False)

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        log_count = self.log_request_cnt[request.cpu().numpy()].toarray()
        return torch.from_numpy(log_count).to(request.device) + self.backoff

    def load_other_parameter(self, para: dict | None) -> None:
        pass  # older checkpoints have counts here, and in the state dict, by old ids

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        state_dict.pop(f"{prefix}backoff", None)
        super(RequestPop, self)._load_from_state_dict(state_dict, prefix, *args)
