"""``Violation@k``: how often a top-k list contains items that the request ruled out."""

from __future__ import annotations

from logging import getLogger
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from recbole.evaluator.base_metric import AbstractMetric
from recbole.evaluator.collector import Collector
from recbole.evaluator.register import metric_information
from recbole.utils import EvaluatorType

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.processes import gathered
from recbole_whisperlite.evaluation.rank_file import refuse_values

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataloader import AbstractDataLoader
    from recbole.data.interaction import Interaction
    from recbole.evaluator.collector import DataStruct

NEED = "rec.violation"
#: Metrics of the difference between a score and a label.
OF_PREDICTIONS = ("logloss", "mae", "rmse")
#: What RecBole's metrics read of the top-k lists.
LISTS = ("rec.items", "rec.topk")


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
    """RecBole's collector with two changes for request-aware evaluation dataloaders.

    Equal scores are ranked as the ``ties`` of their interactions say (a :class:`TieOrder`),
    not by item id; and ruled-out items in the top-k lists are recorded, which are read from
    ``ruled_out_items``: item ids padded with 0, int64 ``[n_queries, longest]``.

    Attributes:
        by_query (bool): Whether the last batch was of a request-aware dataloader.
        ranks (QueryRanks or None): Collects the content of ``unit_file``; None if it is
            not wanted.
    """

    ranks = None

    def __init__(self, config: Config):
        super().__init__(config)
        self._lists = [key for key in LISTS if self.register.need(key)]
        self.by_query = self._is_told = False

    def data_collect(self, train_data: AbstractDataLoader) -> None:
        """Called before training.

        Raises:
            UserError: If a list is to be longer than the catalogue.
        """
        # by this name, as the dataloader of knowledge-aware models has no other
        dataset = train_data._dataset
        n_items = dataset.item_num - 1
        # padding has a column, too, so that one more does no harm
        if self._lists and max(self.topk) > n_items + 1:
            raise UserError(
                f"topk is {self.topk}, but there are only {n_items} items to rank. Set topk "
                f"to [{max(n_items // 2, 1)}], for example, and valid_metric to one of it."
            )
        super().data_collect(SimpleNamespace(dataset=dataset))

    def eval_batch_collect(
        self,
        scores_tensor: torch.Tensor,
        interaction: Interaction,
        positive_u: torch.Tensor,
        positive_i: torch.Tensor,
    ) -> None:
        """Collect a batch.

        Raises:
            UserError: If a score is NaN or infinite, which no order of items has a place
                for; -inf is what RecBole gives to items that are not ranked.
        """
        if scores_tensor.numel() and not scores_tensor.max() < torch.inf:
            raise UserError(
                f"{self.config['model']} gave scores that are not finite (NaN or inf), "
                "which cannot be ranked. The training has diverged, or a setting is NaN: "
                "try a smaller learning_rate, or clip_grad_norm."
            )
        ties = getattr(interaction, "ties", None)
        self.by_query = ties is not None
        if scores_tensor.dim() == 1:
            self._check_predictions(scores_tensor)
        if ties is None or scores_tensor.dim() != 2:
            # a dataset without requests, or metrics of single scores
            for key in self._lists:
                setattr(self.register, key, True)
            super().eval_batch_collect(
                scores_tensor, interaction, positive_u, positive_i
            )
            if self.ranks is not None:
                refuse_values(scores_tensor)
            if self.register.need(NEED):
                _check_ruled_out(interaction)
            return
        ties = ties.to(scores_tensor.device)
        best = ties.best(scores_tensor, max(self.topk))
        self._check_lists(best[0])
        # RecBole's own would take the lists from torch.topk
        for key in self._lists:
            setattr(self.register, key, False)
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        for key in self._lists:
            of_lists = best[1]
            if key == "rec.topk":
                of_lists = _hits(scores_tensor, best[1], positive_u, positive_i)
            self.data_struct.update_tensor(key, of_lists)
        if self.ranks is not None:
            self.ranks.collect(scores_tensor, best, positive_u, positive_i, ties)
        if self.register.need(NEED):
            _check_ruled_out(interaction)
            self.data_struct.update_tensor(
                NEED, self._violates(scores_tensor, best, interaction)
            )

    def _check_predictions(self, scores):
        """Refuse, or warn of, metrics that compare scores with labels 0 and 1."""
        compared = [
            name for name in self.config["metrics"] if name.lower() in OF_PREDICTIONS
        ]
        low, high = scores.min().item(), scores.max().item()
        if not compared or self._is_told or (low >= 0 and high <= 1):
            return
        told = (
            f"{', '.join(compared)} compare scores with labels, which are 0 and 1, but a "
            f"score of {self.config['model']} is {low if low < 0 else high:.4f}: it is no "
            "probability."
        )
        # without requests, RecBole's models have RecBole's figures
        is_ours = self.config["known_at_test"] is not None
        if is_ours and "logloss" in map(str.lower, compared):
            raise UserError(f"{told} Take AUC, for which the order of scores counts.")
        getLogger().warning(told)
        self._is_told = True

    def _check_lists(self, scores):
        """Refuse metrics of what is listed if a list is longer than its candidates."""
        if not self.register.need("rec.items") or scores.isfinite().all():
            return
        of_lists = [
            name
            for name in self.config["metrics"]
            if "rec.items" in metric_information[name.lower()]
        ]
        most = int(scores.isfinite().sum(dim=1).min())
        raise UserError(
            f"topk is {self.topk}, but a query has {most} candidates only, and "
            f"{', '.join(of_lists)} would count items that are none as recommended. "
            f"Set topk to at most {max(most, 1)}, or leave them out of metrics."
        )

    def _violates(self, scores_tensor, best, interaction):
        scores, top = best
        ruled_out = torch.zeros_like(scores_tensor, dtype=torch.bool)
        items = interaction["ruled_out_items"].to(scores_tensor.device)
        if len(items) != len(scores_tensor):
            # sampled evaluation has one row per candidate, ordered by query
            items = items[_first_rows(interaction, self.config)]
        ruled_out.scatter_(1, items, True)
        ruled_out[:, 0] = False
        # items that are not candidates have the score -inf and are not recommended
        violates = ruled_out.gather(1, top) & (scores > -torch.inf)
        return torch.cat([violates, ruled_out.any(1, keepdim=True)], dim=1)

    def get_data_struct(self) -> DataStruct:
        """Return what was collected, by all processes, and start anew for the next
        evaluation."""
        struct = super().get_data_struct()
        if self.by_query and not self.config["single_spec"]:
            for key in struct._data_dict:
                if key.startswith("rec.") or key == "data.label":
                    struct.set(key, gathered(struct.get(key)))
        if NEED in self.data_struct:
            del self.data_struct[NEED]
        return struct


def _hits(scores, top, positive_u, positive_i):
    """As RecBole's ``rec.topk``: whether each listed item is a positive, and the number of
    positives, int32 ``[n_queries, k + 1]``."""
    positive = torch.zeros_like(scores, dtype=torch.int)
    positive[positive_u, positive_i] = 1
    return torch.cat([positive.gather(1, top), positive.sum(1, keepdim=True)], dim=1)


def _check_ruled_out(interaction):
    if "ruled_out_items" not in interaction:
        raise UserError(
            "The metric Violation needs a dataset whose requests rule items out (a column "
            "'ruled_out:token_seq' in its .request file). Remove Violation from metrics."
        )


def _first_rows(interaction, config):
    """Return the first row of each block of rows with the same (user, request)."""
    keys = np.stack(
        [
            interaction[config[field]].cpu().numpy()
            for field in ("USER_ID_FIELD", "REQUEST_ID_FIELD")
        ]
    )
    return np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
