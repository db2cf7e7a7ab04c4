"""Small exported models, made by hand: a shop of a dozen items and five users."""

import dataclasses
import functools

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix, random

from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.recommend.catalogue import TEXT, Catalogue
from recbole_whisperlite.recommend.count_scorers import (
    PopularityScorer,
    SimilarItemsScorer,
    WordScorer,
)
from recbole_whisperlite.recommend.counts import RequestCounts, words_of
from recbole_whisperlite.recommend.embed import Frozen, Tower, Towers, unit
from recbole_whisperlite.recommend.fusion_scorer import FusionScorer
from recbole_whisperlite.recommend.plus_scorer import PlusScorer
from recbole_whisperlite.recommend.plus_terms import (
    ItemVectors,
    Memory,
    Nearest,
    Similarity,
)
from recbole_whisperlite.recommend.recommender import Recommender
from recbole_whisperlite.recommend.refused_words import RefusedWords
from recbole_whisperlite.recommend.scorer import Asked  # noqa: F401  (for tests)
from recbole_whisperlite.recommend.state import State
from recbole_whisperlite.recommend.text_scorer import TextScorer
from recbole_whisperlite.recommend.users import Users

SETTINGS = {
    "encoder": ["tfidf"],
    "encoder_dim": 8,
    "vector_dtype": "float32",
    "missing_image": "skip",
    "encode_batch_size": 16,
    "long_text": "truncate",
    "clip_model": None,
    "clip_pretrained": None,
}
# id, title, category, price, tags, image
ITEMS = [
    ("i0", "red summer dress", "dress", 20.0, "summer sale", "i0.png"),
    ("i1", "blue summer dress", "dress", 35.0, "summer", "i1.png"),
    ("i2", "black winter coat", "coat", 99.5, "winter", "i2.png"),
    ("i3", "red winter coat", "coat", 120.0, "winter sale", ""),
    ("i4", "black heels", "shoes", 50.0, "", "i4.png"),
    ("i5", "red heels with stripes", "shoes", None, "sale", "i5.png"),
    ("i6", "white sneakers", "shoes", 0.0, "summer", "i6.png"),
    ("i7", "blue jeans", "jeans", 45.0, "", ""),
    ("i8", "black jeans with stripes", "jeans", 45.0, "sale", "i8.png"),
    ("i 9", "white shirt", "", 15.0, "summer winter", "i9.png"),
    ("10", "blue shirt with stripes", "shirt", 18.0, "", "i10.png"),
    ("i11", "red scarf", "scarf", 9.99, "winter", "i11.png"),
]
IDS = [item[0] for item in ITEMS]
TEXTS = [item[1] for item in ITEMS]
TYPES = {
    "item_id": "token",
    "title": "token_seq",
    "category": "token",
    "price": "float",
    "tags": "token_seq",
    "image": "token",
}
REQUESTS = ["red dress", "black coat", "warm winter coat", "jeans, no stripes"]
HISTORIES = {
    "u1": [0, 3, 4],
    "u2": [2, 3],
    "u3": [],
    "u4": [7, 8, 0, 1, 2, 3, 8],
    "7": [5],
}
KINDS = (
    "WhisperLite",
    "WhisperLitePlus",
    "ZeroShot",
    "BM25",
    "RequestPop",
    "LateFusion",
)


@functools.cache
def encoder():
    """tfidf, fitted on the texts above: without SVD, a column a word."""
    return FittedEncoder({**SETTINGS, "encoder_dim": 64}, TEXTS + REQUESTS)


def catalogue(picture_folder=None):
    columns = dict(zip(TYPES, map(list, zip(*ITEMS))))
    types = {"price": pa.float64()}
    table = {
        name: pa.array(values, types.get(name, pa.string()))
        for name, values in columns.items()
    }
    table[TEXT] = pa.array(TEXTS)
    return Catalogue(pa.table(table), "item_id", ["title"], TYPES, picture_folder)


def users():
    begin = np.cumsum([0, *map(len, HISTORIES.values())])
    items = np.array(sum(HISTORIES.values(), []), dtype=np.int32)
    return Users(list(HISTORIES), begin, items)


def tower(rng, dim, size=6, hidden=7):
    shapes = [(hidden, dim), (size, hidden)]
    layers = [(rng.normal(size=s), rng.normal(size=s[0])) for s in shapes]
    return Tower([(w.astype("f4"), b.astype("f4")) for w, b in layers], True)


