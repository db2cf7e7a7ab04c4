r"""
recbole_whisperlite.model.loss
##############################
Losses of WhisperLite, on tensors only
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole_whisperlite.errors import UserError


class InfoNCELoss(nn.Module):
    r"""InfoNCE over the positives of a batch: each request is matched with its own item.

    A batch has :math:`B` positive (request, item) pairs. Pair :math:`k` with request
    :math:`r_k` and item :math:`i_k` costs

    .. math::
        -\log \frac{e^{s(r_k, i_k) - \log q(i_k)}}
        {e^{s(r_k, i_k) - \log q(i_k)} + \sum_{j \in N_k} e^{s(r_k, i_j) - \log q(i_j)}}

    and the loss is the mean over pairs. :math:`s` are the logits (similarity /
    temperature) and :math:`N_k` are the other pairs of the batch; with
    ``mask_false_negatives`` only those whose item is not :math:`i_k`.

    :math:`q(i)` is the probability that a pair drawn for the batch has item :math:`i`: its
    share of the training interactions. Popular items are negatives more often, so an
    uncorrected loss penalises popularity itself. With the correction the sum estimates the
    softmax over the whole catalogue, and :math:`s` learns :math:`\log p(i|r)`.

    The loss goes only from request to item: the model ranks items for a request, never
    requests for an item.

    References:
        - van den Oord et al. "Representation Learning with Contrastive Predictive Coding."
          2018. (the loss)
        - Bengio & Senécal. "Adaptive Importance Sampling to Accelerate Training of a Neural
          Probabilistic Language Model." IEEE TNN 2008. (the correction)
        - Yi et al. "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
          Recommendations." RecSys 2019, eq. 3. (the correction for in-batch negatives)

    Args:
        - mask_false_negatives(bool): Whether an item that occurs twice in a batch is masked
          as its own negative. Default: True

    Shape:
        - logits: (R, I), a row per distinct request, a column per distinct item. Columns of
          items that are in no pair are ignored.
        - request_index: (B), long, the row of each pair
        - item_index: (B), long, the column of each pair
        - log_q: (I), log q of the columns, finite, or None for no correction
        - whole: (P), long, the columns of all pairs of the batch, if those above are a part
          of them. The outputs of the parts add up to that of the whole. Default: item_index
        - Output: scalar; 0 for a batch of one pair, of one item (masked), or of no pairs.

    Examples::

        >>> loss = InfoNCELoss()
        >>> logits = torch.randn(2, 3, requires_grad=True)
        >>> output = loss(logits, torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
        >>> output.backward()
    """

    def __init__(self, mask_false_negatives=True):
        super(InfoNCELoss, self).__init__()
        self.mask_false_negatives = mask_false_negatives

    def forward(self, logits, request_index, item_index, log_q=None, whole=None):
        whole = item_index if whole is None else whole
        if len(item_index) == 0:
            return logits.sum() * 0.0  # the mean over no pairs would be NaN

        # An item that occurs c times is one column of weight c, and all pairs of a
        # request share its row: R x I logits instead of B x B.
        count = torch.bincount(whole, minlength=logits.shape[1])
        log_q = torch.zeros_like(logits[0]) if log_q is None else log_q
        column = logits + (count.to(log_q.dtype).log() - log_q)
        total = _take(torch.logsumexp(column, dim=1), request_index)
        target = _take(logits.flatten(), request_index * logits.shape[1] + item_index)
        target = target - log_q[item_index]
        if self.mask_false_negatives:
            # Leave out the item's other pairs. Their share of the total is at most
            # others / (others + 1); rounding must not push it above that.
            others = (count[item_index] - 1).to(target.dtype)
            share = torch.minimum(
                others * torch.exp(target - total), others / (others + 1)
            )
            total = total + torch.log1p(-share)
        return (total - target).sum() / len(whole)


class SampledSoftmaxLoss(nn.Module):
    r"""Cross-entropy of a softmax over the catalogue, estimated from a sample of it.

    .. math::
        -\log \frac{e^{s(r_k, i_k)}}{\sum_{j \in C \setminus X_k} e^{s(r_k, j)} / \pi_j}

    :math:`C` are the candidates, :math:`\pi_j` is the probability that item :math:`j` is
    one of them, and :math:`X_k` are items that are not negatives of row :math:`k`. If all
    items are candidates, :math:`\pi = 1` and the loss is exact.

    References:
        Bengio & Senécal. "Adaptive Importance Sampling to Accelerate Training of a Neural
        Probabilistic Language Model." IEEE TNN 2008.

    Shape:
        - logits: (B, C), a row per pair
        - target: (B), long, the column of each pair's item
        - log_inclusion: (C), :math:`\log \pi`, or None for no correction
        - excluded: rows and columns of :math:`X_k`, long, (E) each, without the target, or
          None
        - Output: scalar; 0 for no pairs.
    """

    def forward(self, logits, target, log_inclusion=None, excluded=None):
        if len(target) == 0:
            return logits.sum() * 0.0  # the mean over no pairs would be NaN
        column = logits.clone() if log_inclusion is None else logits - log_inclusion
        if excluded is not None:
            # what has no share of the softmax has no gradient that could be left out
            column.detach().index_put_(excluded, logits.new_tensor(-torch.inf))
        loss = F.cross_entropy(column, target)
        return loss if log_inclusion is None else loss - log_inclusion[target].mean()


def _take(values, index):
    r"""``values[index]`` of a vector, with a gradient that is summed in a fixed order.

    Plain indexing sums its gradient in whatever order the threads run.
    """
    return F.embedding(index, values.unsqueeze(1)).squeeze(1)


class WhisperLiteLoss(nn.Module):
    r"""``bce_weight`` · BCE + ``contrastive_weight`` · contrastive.

    BCE is the binary cross-entropy of the scores of positives and sampled negatives. The
    contrastive term is one of

    - ``infonce``: :class:`InfoNCELoss` over the positives; sampled negatives are ignored.
    - ``cosine``: :math:`1 - \cos` for positives and :math:`\max(0, \cos)` for negatives, the
      form the paper gives for Whisper, WhisperLite's sibling.

    A score is ``scale`` · (request · item). A term of weight 0 is not computed.

    References:
        "Contrastive Learning for Interactive Recommendation in Fashion." SIGIR eCom 2022.

    Args:
        - bce_weight(float): Weight of BCE, >= 0
        - contrastive_weight(float): Weight of the contrastive term, >= 0
        - contrastive(str): 'infonce' or 'cosine'. Default: 'infonce'
        - mask_false_negatives(bool): See :class:`InfoNCELoss`. Default: True

    Shape:
        - request_e: (R, D), embeddings of distinct requests
        - item_e: (I, D), embeddings of distinct items
        - request_index: (N), long, the row of ``request_e`` of each pair
        - item_index: (N), long, the row of ``item_e`` of each pair
        - label: (N), float, 1 for a positive and 0 for a negative pair
        - scale: scalar, 1 / temperature
        - log_q: (I), log q of the items for InfoNCE, or None for no correction
        - whole: ``item_index`` and ``label`` of all pairs of the batch, if those above are a
          part of them. The outputs of the parts add up to that of the whole. Default: those
        - Output: scalar.

    Raises:
        UserError: If a weight is negative or not a number, if both are 0, or if
            ``contrastive`` is unknown.
    """

    def __init__(
        self,
        bce_weight,
        contrastive_weight,
        contrastive="infonce",
        mask_false_negatives=True,
    ):
        super(WhisperLiteLoss, self).__init__()
        weights = {"bce_weight": bce_weight, "contrastive_weight": contrastive_weight}
        for name, weight in weights.items():
            if not (isinstance(weight, (int, float)) and 0 <= weight < float("inf")):
                raise UserError(
                    f"{name} is {weight!r}; it must be a number of at least 0, and 0 "
                    "switches the term off."
                )
        if not any(weights.values()):
            raise UserError(
                "bce_weight and contrastive_weight are both 0: there is no loss to train "
                "on. Set one of them above 0."
            )
        kinds = ("infonce", "cosine")
        if contrastive not in kinds:
            raise UserError(
                f"contrastive is {contrastive!r}; it must be one of {', '.join(kinds)}."
            )
        self.bce_weight = bce_weight
        self.contrastive_weight = contrastive_weight
        self.contrastive = contrastive
        self.infonce = InfoNCELoss(mask_false_negatives)

    @property
    def needs_negatives(self):
        """bool: Whether any term uses the pairs of label 0."""
        return self.bce_weight > 0 or self.compares_by_cosine

    @property
    def compares_by_cosine(self):
        """bool: Whether the contrastive term is the cosine form and has a weight above 0."""
        return self.contrastive_weight > 0 and self.contrastive == "cosine"

    def forward(
        self,
        request_e,
        item_e,
        request_index,
        item_index,
        label,
        scale,
        log_q=None,
        whole=None,
    ):
        whole_index, whole_label = (item_index, label) if whole is None else whole
        terms = []
        if self.needs_negatives:
            pair_request_e = F.embedding(request_index, request_e)
            pair_item_e = F.embedding(item_index, item_e)
        if self.bce_weight > 0:
            score = scale * torch.mul(pair_request_e, pair_item_e).sum(dim=1)
            bce = F.binary_cross_entropy_with_logits(score, label, reduction="sum")
            terms.append(self.bce_weight * bce / len(whole_label))
        if self.compares_by_cosine:
            sign = 2 * label - 1
            cosine = F.cosine_embedding_loss(
                pair_request_e, pair_item_e, sign, reduction="sum"
            )
            terms.append(self.contrastive_weight * cosine / len(whole_label))
        elif self.contrastive_weight > 0:
            positive = label == 1
            # items that are only negatives have no part in it
            whole = whole_index[whole_label == 1]
            item, whole = torch.unique(whole, return_inverse=True)
            item_e = F.embedding(item, item_e)
            logits = torch.matmul(scale * request_e, item_e.transpose(0, 1))
            infonce = self.infonce(
                logits,
                request_index[positive],
                torch.searchsorted(item, item_index[positive]),
                None if log_q is None else log_q[item],
                whole,
            )
            terms.append(self.contrastive_weight * infonce)
        return sum(terms)
