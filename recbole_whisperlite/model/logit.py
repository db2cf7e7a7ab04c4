r"""
recbole_whisperlite.model.logit
###############################
The conditional logit: a softmax over candidates, fitted by maximum likelihood
"""

import torch

# Newton's method ends where the log likelihood of a choice grows less than this.
_TOLERANCE = 1e-7
_MAX_STEPS = 50


class ConditionalLogit:
    r"""ConditionalLogit collects queries, and fits the weights of their features.

    What is maximised is the mean log probability of the choices, minus
    :math:`\frac{\lambda}{2 n} \lVert w \rVert^2` with n choices, for features scaled to a
    standard deviation of 1. The function is concave, so the maximum is one, and Newton's
    method finds it.

    Args:
        ridge (float): :math:`\lambda`, above 0
    """

    def __init__(self, ridge: float):
        self.ridge = ridge
        self.batches = []

    def add(
        self,
        features: torch.FloatTensor,
        positive: torch.BoolTensor,
        excluded: torch.BoolTensor,
    ) -> None:
        r"""Add queries.

        Args:
            features (torch.FloatTensor): shape: [n, n_candidates, n_features]
            positive (torch.BoolTensor): Each counts as a choice, shape: [n, n_candidates]
            excluded (torch.BoolTensor): What is no candidate, shape: [n, n_candidates]
        """
        self.batches.append((features, positive, excluded))

    def fit(self) -> torch.FloatTensor:
        r"""Return the weights of the features as they were given, shape: [n_features]."""
        scale = self._deviation()
        used = scale > 0
        scale = torch.where(used, scale, 1)
        weight = torch.zeros_like(scale)
        value, gradient, hessian = self._derivatives(weight, scale)
        for _ in range(_MAX_STEPS):
            step = torch.linalg.solve(hessian, gradient)
            size = 1.0
            while True:  # halve a step that goes too far
                found = self._derivatives(weight + size * step, scale)
                if found[0] >= value - _TOLERANCE or size < 1e-3:
                    break
                size /= 2
            gain, weight = found[0] - value, weight + size * step
            value, gradient, hessian = found
            if gain < _TOLERANCE:
                break
        return (weight / scale * used).float()

    def _deviation(self):
        r"""The standard deviation of each feature over all candidates."""
        n, total, square = 0, 0, 0
        for features, _, excluded in self.batches:
            flat = features[~excluded].double()
            n = n + len(flat)
            total, square = total + flat.sum(dim=0), square + flat.square().sum(dim=0)
        variance = square / n - (total / n).square()
        # a variance that is 0 but for rounding must not be amplified
        variance[variance <= 1e-12 * (total / n).square()] = 0
        return variance.clamp(min=0).sqrt()

    def _derivatives(self, weight, scale):
        r"""The penalised mean log likelihood, its gradient and its negated Hessian."""
        n, value, gradient, hessian = 0, 0, 0, 0
        of_given = (weight / scale).float()
        for features, positive, excluded in self.batches:
            logits = (features @ of_given).masked_fill_(excluded, -torch.inf)
            log_p = torch.log_softmax(logits, dim=1)
            p, chosen = log_p.exp(), positive.float()
            n_chosen = chosen.sum(dim=1, keepdim=True)
            n = n + n_chosen.sum().double()
            value = value + log_p[positive].double().sum()
            mean = torch.einsum("nc,ncf->nf", p, features)
            of_chosen = torch.einsum("nc,ncf->nf", chosen, features)
            gradient = gradient + (of_chosen - n_chosen * mean).double().sum(dim=0)
            weighed = (features * (n_chosen * p).unsqueeze(2)).flatten(0, 1)
            second = weighed.T @ features.flatten(0, 1)
            second = second - (n_chosen * mean).T @ mean
            hessian = hessian + second.double()
        gradient = gradient / scale / n - self.ridge / n * weight
        hessian = hessian / scale / scale.unsqueeze(1) / n
        hessian = hessian + torch.eye(len(weight)).to(hessian) * self.ridge / n
        value = value / n - self.ridge / (2 * n) * weight.square().sum()
        return float(value), gradient, hessian
