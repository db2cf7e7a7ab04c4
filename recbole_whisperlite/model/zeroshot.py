r"""
ZeroShot
################################################
"""

import torch
import torch.nn.functional as F

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.untrained import UntrainedRequestModel


class ZeroShot(UntrainedRequestModel):
    r"""ZeroShot scores by the cosine of the frozen vectors of request and item.

    It is WhisperLite without towers, and without training.

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
                "ZeroShot compares requests with items, but their vectors have "
                f"{sizes[0]} and {sizes[1]} dimensions. Use the vectors of one encoder for "
                f"both (encoder is {config['encoder']}), or train WhisperLite, which "
                "accepts different sizes."
            )

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        return self.request_vectors[request] @ self.item_vectors.T
