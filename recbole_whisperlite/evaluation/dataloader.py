"""Evaluation by (user, request) for every model family.

RecBole ranks once per user for some families and once per interaction for others, and
masks the history only for the former. These dataloaders give all of them the same
queries, positives and candidates; scores and metrics stay RecBole's.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.sampler.sampler import AbstractSampler
from recbole.utils import FeatureSource, FeatureType, ModelType, set_color

from recbole_whisperlite.data.history import KNOWN_FIELDS
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.processes import each_once
from recbole_whisperlite.evaluation.queries import Queries, make_queries
from recbole_whisperlite.renamed import property_of
from recbole_whisperlite.evaluation.ruled_out import ruled_out_items
from recbole_whisperlite.evaluation.ties import TieOrder

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_whisperlite.data.dataset import RequestDatasetMixin

# The most scores in one batch of full ranking: 16 MB as float32.
MAX_SCORES = 2**22
# Of a large catalogue, whose vectors every batch reads: so many queries, and 128 MB.
LEAST_QUERIES, MOST_SCORES = 32, 2**25

# After so many rounds of drawing, what is missing is drawn from what is left.
_MOST_ROUNDS = 20


class QuerySampler(AbstractSampler):
    """RecBole's negative sampling, by query instead of by user.

    A query's positives and excluded items are never sampled.

    Args:
        dataset (RequestDatasetMixin): A valid or test dataset.
        queries (Queries): Its queries.
        distribution (str): ``uniform`` or ``popularity`` (over the interactions of all
            phases, as RecBole's ``Sampler`` does).
        alpha (float): Exponent of the popularity.
    """

    def __init__(
        self,
        dataset: RequestDatasetMixin,
        queries: Queries,
        distribution: str,
        alpha: float = 1.0,
    ):
        self.dataset, self.queries = dataset, queries
        super().__init__(distribution, alpha)

    def _uni_sampling(self, sample_num):
        return np.random.randint(1, self.dataset.item_num, sample_num)

    def _get_candidates_list(self):
        return list(self.dataset.all_chosen_items)

    def get_used_ids(self) -> np.ndarray:
        """Return the items that are not sampled, a set for each query.

        Raises:
            UserError: If there is a query for which that is the whole catalogue.
        """
        never = self.queries.positives + self.queries.excluded
        full = np.flatnonzero(np.diff(never.indptr) >= self.dataset.item_num - 1)
        if len(full):
            user = self.dataset.id2token(
                self.dataset.uid_field, self.queries.user[full[0]]
            )
            raise UserError(
                f"User '{user}' has interacted with all {self.dataset.item_num - 1} "
                "items, so no negatives can be sampled for the evaluation. Set mode: "
                "full in eval_args."
            )
        return np.array([set(row.indices) for row in never], dtype=object)

    def distinct(self, number: np.ndarray) -> list[np.ndarray]:
        """Draw different items for each query; RecBole may draw one several times, so that
        100 of 128 items would be about 68.

        Args:
            number (numpy.ndarray): How many, for each query, int ``[n_queries]``; where
                fewer can be drawn, all of them are.

        Returns:
            list of numpy.ndarray: The items of each query, int64.
        """
        weight, found = self._weights(), []
        n_drawable = np.count_nonzero(weight)
        for used, n in zip(self.used_ids, number):
            allowed = n_drawable - sum(weight[item] > 0 for item in used)
            n, drawn = min(n, allowed), {}
            for _ in range(_MOST_ROUNDS):
                if len(drawn) >= n:
                    break
                of_round = self.sampling(2 * int(n - len(drawn)))
                drawn.update(
                    dict.fromkeys(i for i in of_round.tolist() if i not in used)
                )
            missing = n - len(drawn)
            if missing > 0:  # nearly all are drawn, or some hardly ever
                rest = weight.copy()
                rest[[*used, *drawn]] = 0
                more = np.random.choice(
                    len(rest), missing, replace=False, p=rest / rest.sum()
                )
                drawn.update(dict.fromkeys(more.tolist()))
            found.append(np.array(list(drawn)[:n], dtype=np.int64))
        return found

    def _weights(self):
        """How likely each item is drawn, up to a factor; 0 for padding."""
        if self.distribution == "popularity":
            items = self._get_candidates_list()
            count = np.bincount(items, minlength=self.dataset.item_num).astype(float)
            count[0] = 0
            return count**self.alpha
        weight = np.ones(self.dataset.item_num)
        weight[0] = 0
        return weight


class RequestEvalMixin:
    """What both evaluation modes share: queries, their inputs, their fingerprint.

    Attributes:
        queries (Queries): The test set.
        fingerprint (str): Its fingerprint.
    """

    units = property_of("queries")

    def _set_queries(self, config, dataset):
        self.logger = getLogger()
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.queries = make_queries(*dataset.held_out, dataset.seen, dataset.known)
        self.sample_size = len(self.queries)
        self.query_feat = self._make_query_feat(config, dataset)
        self.ties = TieOrder.of_tokens(
            config["seed"],
            dataset.id2token(dataset.uid_field, self.queries.user),
            dataset.id2token(dataset.request_field, self.queries.request),
            dataset.field2id_token[dataset.iid_field],
        )
        self.ruled_out = None
        if "violation" in (metric.lower() for metric in config["metrics"]):
            self.ruled_out = ruled_out_items(dataset)[self.queries.request]

    def _load_in_order(self, config, dataset, sampler):
        AbstractDataLoader.__init__(self, config, dataset, sampler, shuffle=False)
        if not config["single_spec"]:
            each_once(self.sampler)
        self._state_test_set(dataset)

    def _make_query_feat(self, config, dataset):
        """Return the inputs of each query, which say nothing about the chosen item."""
        feat = dataset.inter_feat[self.queries.row]
        known = {
            dataset.uid_field,
            dataset.request_field,
            dataset.request_text_field,
            dataset.time_field,
            *dataset.history_fields,
        }
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            known.update(
                field for field in feat if field.endswith(config["LIST_SUFFIX"])
            )
            known.add(dataset.item_list_length_field)
        query_feat = dataset.join(
            Interaction({field: feat[field] for field in feat if field in known})
        )
        # for every model alike; ItemKNN and others fold in what they say
        query_feat.update(
            Interaction(dict(zip(KNOWN_FIELDS, map(_long, self.queries.known))))
        )
        return query_feat

    def update_config(self, config: Config) -> None:
        """Take over another config, for a dataloader that was saved; queries and sampled
        candidates stay."""
        self.config = config
        self._init_batch_size_and_step()
        self._state_test_set(self._dataset)

    def _state_test_set(self, dataset):
        self.fingerprint = self.queries.fingerprint(
            dataset.field2id_token[dataset.uid_field],
            dataset.field2id_token[dataset.request_field],
            dataset.field2id_token[dataset.iid_field],
            dataset.all_chosen_items,
            self.config["topk"],
            vars(self).get("candidates"),
            dataset.new_items,
        )
        self.logger.info(
            set_color(f"[{dataset.phase}]: ", "pink")
            + f"{len(self.queries)} queries (user, request), "
            + f"{self.queries.positives.nnz} positives, fingerprint {self.fingerprint}"
        )

    def _query_interaction(self, index):
        interaction = self.transform(self._dataset, self.query_feat[index])
        if self.ruled_out is not None:
            interaction["ruled_out_items"] = _padded(self.ruled_out[index])
        return interaction

    def _with_ties(self, interaction, index):
        """Give the interaction, which RecBole hands to the collector, what decides ties.

        An attribute, because there is one number for each query and each item, not one for
        each row; no model sees it.
        """
        interaction.ties = self.ties[index]
        return interaction


class RequestFullSortEvalDataLoader(RequestEvalMixin, FullSortEvalDataLoader):
    """Full ranking of the catalogue, once per query.

    Yields what ``FullSortEvalDataLoader`` yields, with queries instead of users:
    interaction, (rows, columns) of excluded scores, rows and columns of positives.
    """

    def __init__(
        self,
        config: Config,
        dataset: RequestDatasetMixin,
        sampler: AbstractSampler,
        shuffle: bool = False,
    ):
        self._set_queries(config, dataset)
        self._load_in_order(config, dataset, sampler)

    def _init_batch_size_and_step(self):
        item_num = self._dataset.item_num
        limit = min(max(MAX_SCORES, LEAST_QUERIES * item_num), MOST_SCORES)
        if self.config["MODEL_TYPE"] == ModelType.CONTEXT:
            # Context models score one row per (query, item): batches as in RecBole.
            limit = self.config["eval_batch_size"]
        queries = min(self.config["eval_batch_size"], limit // item_num)
        self.step = max(queries, 1)
        self.set_batch_size(self.step * item_num)

    def collate_fn(self, index: list[int]) -> tuple[
        Interaction,
        tuple[torch.Tensor, torch.Tensor],
        torch.Tensor,
        torch.Tensor,
    ]:
        """Return the batch of the queries ``index``; all numbers are int64."""
        index = np.array(index)
        excluded = self.queries.excluded[index].tocoo()
        positive = self.queries.positives[index].tocoo()
        return (
            self._with_ties(self._query_interaction(index), index),
            (_long(excluded.row), _long(excluded.col)),
            _long(positive.row),
            _long(positive.col),
        )


class RequestNegSampleEvalDataLoader(RequestEvalMixin, NegSampleEvalDataLoader):
    """Ranking of each query's positives among sampled negatives (``uniN``, ``popN``).

    As in RecBole, N negatives are drawn for each positive. They are drawn once and
    depend only on ``seed``, so that every model ranks the same candidates.
    """

    def __init__(
        self,
        config: Config,
        dataset: RequestDatasetMixin,
        sampler: AbstractSampler,
        shuffle: bool = False,
    ):
        self._set_queries(config, dataset)
        args = config[f"{dataset.phase}_neg_sample_args"]
        self.label_field = config["LABEL_FIELD"]
        dataset.set_field_property(
            self.label_field, FeatureType.FLOAT, FeatureSource.INTERACTION, 1
        )
        self.candidates = self._draw(config, dataset, args)
        self._load_in_order(config, dataset, sampler)

    def _draw(self, config, dataset, args):
        positives = np.diff(self.queries.positives.indptr)
        number = positives * args["sample_num"]
        state = np.random.get_state()
        np.random.seed(config["seed"])
        try:
            sampler = QuerySampler(dataset, self.queries, args["distribution"])
            return sampler.distinct(number)
        finally:
            np.random.set_state(state)

    def _init_batch_size_and_step(self):
        rows = max((len(drawn) for drawn in self.candidates), default=0) + 1
        self.step = max(self.config["eval_batch_size"] // rows, 1)
        self.set_batch_size(self.step * rows)

    def collate_fn(
        self, index: list[int]
    ) -> tuple[Interaction, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the batch of the queries ``index``: one row per candidate.

        Args:
            index (list of int): Numbers of queries.

        Returns:
            tuple: The interaction, int64 query (as a position in ``index``) of each of
            its rows, query and item of each positive.
        """
        index = np.array(index)
        positive = self.queries.positives[index].tocoo()
        negatives = [self.candidates[query] for query in index]
        row = np.concatenate(
            [
                positive.row,
                np.repeat(np.arange(len(index)), [len(drawn) for drawn in negatives]),
            ]
        )
        item = np.concatenate([positive.col, *negatives])
        label = (np.arange(len(row)) < positive.nnz).astype(np.float32)
        # RecBole expects the candidates of a query together, positives first
        order = np.argsort(row, kind="stable")
        row, item, label = row[order], item[order], label[order]
        interaction = self._query_interaction(index)[row]
        interaction.update(
            Interaction({self.iid_field: _long(item), self.label_field: _float(label)})
        )
        return (
            self._with_ties(self._dataset.join(interaction), index),
            _long(row),
            _long(positive.row),
            _long(positive.col),
        )


def _long(values):
    return torch.from_numpy(np.asarray(values, dtype=np.int64))


def _float(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _padded(matrix):
    """Return the columns of each row, padded with 0, int64 ``[n_rows, longest]``."""
    length = np.diff(matrix.indptr)
    padded = np.zeros((matrix.shape[0], max(length.max(initial=0), 1)), dtype=np.int64)
    padded[np.arange(padded.shape[1]) < length[:, None]] = matrix.indices
    return _long(padded)


def evaluation_dataloader(dataloader_class: type) -> Callable[..., AbstractDataLoader]:
    """Rank queries if the dataset has requests; otherwise evaluate as RecBole does.

    Args:
        dataloader_class (type): What ``recbole.data.utils.get_dataloader`` returned.

    Returns:
        callable: To be called like a dataloader class, with config, dataset, sampler.
    """
    by_query = {
        FullSortEvalDataLoader: RequestFullSortEvalDataLoader,
        NegSampleEvalDataLoader: RequestNegSampleEvalDataLoader,
    }

    def make(config, dataset, sampler, *args, **kwargs):
        if hasattr(dataset, "held_out") and sampler is not None:
            chosen = by_query.get(dataloader_class, dataloader_class)
            return chosen(config, dataset, sampler, *args, **kwargs)
        return dataloader_class(config, dataset, sampler, *args, **kwargs)

    return make
