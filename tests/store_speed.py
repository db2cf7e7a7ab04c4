"""Seconds, recall and sizes of candidate stores on a large catalogue, for docs/scale.md::

    PYTHONPATH=.:tests python tests/store_speed.py --items 1000000 --model WhisperLite

The model is made up, from a seed, in a folder that is kept for the next time. The
embeddings of products are those of made-up texts by a random tower, and noise, so that
requests have products near them; popularity follows Zipf's law. All is measured in one run,
as ratios of times that were taken on a busy machine at different times mean nothing: what it
takes to read the vectors once, then whole calls of ``recommend`` by each store, for
requests that were encoded before (``first`` has the time with their encoding). Recall is
the share of the ten items of ``exact`` that a store finds.
"""

import argparse
import gc
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.recommend.catalogue import TEXT, Catalogue
from recbole_whisperlite.recommend.counts import RequestCounts, incidence
from recbole_whisperlite.recommend.embed import Tower, Towers, unit
from recbole_whisperlite.recommend.plus_scorer import PlusScorer
from recbole_whisperlite.recommend.plus_terms import (
    ItemVectors,
    Memory,
    Nearest,
    Similarity,
)
from recbole_whisperlite.recommend.recommender import Recommender
from recbole_whisperlite.recommend.refused_words import RefusedWords
from recbole_whisperlite.recommend.similar_requests import SimilarRequests
from recbole_whisperlite.recommend.state import State
from recbole_whisperlite.recommend.text_scorer import TextScorer
from recbole_whisperlite.recommend.users import Users

COLOURS = [f"colour{n}" for n in range(40)]
KINDS = [f"kind{n}" for n in range(400)]
MATERIALS = [f"material{n}" for n in range(60)]
SETTINGS = {
    "encoder": ["tfidf"],
    "encoder_dim": 256,
    "vector_dtype": "float32",
    "missing_image": "skip",
    "encode_batch_size": 64,
    "long_text": "truncate",
    "clip_model": None,
    "clip_pretrained": None,
}
N_REQUESTS, N_USERS, LENGTH = 20_000, 5000, 10


def texts(rng, n):
    """``n`` texts such as "colour3 kind17 of material5"."""
    drawn = [rng.choice(words, n) for words in (COLOURS, KINDS, MATERIALS)]
    return [f"{c} {k} of {m}" for c, k, m in zip(*drawn)]


def tower(rng, dim, size):
    shapes = (256, dim), (size, 256)
    scale = [np.sqrt(2 / each[1]) for each in shapes]
    weights = [rng.normal(size=s).astype("f4") * f for s, f in zip(shapes, scale)]
    layers = [(w.astype("f4"), np.zeros(len(w), "f4")) for w in weights]
    return Tower(layers, True)


def near(rng, vectors, n, noise):
    """``n`` unit vectors, each near one of ``vectors``, made in blocks."""
    result = np.empty((n, vectors.shape[1]), dtype=np.float32)
    for begin in range(0, n, 50_000):
        block = result[begin : begin + 50_000]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
        block *= noise / np.sqrt(vectors.shape[1])
        block += vectors[rng.integers(len(vectors), size=len(block))]
        block[:] = unit(block)
    return result


def pairs(rng, n, each, popular, low, high):
    """A sparse matrix ``[n, n]`` with ``each`` values a row, of popular items mostly."""
    columns = popular[rng.integers(len(popular), size=n * each)]
    values = rng.uniform(low, high, n * each).astype("f4")
    begin = np.arange(0, n * each + 1, each)
    matrix = csr_matrix((values, columns, begin), shape=(n, n))
    matrix.sum_duplicates()
    return matrix


