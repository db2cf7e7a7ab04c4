"""Evaluation query by query: several positives, each query asked once.

RecBole3.0's metrics take any number of positives a case, but its evaluation method gives
them one: the item of the row. So a query with three positives is three cases there, in each
of which the two others count as wrong answers.
"""

import dataclasses

import torch.nn.functional as F
from recbole3.evaluation.methods.full import FullEvaluationMethod
from recbole3.model import ModelSpec
from recbole3.pipeline import Pipeline
from recbole3.trainer import Trainer

from recbole_whisperlite.recbole3.dataset import POSITIVE_ITEM_IDS


class RequestEvaluationMethod(FullEvaluationMethod):
    """Full ranking in which a case has all positives of its query.

    The further rows of a query have none, and metrics leave out cases without positives.

    Args:
        width (int): The largest number of positives of a query.
        metric_specs (tuple of MetricSpec), exclude_history (bool): As in RecBole3.0.
    """

    def __init__(self, *, width, metric_specs, exclude_history):
        super().__init__(metric_specs=metric_specs, exclude_history=exclude_history)
        self._width = width

    def _single_target_tensors(self, records, *, device=None):
        items, mask = self._pad_int_lists(records, POSITIVE_ITEM_IDS, device=device)
        padding = (0, self._width - items.shape[1])
        return F.pad(items, padding), F.pad(mask, padding)


class RequestEvaluation:
    """The part of a trainer that evaluates by query (list it before RecBole3.0's class).

    It does so for full ranking of a dataset that has queries; otherwise it leaves the choice
    to RecBole3.0.
    """

    def create_evaluation_method(self, prepared_data=None):
        config = self.config.eval
        if prepared_data is None or config.protocol != "full":
            return super().create_evaluation_method(prepared_data)
        frames = [
            prepared_data.get_eval_dataset(part).frame for part in ("valid", "test")
        ]
        if not all(POSITIVE_ITEM_IDS in frame for frame in frames):
            return super().create_evaluation_method(prepared_data)
        return RequestEvaluationMethod(
            width=max(frame[POSITIVE_ITEM_IDS].map(len).max() for frame in frames),
            metric_specs=config.metrics,
            exclude_history=config.exclude_history,
        )


class RequestTrainer(RequestEvaluation, Trainer):
    """RecBole3.0's trainer, evaluating by query."""


def by_request(spec: ModelSpec) -> ModelSpec | None:
    """Return a model of RecBole3.0's evaluated by query; None if it runs by code of its own.

    Args:
        spec (ModelSpec): Its entry in ``MODEL_TABLE``.
    """
    if spec.trainer_cls is Trainer and spec.pipeline_cls is Pipeline:
        return dataclasses.replace(spec, trainer_cls=RequestTrainer)
    return None
