r"""
ZeroShot
################################################
"""

import torch
import torch.nn.functional as F

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.untrained import UntrainedRequestModel


class ZeroShot(UntrainedRequestModel):
    r"""ZeroShot is the cosine of the frozen vectors of request and item: WhisperLite untrained.

    Raises:
        UserError: If requests and items have vectors of different sizes.
    """

    inputs = ("request", "item text")

    def __init__(self, config, dataset):
        super(ZeroShot, self).__init__(config, dataset)

        # the vectors are not in the state dict: they come from the dataset
        for side in ("request", "item"):
            vectors = torch.tensor(getattr(dataset, f"{side}_vectors")())
            vectors = F.normalize(vectors.float(), dim=1)
            self.register_buffer(f"{side}_vectors", vectors, persistent=False)
        sizes = self.request_vectors.shape[1], self.item_vectors.shape[1]
        if sizes[0] != sizes[1]:
            raise UserError(
                f"ZeroShot compares requests with items, but their vectors have {sizes[0]}"
                f" and {sizes[1]} numbers. Give both sides vectors of one encoder (encoder "
                f"is {config['encoder']}), or train WhisperLite, which takes any."
            )

    def score_catalogue(self, request):
        return self.request_vectors[request] @ self.item_vectors.T
