"""``Violation@k``: how often a top-k list contains items that the request ruled out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from recbole.evaluator.base_metric import AbstractMetric
from recbole.evaluator.collector import Collector
from recbole.utils import EvaluatorType

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.interaction import Interaction
    from recbole.evaluator.collector import DataStruct

NEED = "rec.violation"


class Violation(AbstractMetric):
    """How often top-k lists contain ruled-out items; smaller is better.

    ``violation@k`` is the share of lists with at least one ruled-out item,
    ``violation_share@k`` the mean share of ruled-out items in a list. Only queries
    whose request rules out at least one item of the catalogue count; if there are none,
    both are 0.
    """

    metric_type = EvaluatorType.RANKING
    metric_need = [NEED]
    smaller = True

    def __init__(self, config: Config):
        super().__init__(config)
        self.topk = config["topk"]

    def calculate_metric(self, dataobject: DataStruct) -> dict[str, float]:
        rec = dataobject.get(NEED).numpy()
        violates, rules_out = rec[:, :-1], rec[:, -1]
        violates = violates[rules_out] if rules_out.any() else np.zeros_like(violates)
        return {
            f"{name}@{k}": round(float(of_list(violates[:, :k])), self.decimal_place)
            for name, of_list in (
                ("violation", lambda lists: lists.any(axis=1).mean()),
                ("violation_share", np.mean),
            )
            for k in self.topk
        }


class RequestCollector(Collector):
    """RecBole's collector, which also records ruled-out items in the top-k lists.

    It reads ``ruled_out_items`` from the interaction of request-aware evaluation
    dataloaders: item ids padded with 0, int64 ``[n_queries, longest]``.

    Attributes:
        ranks (QueryRanks or None): Collects the content of ``unit_file``; None if it is
            not wanted.
    """

    ranks = None

    def eval_batch_collect(
        self,
        scores_tensor: torch.Tensor,
        interaction: Interaction,
        positive_u: torch.Tensor,
        positive_i: torch.Tensor,
    ) -> None:
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        if self.ranks is not None:
            self.ranks.collect(scores_tensor, positive_u, positive_i, max(self.topk))
        if not self.register.need(NEED):
            return
        if "ruled_out_items" not in interaction:
            raise UserError(
                "The metric Violation needs a dataset whose requests rule items out (a "
                "column 'ruled_out:token_seq' in its .request file). Remove Violation "
                "from metrics."
            )
        scores, top = torch.topk(scores_tensor, max(self.topk), dim=-1)
        ruled_out = torch.zeros_like(scores_tensor, dtype=torch.bool)
        items = interaction["ruled_out_items"].to(scores_tensor.device)
        if len(items) != len(scores_tensor):
            # sampled evaluation has one row per candidate, ordered by query
            items = items[_first_rows(interaction, self.config)]
        ruled_out.scatter_(1, items, True)
        ruled_out[:, 0] = False
        # items that are not candidates have the score -inf and are not recommended
        violates = ruled_out.gather(1, top) & (scores > -torch.inf)
        self.data_struct.update_tensor(
            NEED, torch.cat([violates, ruled_out.any(1, keepdim=True)], dim=1)
        )

    def get_data_struct(self) -> DataStruct:
        """Return what was collected, and start anew for the next evaluation."""
        struct = super().get_data_struct()
        if NEED in self.data_struct:
            del self.data_struct[NEED]
        return struct


def _first_rows(interaction, config):
    """Return the first row of each block of rows with the same (user, request)."""
    keys = np.stack(
        [
            interaction[config[field]].cpu().numpy()
            for field in ("USER_ID_FIELD", "REQUEST_ID_FIELD")
        ]
    )
    return np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