def make(model, n, size, folder):
    """Write a model of ``n`` products with embeddings of ``size`` numbers."""
    rng = np.random.default_rng(0)
    asked = sorted({*texts(rng, N_REQUESTS)})
    encoder = FittedEncoder(SETTINGS, asked)
    frozen = encoder.encode(asked).astype("f4")
    towers = tower(rng, frozen.shape[1], size), tower(rng, frozen.shape[1], size)
    embedder = Towers(encoder, *towers, True, False, {})
    embeddings = near(rng, towers[0].embed(frozen), n, 0.8)
    scorer = TextScorer("WhisperLite", embedder, 14.0, embeddings)
    # the k-th is chosen in proportion to 1 / (k + 10)
    weight = np.cumsum(1 / (np.arange(n) + 10))
    drawn = np.searchsorted(weight, rng.random(2_000_000) * weight[-1])
    popular = rng.permutation(n)[drawn]
    if model == "WhisperLitePlus":
        scorer = plus(rng, scorer, asked, frozen, popular)
    begin = np.arange(0, N_USERS * LENGTH + 1, LENGTH)
    of_users = popular[rng.integers(len(popular), size=begin[-1])]
    users = Users([f"u{k}" for k in range(N_USERS)], begin, of_users.astype(np.int32))
    titles = rng.choice(asked, n)
    table = {
        "item_id": pa.array([f"i{k}" for k in range(n)]),
        "title": pa.array(titles),
        "group": pa.array([f"g{k}" for k in rng.integers(10, size=n)]),
        "price": pa.array(rng.gamma(2, 30, n).round(2)),
        TEXT: pa.array(titles),
    }
    types = {"item_id": "token", "title": "token_seq", "group": "token"}
    types["price"] = "float"
    catalogue = Catalogue(pa.table(table), "item_id", ["title"], types, None)
    config = {
        "made_with": "0",
        "model": model,
        "about": {"model": model, "dataset": "made up"},
        "encoder": {"settings": SETTINGS},
    }
    state = State(catalogue, scorer, users)
    Recommender(state, encoder, config, None, None).save(folder)


def plus(rng, text, asked, frozen, popular):
    n, n_asked = text.n_items, len(asked)
    chosen = rng.choice(popular, n_asked * 20)
    counts = incidence(list(chosen.reshape(n_asked, 20)), n)
    counts.sum_duplicates()
    popularity = np.bincount(popular, minlength=n).astype("f4")
    mean = frozen.mean(axis=0)
    projection = rng.normal(size=(frozen.shape[1], 128)) / np.sqrt(128)
    vectors = ItemVectors(None, mean, projection).project(frozen)
    of_items = ItemVectors(near(rng, vectors, n, 0.8), mean, projection)
    bags = pairs(rng, n, 4, np.arange(500), 1, 1)[:, :500]
    bags.data[:] = 1
    words = [*COLOURS, *KINDS, *MATERIALS]
    table = csr_matrix(np.eye(500, dtype="f4") * 2)
    weights = {
        "memory": 0.7,
        "similar_requests": 0.3,
        "towers": 0.2,
        "zero_shot": 1.5,
        "popularity": 0.1,
        "unchosen": -0.4,
        "seldom": 0.3,
        "refusals": 0.6,
        "refused_words": 0.7,
        "neighbors": 0.8,
        "transitions": 0.5,
        "history": 2.0,
        "nearest": 1.0,
        "similarity": 0.9,
    }
    without = {
        name: weights[name] * 1.2
        for name in (
            *("memory", "similar_requests", "towers", "zero_shot"),
            *("popularity", "unchosen", "seldom"),
        )
    }
    frequent = dict.fromkeys(("neighbors", "transitions", "history"), 1.2)
    keys = near(rng, rng.standard_normal((500, 64), dtype="f4"), n, 0.8)
    biases = rng.normal(scale=0.3, size=(n, 1)).astype("f4")
    return PlusScorer(
        text,
        np.ones(n, dtype=bool),
        weights,
        {**frequent, "nearest": 0.5, "similarity": 1.1},
        without,
        (np.log1p(popularity) / np.log1p(popularity.max())).astype("f4"),
        splits_requests=True,
        history_length=LENGTH,
        attention_scale=10.0,
        memory=Memory(RequestCounts(asked, counts), popularity, 20.0, 0.1, -0.8),
        similar_requests=SimilarRequests(
            RequestCounts(asked, counts), vectors, mean, projection, 20, 20.0
        ),
        refused_words=RefusedWords(words, words, table, bags, 4.0),
        neighbors=pairs(rng, n, 10, popular, 0.1, 3),
        transitions=pairs(rng, n, 5, popular, 0.1, 3),
        vectors=of_items,
        nearest=Nearest(
            pairs(rng, n, 10, np.arange(n), 0.5, 0.9), np.full(n, 0.5, "f4"), 10
        ),
        similarity=Similarity(
            np.concatenate([keys, biases], axis=1),
            keys,
            rng.normal(size=(64, 128)).astype("f4"),
            rng.normal(size=(64, 128)).astype("f4"),
            np.zeros(10, dtype="f4"),
        ),
    )


