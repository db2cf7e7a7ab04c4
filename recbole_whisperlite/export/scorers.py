"""From a trained model of RecBole's kind to the scorer that is exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_matrix

from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model import terms
from recbole_whisperlite.model.similar_requests import SIMILAR_COUNT
from recbole_whisperlite.model.whisperliteplus import (
    ATTENTION_SCALE,
    BY_FREQUENCY,
    MOST_BY_WORDS,
    OF_REQUEST,
    OF_WORDS,
    WORDS_FACTOR,
)
from recbole_whisperlite.recommend.count_scorers import (
    PopularityScorer,
    SimilarItemsScorer,
    WordScorer,
)
from recbole_whisperlite.recommend.counts import RequestCounts
from recbole_whisperlite.recommend.embed import Frozen, Sequences, Tower, Towers
from recbole_whisperlite.recommend.fusion_scorer import FusionScorer
from recbole_whisperlite.recommend.plus_scorer import PlusScorer
from recbole_whisperlite.recommend.plus_terms import (
    ItemVectors,
    Memory,
    Nearest,
    Similarity,
)
from recbole_whisperlite.recommend.refused_words import RefusedWords
from recbole_whisperlite.recommend.similar_requests import SimilarRequests
from recbole_whisperlite.recommend.scorer import NewItems, Scorer
from recbole_whisperlite.recommend.text_scorer import TextScorer

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.model.abstract_recommender import AbstractRecommender

    from recbole_whisperlite.data.dataset import RequestDatasetMixin

# RecBole's id 0 is padding, which an exported model does not have: its rows are ids - 1.


@torch.no_grad()
def scorer_of(
    model: AbstractRecommender,
    dataset: RequestDatasetMixin,
    encoder: FittedEncoder,
    config: Config,
) -> Scorer:
    """Return the scorer of a trained model.

    Args:
        model (AbstractRecommender): In evaluation mode.
        dataset (RequestDatasetMixin): Of its training, with all texts.
        encoder (FittedEncoder): That of the training.
        config (Config): Of the model.

    Raises:
        UserError: If the model cannot answer a request that it has never seen.
    """
    kind = type(model).__name__
    own = not type(model).__module__.startswith(("recbole.", "recbole_whisperlite."))
    if kind not in _MAKERS or own:
        raise UserError(
            f"{kind} cannot be exported. Models that can are {', '.join(EXPORTED)}; parts "
            f"of LateFusion may also be {', '.join(sorted({*_MAKERS} - {*EXPORTED}))}."
        )
    return _MAKERS[kind](model, dataset, encoder, config)


def _array(tensor):
    return tensor.detach().cpu().numpy()


def _tower(tower):
    layers = [each for each in tower.modules() if isinstance(each, torch.nn.Linear)]
    layers = [(_array(each.weight), _array(each.bias)) for each in layers]
    return Tower(layers, tower.normalize)


def _precomputed(dataset, encoder):
    """Return the vectors of requests by text, if the encoder cannot make them."""
    if "precomputed" not in encoder.names:
        return {}
    return dict(zip(dataset.request_texts[1:], dataset.request_vectors()[1:]))


def _whisperlite(model, dataset, encoder, config):
    pictures = dataset.item_image_vectors()[0][1:] if model.use_image else None
    embedder = Towers(
        encoder,
        _tower(model.requests.tower),
        _tower(model.items.tower),
        model.use_text,
        model.use_image,
        _precomputed(dataset, encoder),
    )
    scale = float(model.logit_scale.exp())
    embeddings = _array(model.items.embed_all())[1:]
    return TextScorer("WhisperLite", embedder, scale, embeddings, pictures)


def _whisperliteplus(model, dataset, encoder, config):
    # those that are used in evaluation
    weights, *other_weights = _weights(model)
    known = _array(model.popularity.in_catalogue)[1:]
    of_terms = {}
    if "memory" in weights:
        of_terms["memory"] = Memory(
            _request_counts(_csr(model.memory.count), dataset),
            _array(model.popularity.count)[1:],
            terms.PRIOR_COUNT,
            terms.UNSEEN,
            float(model.popularity.new_log_factor),
        )
    if "similar_requests" in weights:
        of_terms["similar_requests"] = _similar_requests(
            model, of_terms["memory"].counts, dataset, config
        )
    if "refusals" in weights:
        weights["refusals"] *= model.refusal_strength
    if model.use_refused_words:
        of_words = [weights.pop(name) for name in OF_WORDS]
        of_terms["refused_words"] = _refused_words(model.refused_words, of_words)
        weights["refused_words"] = model.refusal_strength
    if "neighbors" in weights:
        of_terms["neighbors"] = _of_items(model.neighbors.scaled_cosine)
    if "transitions" in weights:
        of_terms["transitions"] = _of_items(model.transitions.scaled_count)
    if "history" in weights or "similarity" in weights:
        part = model.like_history
        of_terms["vectors"] = ItemVectors(
            _array(part.vectors)[1:],
            _array(part.whitening.mean),
            _array(part.whitening.projection),
        )
    if "nearest" in weights:
        table, n_nearest = _of_items(model.nearest.cosine), config["neighbor_num"]
        of_terms["nearest"] = Nearest.of_table(table, known, n_nearest)
    if "similarity" in weights:
        of_terms["similarity"] = _similarity(model)
    splits_requests = bool(config["use_refusals"] and dataset.splits_refusals)
    return PlusScorer(
        _whisperlite(model, dataset, encoder, config),
        known,
        weights,
        *other_weights,
        _array(model.popularity.frequency)[1:],
        splits_requests=splits_requests,
        # the language and the names are looked at only for what is split
        negated_names=dataset.negated_names if splits_requests else frozenset(),
        history_length=model.max_seq_length,
        attention_scale=ATTENTION_SCALE,
        **of_terms,
    )


def _weights(model):
    """Return the weights of the terms for an item that nobody chose, those that differ for
    the item that was chosen most often, and those that differ without a history."""
    fitted = model.fitted_weight.isfinite().all()
    rows = model.fitted_weight if fitted else [[*model.weights.values()]] * 3
    seldom, frequent, without = (
        {name: float(weight) for name, weight in zip(model.term_names, row)}
        for row in rows
    )
    return (
        seldom,
        {name: frequent[name] for name in BY_FREQUENCY if name in frequent},
        {name: without[name] for name in OF_REQUEST if name in without},
    )


def _similar_requests(model, counts, dataset, config):
    part = model.similar_requests.whitening
    row_of = {text: row for row, text in enumerate(dataset.request_texts)}
    vectors = model.requests.vectors[[row_of[text] for text in counts.texts]]
    return SimilarRequests(
        counts,
        _array(part(vectors)),
        _array(part.mean),
        _array(part.projection),
        config["neighbor_num"],
        SIMILAR_COUNT,
    )


def _refused_words(part, weights):
    table = sum(weight * table for weight, table in zip(weights, part.tables))
    table = csr_matrix(WORDS_FACTOR * table, dtype=np.float32)
    bags = _csr(part.bags)[1:]
    words = part.refused_words, part.item_words
    return RefusedWords(*words, table, bags, MOST_BY_WORDS)


def _similarity(model):
    part = model.similarity
    item = torch.arange(1, model.n_items, device=part.position.device)
    is_new = model.popularity.is_new
    key, bias = part.keys(item, is_new[item])
    return Similarity(
        _array(torch.cat([key, bias.unsqueeze(1)], dim=1)),
        _array(part.queries(item, is_new[item])),
        _array(part.key.weight),
        _array(part.query.weight),
        _array(part.position),
    )


def _whisper(model, dataset, encoder, config):
    weights = {
        f"{side}.{name}": _array(weight)
        for side in ("request", "item")
        for name, weight in getattr(model, f"{side}_tower").lstm.state_dict().items()
    }
    embeddings = _array(model.item_tower.embed_all())[1:]
    return TextScorer("Whisper", Sequences(encoder, weights), 1.0, embeddings)


def _zeroshot(model, dataset, encoder, config):
    embedder = Frozen(encoder, _precomputed(dataset, encoder))
    return TextScorer("ZeroShot", embedder, 1.0, _array(model.item_vectors)[1:])


def _requestpop(model, dataset, encoder, config):
    counts = _request_counts(model.request_cnt, dataset)
    return PopularityScorer(
        "RequestPop", _array(model.item_cnt)[1:].astype(np.float32), counts
    )


def _pop(model, dataset, encoder, config):
    popularity = _array(model.item_cnt)[1:, 0].astype(np.float32)
    none = csr_matrix((0, len(popularity)), dtype=np.float32)
    return PopularityScorer("Pop", popularity, RequestCounts([], none))


def _bm25(model, dataset, encoder, config):
    statistics = model.statistics
    return WordScorer(
        *model.word_scores(),
        statistics["n_items"],
        statistics["mean_length"],
        model.k1,
        model.b,
    )


def _similar_items(model, dataset, encoder, config):
    if getattr(model, "method", "item") != "item":
        raise UserError(
            f"{type(model).__name__} with knn_method: user compares users and cannot be "
            "exported. Set knn_method to item."
        )
    similarity = model.w if hasattr(model, "w") else model.item_similarity
    similarity = csr_matrix(similarity)[1:, 1:].tocsr().astype(np.float32)
    return SimilarItemsScorer(type(model).__name__, similarity)


def _latefusion(model, dataset, encoder, config):
    parts = {}
    for name, part in model.parts.items():
        scorer = scorer_of(part, dataset, encoder, model.part_config[name])
        if model.item_then is not None and part in model.parts_of_ids:
            # it has the items of the training; the row of a new one is empty
            then = _array(model.item_then)[1:] - 1
            empty = scorer.n_items
            scorer = scorer.with_items(NewItems([""], None))
            scorer = scorer.keep_items(np.where(then < 0, empty, then))
        parts[name] = scorer
    weights = dict(zip(model.parts, model.weight.tolist()))
    known = np.ones(model.n_items - 1, dtype=bool)
    if model.known_items is not None:
        known[:] = False
        known[_array(model.known_items) - 1] = True
    return FusionScorer(parts, weights, known)


def _csr(rows):
    shape = len(rows.begin) - 1, rows.n_items
    arrays = _array(rows.value), _array(rows.item), _array(rows.begin)
    return csr_matrix(arrays, shape=shape)


def _of_items(rows):
    """Return a matrix of items and items without padding."""
    return _csr(rows)[1:, 1:].tocsr()


def _request_counts(matrix, dataset):
    """Return the counts without padding and without texts that have none."""
    matrix = matrix.tocsr()[:, 1:].astype(np.float32)
    rows = np.flatnonzero(np.diff(matrix.indptr))
    texts = dataset.request_texts
    return RequestCounts([texts[row] for row in rows], matrix[rows].tocsr())


_MAKERS: dict[str, Callable] = {
    "WhisperLite": _whisperlite,
    "WhisperLitePlus": _whisperliteplus,
    "Whisper": _whisper,
    "ZeroShot": _zeroshot,
    "BM25": _bm25,
    "RequestPop": _requestpop,
    "LateFusion": _latefusion,
    "Pop": _pop,
    **dict.fromkeys(("ItemKNN", "EASE", "SLIMElastic"), _similar_items),
}
#: The models that can be exported by themselves.
EXPORTED = tuple(list(_MAKERS)[:7])
