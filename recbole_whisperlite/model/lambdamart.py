r"""
LambdaMART
################################################
Reference:
    Burges, "From RankNet to LambdaRank to LambdaMART: An Overview." 2010.

Reference code:
    https://github.com/microsoft/LightGBM
"""

from logging import getLogger

import numpy as np
import torch

from recbole.data.interaction import Interaction
from recbole.utils import set_color

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.features import NAMES
from recbole_whisperlite.model.linearfusion import LinearFusion


class LambdaMART(LinearFusion):
    r"""LambdaMART re-ranks the best items of LinearFusion by boosted trees, as shops do.

    Boosting starts from LinearFusion's log probability of an item, which the trees see beside
    its features. They are grown on validation queries, each with its positives, its best
    items and a random sample of the others; a fifth of these queries is kept to choose the
    number of trees. Items that are not among the ``n_reranked`` best keep LinearFusion's
    order behind the others.

    Without validation data there are no trees, and the model is LinearFusion.

    Raises:
        UserError: If LightGBM is not installed; or as LinearFusion.
    """

    def __init__(self, config, dataset):
        super(LambdaMART, self).__init__(config, dataset)

        # load parameters info
        self.n_reranked = config["n_reranked"]
        self.n_sampled = config["n_sampled"]
        self.tree_queries = config["tree_queries"]
        self.n_trees = config["n_trees"]
        self.patience = config["patience"]
        self.params = {
            "objective": "lambdarank",
            "metric": "ndcg",
            "eval_at": [10],
            "learning_rate": config["tree_learning_rate"],
            "num_leaves": config["num_leaves"],
            "min_data_in_leaf": config["min_data_in_leaf"],
            "lambda_l2": config["lambda_l2"],
            "num_threads": config["num_threads"],
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        _lightgbm()  # before anything is counted

        # the trees, as LightGBM writes them; not a tensor, so not in the state dict
        self.trees, self.booster = "", None
        self.other_parameter_name = ["trees"]

    def load_other_parameter(self, para: dict | None) -> None:
        self.trees = (para or {}).get("trees", "")
        self.booster = None
        if self.trees:
            self.booster = _lightgbm().Booster(model_str=self.trees)

    @torch.no_grad()
    def fit_weights(self, queries, query_feat: Interaction) -> None:
        super(LambdaMART, self).fit_weights(queries, query_feat)
        drawn = self._draw(queries, self.tree_queries)
        generator = np.random.default_rng(self.seed)
        # shuffled, as LinearFusion's weights were fitted on the first of them
        drawn = generator.permutation(drawn)
        n_kept = max(len(drawn) // 5, 1)
        if len(drawn) <= n_kept:
            getLogger().warning("LambdaMART: one validation query grows no trees.")
            return
        kept, grown = (
            self._examples(queries, query_feat, rows, generator)
            for rows in (drawn[:n_kept], drawn[n_kept:])
        )
        lightgbm = _lightgbm()
        early = lightgbm.early_stopping(self.patience, verbose=False)
        booster = lightgbm.train(
            self.params, grown, self.n_trees, valid_sets=[kept], callbacks=[early]
        )
        self.load_other_parameter(
            {"trees": booster.model_to_string(num_iteration=booster.best_iteration)}
        )
        told = f"LambdaMART: {booster.best_iteration} trees"
        getLogger().info(set_color(told, "pink"))

    def _examples(self, queries, query_feat, rows, generator):
        r"""LightGBM's Dataset of queries: features, positives and sizes of the lists."""
        described, labels, sizes = [], [], []
        for part in self._batches(rows):
            features = self._with_score(self._describe(query_feat, part)).cpu().numpy()
            positive = queries.positives[part].toarray()
            excluded = queries.excluded[part].toarray()
            excluded[:, 0] = True  # padding
            score = np.where(excluded, -np.inf, features[:, :, -1])
            best = _largest(score, self.n_reranked)
            for row in range(len(part)):
                listed = positive[row].copy()
                listed[best[row]] = True
                others = np.flatnonzero(~(listed | excluded[row]))
                n = min(self.n_sampled, len(others))
                listed[generator.choice(others, n, replace=False)] = True
                listed &= ~excluded[row]
                described.append(features[row, listed])
                labels.append(positive[row, listed])
                sizes.append(listed.sum())
        described = np.concatenate(described)
        return _lightgbm().Dataset(
            described,
            np.concatenate(labels).astype(np.int8),
            group=np.array(sizes),
            init_score=described[:, -1].astype(np.float64),
            feature_name=[*map(_identifier, NAMES), "linear"],
            params={"verbosity": -1},
        )

    def _with_score(self, features):
        r"""Append LinearFusion's log probability, shape: [n, n_items, n_features + 1]."""
        score = features @ self.weight
        return torch.cat([features, _log_share(score).unsqueeze(2)], dim=2)

    def score_catalogue(self, interaction: Interaction) -> torch.FloatTensor:
        if self.booster is None:
            return super(LambdaMART, self).score_catalogue(interaction)
        request, history = interaction[self.REQUEST], self._history(interaction)
        scores = [
            self._rerank(self.features(request[rows], history[rows]))
            for rows in self._batches(torch.arange(len(request), device=request.device))
        ]
        return torch.cat(scores)

    def _rerank(self, features):
        features = self._with_score(features).cpu().numpy()
        score = features[:, :, -1]
        best = _largest(score[:, 1:], self.n_reranked) + 1  # without padding
        listed = np.take_along_axis(features, best[:, :, None], axis=1)
        listed = listed.reshape(-1, listed.shape[2])
        threads = {"num_threads": self.params["num_threads"]}
        found = self.booster.predict(listed, **threads) + listed[:, -1]
        found = found.reshape(best.shape)
        # log probabilities are at most 0: what is re-ranked has the larger scores
        found += 1 - found.min(axis=1, keepdims=True)
        result = score.copy()
        np.put_along_axis(result, best, found.astype(np.float32), axis=1)
        return torch.from_numpy(result).to(self.device)


def _lightgbm():
    try:
        import lightgbm
    except ImportError as error:
        raise UserError(
            f"LambdaMART needs LightGBM, which cannot be imported: {error}. Run pip "
            "install recbole-whisperlite[lightgbm]."
        ) from None
    return lightgbm


def _log_share(score):
    r"""Log of the softmax over the items, without padding; that of padding is meaningless."""
    return (score - torch.logsumexp(score[:, 1:], dim=1, keepdim=True)).clamp_(max=0)


def _largest(score, k):
    r"""The columns of the ``k`` largest values of each row, in no order, [n, k]."""
    k = min(k, score.shape[1])
    return np.argpartition(-score, k - 1, axis=1)[:, :k]


def _identifier(name):
    return name.replace(" ", "_")
