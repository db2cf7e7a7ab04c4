r"""
recbole_whisperlite.model.whitening
###################################
Makes vectors of a frozen encoder comparable with each other
"""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

# The number of principal components.
_N_COMPONENTS = 256
# Vectors that are held in double precision at once.
_STEP = 2**16
# Components with less of the largest variance than this are rounding.
_LEAST_VARIANCE = 1e-6


class HalfWhitening(nn.Module):
    r"""HalfWhitening centres vectors and halves the differences between their components.

    Each principal component is divided by the square root of its standard deviation. A few
    directions that all vectors share, strong in those of CLIP, would otherwise drown what
    tells texts apart (Su et al., "Whitening Sentence Representations for Better Semantics
    and Faster Retrieval", 2021). The smallest components are left out.

    Args:
        - vectors(torch.FloatTensor): shape: [n, dim]; 0 where there is none
        - known(numpy.ndarray): The rows that mean and components are those of, shape:
          [n_known]. Default: all
    """

    def __init__(self, vectors: torch.FloatTensor, known: np.ndarray | None = None):
        super(HalfWhitening, self).__init__()
        known = slice(None) if known is None else torch.from_numpy(known)
        has_vector = vectors[known].any(dim=1)
        mean = vectors[known].sum(dim=0) / has_vector.sum().clamp(min=1)
        # in double precision, for the same components on any processor
        covariance = 0
        for part in vectors[known].split(_STEP):
            centred = self._centred(part, mean).double()
            covariance = covariance + centred.T @ centred
        covariance = covariance / max(len(has_vector), 1)
        variance, component = torch.linalg.eigh(covariance)
        kept = variance > _LEAST_VARIANCE * variance.max()
        variance = variance[kept][-_N_COMPONENTS:]
        component = component[:, kept][:, -_N_COMPONENTS:]
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("projection", component / variance**0.25, persistent=False)

    @staticmethod
    def _centred(vectors, mean):
        return (vectors - mean) * vectors.any(dim=1, keepdim=True)

    def forward(self, vectors: torch.FloatTensor) -> torch.FloatTensor:
        r"""Transform vectors, shape: [n, dim].

        Returns:
            torch.FloatTensor: Of unit length, or 0 as the vector; shape: [n, n_components]
        """
        parts = [
            F.normalize(
                (self._centred(part, self.mean).double() @ self.projection).float(),
                dim=1,
            )
            for part in vectors.split(_STEP)
        ]
        return torch.cat(parts)