def text_scorer(rng, pictures=None, kind="WhisperLite"):
    of = encoder()
    dim = of.encode(["a"]).shape[1]
    if kind == "ZeroShot":
        embedder = Frozen(of, {})
        return TextScorer(kind, embedder, 1.0, embedder.items(TEXTS, None))
    n_picture = 0 if pictures is None else pictures.shape[1] + 1
    towers = tower(rng, dim), tower(rng, dim + n_picture)
    embedder = Towers(of, *towers, True, pictures is not None, {})
    return TextScorer(kind, embedder, 7.5, embedder.items(TEXTS, pictures), pictures)


def counts(rng, n_items=len(ITEMS)):
    matrix = rng.poisson(0.4, size=(len(REQUESTS), n_items)).astype("f4")
    return RequestCounts(REQUESTS[:], csr_matrix(matrix))


WEIGHTS = {
    "memory": 1.1,
    "towers": 0.2,
    "zero_shot": 1.5,
    "popularity": -0.15,
    "unchosen": -0.4,
    "seldom": 0.8,
    "refusals": 0.6,
    "refused_words": 0.7,
    "neighbors": 1.3,
    "transitions": 0.7,
    "history": 2.5,
    "nearest": 1.7,
    "similarity": 0.9,
}
WITHOUT_HISTORY = {
    "memory": 0.4,
    "towers": 0.2,
    "zero_shot": 2.4,
    "popularity": 0.9,
    "unchosen": -0.7,
    "seldom": 0.5,
}
OF_FREQUENT = {
    "neighbors": 1.9,
    "transitions": 0.2,
    "history": -0.6,
    "nearest": 0.4,
    "similarity": 1.6,
}


def plus_scorer(rng, pictures=None, **weights):
    text, n = text_scorer(rng, pictures), len(ITEMS)
    of_requests = counts(rng)
    popularity = np.asarray(of_requests.matrix.sum(axis=0)).ravel()
    popularity[:9] += 1  # the others were chosen for a request or never
    inputs = text.embedder.item_inputs(TEXTS, pictures)
    projection = rng.normal(size=(inputs.shape[1], 5))
    vectors = ItemVectors(None, inputs.mean(axis=0), projection)
    vectors = dataclasses.replace(vectors, vectors=vectors.project(inputs))
    known = np.ones(n, dtype=bool)
    weights, without = {**WEIGHTS, **weights}, dict(WITHOUT_HISTORY)
    if pictures is not None:  # with which requests have none in common
        del weights["zero_shot"], without["zero_shot"]
    return PlusScorer(
        text,
        known,
        weights,
        OF_FREQUENT,
        without,
        np.linspace(1, 0, n, dtype=np.float32),
        splits_requests=True,
        history_length=4,
        attention_scale=10.0,
        memory=Memory(of_requests, popularity, 20.0, 0.1, -0.8),
        refused_words=refused_words(),
        neighbors=of_pairs(rng, n),
        transitions=of_pairs(rng, n),
        vectors=vectors,
        nearest=nearest_items(vectors.vectors, known, 3),
        similarity=Similarity(
            *(rng.normal(size=(n, size)).astype("f4") for size in (4, 3)),
            *(rng.normal(size=(3, 5)).astype("f4") for _ in range(2)),
            np.float32([0.5, 0.0, -0.25]),
        ),
    )


def refused_words():
    """Who rules out heels means shoes, and who rules out stripes mostly stripes."""
    words, item_words = ["heels", "stripes"], ["heels", "red", "stripes"]
    table = csr_matrix(np.float32([[2.0, 0.0, 0.5], [0.0, 0.3, 9.0]]))
    none = csr_matrix((0, 3), dtype=np.float32)
    return RefusedWords(words, item_words, table, none, 4.0).with_items(TEXTS)


def of_pairs(rng, n):
    scaled = 30 * random(n, n, 0.3, "csr", np.float32, rng)
    scaled.setdiag(0)
    scaled.eliminate_zeros()
    return scaled


def nearest_items(vectors, known, n_nearest):
    """The table, found with loops."""
    cosine, n = vectors @ vectors.T, len(vectors)
    least, table = np.zeros(n, dtype=np.float32), np.zeros((n, n), dtype=np.float32)
    for i in range(n):
        of_i = {j: cosine[i, j] for j in range(n) if known[j]}
        of_i[i] = 0.0
        least[i] = max(sorted(of_i.values())[-n_nearest], 0)
        for j, value in of_i.items():
            if value >= least[i] and value > 0:
                table[i, j] = value
    return Nearest(csr_matrix(table), least, n_nearest)


