"""Metrics of the user's own: registered with RecBole, and tested over queries."""

import numpy as np
from recbole.evaluator import register as known
from recbole.evaluator.base_metric import AbstractMetric, TopkMetric

from recbole_whisperlite import own_code
from recbole_whisperlite.errors import UserError


class QueryMetric(TopkMetric):
    """A metric that is the mean of one figure a query.

    A subclass defines :meth:`of_queries`; a benchmark then has intervals and tests for it,
    as for RecBole's own. ``smaller = True`` says that less is better.
    """

    @staticmethod
    def of_queries(hits: np.ndarray, positives: np.ndarray) -> np.ndarray:
        """Return the metric of each query at every k.

        Args:
            hits (numpy.ndarray): Whether the item at each place of the list, best first, is
                a positive, bool ``[n_queries, K]``.
            positives (numpy.ndarray): The number of positives, int64 ``[n_queries]``.

        Returns:
            numpy.ndarray: float64 ``[n_queries, K]``; column ``k - 1`` is the metric at k,
            from the first k places alone.
        """
        raise NotImplementedError

    def calculate_metric(self, dataobject):
        values = self.of_queries(*self.used_info(dataobject))
        return self.topk_result(type(self).__name__.lower(), values)


def register_metric(metric_class: type) -> type:
    """Let RecBole find a metric of the user's own by its class name.

    Args:
        metric_class (type): A subclass of RecBole's metrics, such as :class:`QueryMetric`,
            with the attributes ``metric_type``, ``metric_need`` and ``smaller``. The names
            of its figures begin with the name of the class in small letters.

    Returns:
        type: The class itself.

    Raises:
        UserError: If it is no metric, or there is another of that name.
    """
    if not (
        isinstance(metric_class, type) and issubclass(metric_class, AbstractMetric)
    ):
        raise UserError(
            f"{metric_class!r} is not a metric: it must be a class derived from "
            "recbole_whisperlite.evaluation.metric.QueryMetric or from RecBole's "
            "AbstractMetric."
        )
    missing = [
        n for n in ("metric_type", "metric_need") if not hasattr(metric_class, n)
    ]
    if missing:
        raise UserError(
            f"The metric {metric_class.__name__} has no {' and no '.join(missing)}, which "
            "RecBole needs. Derive it from QueryMetric, or set them as RecBole's metrics do."
        )
    name = metric_class.__name__.lower()
    other = known.metrics_dict.get(name)
    if other is not None and _path(other) != _path(metric_class):
        raise UserError(
            f"There is already a metric '{other.__name__}' in {other.__module__}. Give your "
            "class another name."
        )
    known.metrics_dict[name] = metric_class
    known.metric_information[name] = metric_class.metric_need
    known.metric_types[name] = metric_class.metric_type
    while name in known.smaller_metrics:
        known.smaller_metrics.remove(name)
    if metric_class.smaller:
        known.smaller_metrics.append(name)
    return metric_class


def _path(metric_class):
    return metric_class.__module__, metric_class.__qualname__


def metric_names(metrics) -> list[str]:
    """Return the names of metrics, with those of the user's own registered.

    Args:
        metrics (str or list of str): Names, or ``module:Class``.

    Raises:
        UserError: If a class of the user's own cannot be imported or is no metric.
    """
    listed = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    return [
        (
            register_metric(own_code.load(name, "metric")).__name__
            if own_code.is_named(name)
            else name
        )
        for name in listed
    ]


def query_metric(name: str) -> type | None:
    """Return the :class:`QueryMetric` of a name in small letters; None if it is none."""
    found = known.metrics_dict.get(name)
    return found if found is not None and issubclass(found, QueryMetric) else None