def reading(scorer, times):
    """Seconds of reading all vectors once, each time."""
    blocks = {id(each): np.asarray(each) for each in scorer.blocks}.values()
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        for each in blocks:
            each.max()
        seconds.append(time.perf_counter() - begin)
    return seconds


def asking(shop, questions, **options):
    """Seconds of each question, and the ten items of each."""
    seconds, found = [], []
    for request, user in questions:
        begin = time.perf_counter()
        answer = shop.recommend(request, user, k=10, parts=False, **options)
        seconds.append(time.perf_counter() - begin)
        found.append([each.item for each in answer])
    return seconds, found


def in_words(seconds):
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {"p50_ms": round(p50, 1), "p95_ms": round(p95, 1)}


def recall(found, expected):
    shares = [len({*a} & {*b}) / len(b) for a, b in zip(found, expected)]
    return round(float(np.mean(shares)), 4)


def measure(folder, stores, n_questions, candidates, built):
    rng = np.random.default_rng(1)
    requests = texts(rng, n_questions)
    if "Plus" in folder.name:  # a tenth rules something out
        for k in range(0, n_questions, 10):
            requests[k] += f", no {rng.choice(COLOURS)}"
    users = [f"u{rng.integers(N_USERS)}" if k % 2 else None for k in range(n_questions)]
    questions = list(zip(requests, users))
    result = {"load_before": os.getloadavg()}
    shop = Recommender.load(folder)
    scorer = shop._state.scorer
    result["first"] = in_words(asking(shop, questions)[0])  # with their encoding
    read = reading(scorer, 10)
    seconds, expected = asking(shop, questions)
    read += reading(scorer, 10)
    result["gb"] = round(sum(each.nbytes for each in scorer.blocks) / 2**30, 2)
    result["reading"] = in_words(read)
    result["exact"] = in_words(seconds)
    result["exact"]["of_reading"] = round(np.median(seconds) / np.median(read), 2)
    filtered = [asking(shop, questions[:20], where=each) for each in FILTERS]
    del shop, scorer
    for store in stores:
        gc.collect()
        shop, of_store = Recommender.load(folder), {}
        begin = time.perf_counter()
        if not built:
            shop.build_store(store)
            of_store["build_s"] = round(time.perf_counter() - begin, 1)
        begin = time.perf_counter()
        # what load does after the model itself is loaded
        shop.open_store(store, candidates)
        of_store["open_s"] = round(time.perf_counter() - begin, 3)
        asking(shop, questions)
        seconds, found = asking(shop, questions)
        of_store.update(in_words(seconds), recall_10=recall(found, expected))
        for number, where in enumerate(FILTERS):
            seconds, found = asking(shop, questions[:20], where=where)
            of_filter = recall(found, filtered[number][1])
            of_store[str(where)] = {**in_words(seconds), "recall_10": of_filter}
        home = folder / f"store-{store.partition(':')[0]}"
        files = [each for each in home.rglob("*") if each.is_file()]
        of_store["gb"] = round(sum(each.stat().st_size for each in files) / 2**30, 2)
        result[store] = of_store
        print(store, json.dumps(of_store), flush=True)
    result["load_after"] = os.getloadavg()
    return result


FILTERS = ({"group": "g1"}, {"price": (250, None)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--model", default="WhisperLite")
    parser.add_argument("--stores", default="usearch", help="comma-separated")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument(
        "--built", action="store_true", help="open the stores that are there"
    )
    parser.add_argument("--folder", type=Path, default=Path("dataset"))
    args = parser.parse_args()
    folder = args.folder.absolute() / f"store-speed-{args.model}-{args.items}"
    if not folder.is_dir():
        make(args.model, args.items, args.size, folder)
    stores = [each for each in args.stores.split(",") if each]
    found = measure(folder, stores, args.questions, args.candidates, args.built)
    print(json.dumps({**vars(args), "folder": str(folder), **found}, default=str))


if __name__ == "__main__":
    main()
