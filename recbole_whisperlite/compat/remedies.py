"""Errors of RecBole's trainer that do not say what to do, as one sentence that does."""

import functools
import math
from collections.abc import Callable

from recbole.config import Config

from recbole_whisperlite.errors import UserError


def with_remedies(method: Callable) -> Callable:
    """Wrap a method of ``Trainer``, so that known errors of it are UserErrors.

    Args:
        method (callable): A method of a trainer that has a ``config``.

    Returns:
        callable: The method; errors that are not known pass through it.
    """

    @functools.wraps(method)
    def wrapped(self, *args, **kwargs):
        try:
            return method(self, *args, **kwargs)
        except (KeyError, IndexError, RuntimeError) as error:
            remedy = _remedy(error, self.config)
            if remedy is None:
                raise
            raise UserError(remedy) from error

    return wrapped


def with_a_score(validate: Callable) -> Callable:
    """Wrap ``Trainer._valid_epoch``: a score that is no number is no best one, so that no
    checkpoint would be written."""

    @functools.wraps(validate)
    def wrapped(self, *args, **kwargs):
        score, result = validate(self, *args, **kwargs)
        if math.isnan(score):
            raise UserError(
                f"{self.config['valid_metric']}, the valid_metric, is not a number on the "
                f"validation part of '{self.config['dataset']}'. AUC has none where all "
                "labels are equal. Hold out more interactions, or choose another "
                "valid_metric."
            )
        return score, result

    return wrapped


def _remedy(error: Exception, config: Config) -> str | None:
    model, said = config["model"], str(error.args[0] if error.args else "")
    if isinstance(error, KeyError):
        negatives = (
            "train_neg_sample_args to {'distribution': 'uniform', 'sample_num': 1}"
        )
        if said == f"{config['NEG_PREFIX']}{config['ITEM_ID_FIELD']}":
            return (
                f"{model} learns from pairs of a positive and a negative item, but "
                f"train_neg_sample_args is None, so that there are no negatives. Set "
                f"{negatives}."
            )
        if said == config["LABEL_FIELD"]:
            return (
                f"{model} learns from labels, but '{config['dataset']}' has no column "
                f"'{said}' among those that are read, and no negatives are sampled. Name "
                f"it in load_col, make labels of a rating with threshold, or set "
                f"{negatives}."
            )
    if isinstance(error, IndexError) and "without registration" in said:
        return (
            f"{', '.join(config['metrics'])}: some of these metrics count over the "
            "training part, which this trainer has not seen. Call "
            "trainer.eval_collector.data_collect(train_data) before trainer.evaluate."
        )
    if isinstance(error, RuntimeError) and "SparseAdam does not support dense" in said:
        return (
            f"learner is sparse_adam, which is for sparse gradients, and those of {model} "
            "are dense. Set learner to adam."
        )
    return None