def popularity_scorer(rng, kind="RequestPop"):
    of_requests = counts(rng)
    popularity = np.asarray(of_requests.matrix.sum(axis=0)).ravel()
    if kind == "Pop":
        of_requests = RequestCounts([], csr_matrix((0, len(ITEMS)), dtype=np.float32))
    return PopularityScorer(kind, popularity, of_requests)


def word_scorer(k1=1.2, b=0.75):
    """BM25 as Lucene has it, written with loops."""
    words = sorted({word for text in TEXTS for word in words_of(text)})
    of_items = [words_of(text) for text in TEXTS]
    mean = float(np.mean([len(each) for each in of_items]))
    n = [sum(word in each for each in of_items) for word in words]
    idf = np.log(1 + (len(TEXTS) - np.array(n) + 0.5) / (np.array(n) + 0.5))
    weights = np.zeros((len(words), len(TEXTS)))
    for row, word in enumerate(words):
        for item, each in enumerate(of_items):
            times = each.count(word)
            norm = k1 * (1 - b + b * len(each) / mean)
            weights[row, item] = idf[row] * times / (times + norm)
    weights = csr_matrix(weights.astype("f4"))
    return WordScorer(words, weights, idf.astype("f4"), len(TEXTS), mean, k1, b)


def similar_scorer(rng, kind="ItemKNN"):
    return SimilarItemsScorer(kind, random(12, 12, 0.4, "csr", "f4", rng))


def fusion_scorer(rng):
    parts = {
        "RequestPop": popularity_scorer(rng),
        "ItemKNN": similar_scorer(rng),
        "BM25": word_scorer(),
        "Pop": popularity_scorer(rng, "Pop"),
    }
    weights = {"RequestPop": 0.5, "ItemKNN": 0.3, "BM25": 0.2, "Pop": 0.0}
    return FusionScorer(parts, weights, np.ones(len(ITEMS), dtype=bool))


def scorer(kind, seed=0, **options):
    rng = np.random.default_rng(seed)
    if kind in ("WhisperLite", "ZeroShot"):
        return text_scorer(rng, kind=kind, **options)
    make = {
        "WhisperLitePlus": plus_scorer,
        "RequestPop": popularity_scorer,
        "BM25": lambda rng: word_scorer(),
        "LateFusion": fusion_scorer,
    }[kind]
    return make(rng, **options)


def shop(kind="WhisperLitePlus", seed=0, with_users=True, **options):
    """A recommender that is in no folder yet."""
    of = scorer(kind, seed, **options)
    state = State(catalogue(), of, users() if with_users else None)
    config = {
        "made_with": "0.0",
        "model": kind,
        "about": {"model": kind, "dataset": "by hand"},
        "encoder": {"settings": {**SETTINGS, "encoder_dim": 64}},
    }
    return Recommender(state, encoder(), config, "# A card\n", None)


def picture_vectors(seed=0, dim=4):
    """Vectors of the items' pictures: zero where there is none."""
    vectors = np.random.default_rng(seed).normal(size=(len(ITEMS), dim)).astype("f4")
    vectors[[not item[5] for item in ITEMS]] = 0
    return unit(vectors)


class Pictures:
    """Stands for the CLIP model: a picture is the number of an item, or a vector."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, pictures):
        result = np.zeros((len(pictures), self.vectors.shape[1]), dtype=np.float32)
        for row, picture in enumerate(pictures):
            if picture is not None:
                result[row] = self.vectors[picture] if np.isscalar(picture) else picture
        return result


def answers(recommender, user_ids=(None, "u1", "u4", "stranger"), **options):
    """What a recommender says to everybody: ids, and scores with their parts."""
    requests = [*REQUESTS, "blue shirt", "no heels", "", "🙂", "zzz"]
    return [
        [(each.item, each.score, each.parts) for each in answer]
        for user in user_ids
        for answer in recommender.recommend(requests, user, k=20, **options)
    ]


def assert_same_answers(one, other, tolerance=1e-4):
    """The same items with the same scores; equal but for rounding may change places."""
    for left, right in zip(one, other, strict=True):
        left, right = sorted(left, key=by_id), sorted(right, key=by_id)
        assert [each[0] for each in left] == [each[0] for each in right]
        for (_, score, parts), (_, score_2, parts_2) in zip(left, right):
            assert abs(score - score_2) <= tolerance * max(1, abs(score))
            assert parts.keys() == parts_2.keys()
            for name in parts:
                bound = tolerance * max(1, abs(parts[name]))
                assert abs(parts[name] - parts_2[name]) <= bound, name


def by_id(each):
    return each[0]
