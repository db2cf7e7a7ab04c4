"""A small shop whose requests rule things out, and the comparison with RecBole."""

import random

import numpy as np
import torch
from PIL import Image

from recbole_whisperlite.data.atomic import write_atomic

COLOURS = ["red", "blue", "green", "black", "white"]
GARMENTS = ["dress", "shoes", "hat", "coat", "heels", "scarf"]
N_USERS, N_REQUESTS = 12, 90


def write_shop(folder, name="shop", seed=0):
    """Write 30 items, each with a picture but every fifth, and 90 requests."""
    draw, home = random.Random(seed), folder / name
    items = [
        (f"i{n}", f"{colour} {garment}", f"{10 * n}.5", f"{garment} wear")
        for n, (colour, garment) in enumerate(
            (colour, garment) for colour in COLOURS for garment in GARMENTS
        )
    ]
    (home / "pictures").mkdir(parents=True)
    rows = []
    for n, (id_, title, price, kinds) in enumerate(items):
        picture = ""
        if n % 5:
            picture = f"pictures/{id_}.png"
            Image.new("RGB", (32, 32), (8 * n, 255 - 8 * n, 90)).save(home / picture)
        rows.append((id_, title, f"{title} for you", price, kinds, picture))
    types = dict.fromkeys(("item_id", "title", "description"), "token")
    types["price"] = "float"
    types |= {"kinds": "token_seq", "image": "token"}
    write_atomic(home / f"{name}.item", types, rows)
    inter, requests = [], []
    for n in range(N_REQUESTS):
        id_, title, *_ = draw.choice(items)
        colour, garment = title.split()
        other = draw.choice([each for each in GARMENTS if each != garment])
        wish = draw.choice([f"a {colour} {garment}", garment, f"something {colour}"])
        refusal = draw.choice(["", f", no {other}", f". Please avoid {other}!"])
        requests.append((f"r{n}", wish + refusal))
        inter.append((f"u{n % N_USERS}", id_, f"r{n}", n))
    types = {"user_id": "token", "item_id": "token", "request_id": "token"}
    write_atomic(home / f"{name}.inter", {**types, "timestamp": "float"}, inter)
    write_atomic(
        home / f"{name}.request", {"request_id": "token", "request": "token"}, requests
    )
    return folder


def queries(model, test_data):
    """The test set as RecBole's model and as a Recommender sees it.

    Returns:
        tuple: Scores by RecBole, ``[n, n_items]`` without padding; ids of these items;
        texts, users and histories of the queries.
    """
    dataset = test_data._dataset
    interaction, *_ = test_data.collate_fn(list(range(len(test_data.queries))))
    model.eval()
    with torch.no_grad():
        scores = model.full_sort_predict(interaction).view(len(interaction), -1)
    ids = dataset.field2id_token[dataset.iid_field]
    if dataset.history_fields:
        spans = zip(*(interaction[field].tolist() for field in dataset.history_fields))
        histories = [dataset.history_items[b : b + n].tolist() for b, n in spans]
    else:  # what LateFusion's parts know
        begin, length = (part[test_data.queries.row] for part in dataset.known)
        items = dataset.all_chosen_items
        histories = [items[b : b + n].tolist() for b, n in zip(begin, length)]
    return (
        scores.numpy()[:, 1:],
        ids[1:].tolist(),
        [dataset.request_texts[id_] for id_ in interaction["request"].tolist()],
        dataset.id2token(dataset.uid_field, interaction[dataset.uid_field]).tolist(),
        [[ids[item] for item in history] for history in histories],
    )


def assert_same_scores(model, test_data, shop):
    """All scores of the whole catalogue, and the parts, to 1e-5 of the largest."""
    expected, ids, texts, _, histories = queries(model, test_data)
    answers = shop.recommend(texts, history=histories, k=len(ids), exclude_seen=False)
    column = {id_: number for number, id_ in enumerate(ids)}
    tolerance = 1e-5 * np.abs(expected).max()
    assert len(answers) == len(expected) > 5
    for answer, row in zip(answers, expected):
        assert len(answer) == len(ids)
        scores = np.array([found.score for found in answer])
        there = np.array([row[column[found.item]] for found in answer])
        np.testing.assert_allclose(scores, there, rtol=0, atol=tolerance)
        np.testing.assert_allclose(-np.sort(-row), scores, rtol=0, atol=tolerance)
        sums = [sum(found.parts.values()) for found in answer]
        np.testing.assert_allclose(sums, scores, rtol=0, atol=tolerance)
