"""The dataset folder: atomic files and pictures, whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.stylist_mini import vocabulary as words
from recbole_whisperlite.stylist_mini.catalogue import make_products
from recbole_whisperlite.stylist_mini.drawing import draw
from recbole_whisperlite.stylist_mini.intents import Intent, draw_intent
from recbole_whisperlite.stylist_mini.picks import (
    appeal,
    draw_picks,
    draw_popularity,
)
from recbole_whisperlite.stylist_mini.shoppers import (
    REQUESTS_PER_SHOPPER,
    make_shoppers,
    make_visits,
)
from recbole_whisperlite.stylist_mini.stock import Stock
from recbole_whisperlite.stylist_mini.wording import write
from recbole_whisperlite.errors import UserError

#: Says in every built folder which rules and seed made it; a change of rules counts up.
RECEIPT = "generator.json"
RULES = 1

FEWEST_ITEMS = 100


class Request(NamedTuple):
    """One request with what became of it; ``picks`` are ``(product index, outcome)``."""

    user_id: str
    request_id: str
    timestamp: int
    text: str
    intent: Intent
    picks: list


def build(folder, seed=2020, n_items=1500, n_users=2000, n_requests=10_000):
    """Write the dataset into a folder of its own.

    The atomic files are named after the folder, as RecBole wants it. The same arguments
    give the same atomic files to the byte; pictures may differ with Pillow's version. A
    folder that holds just this dataset already is left as it is. Everything is made in
    a temporary folder beside it and renamed at the end: an interrupted build leaves no
    dataset, and processes that build the same one at once all succeed.

    Args:
        folder (str or Path): Such as ``dataset/stylist-mini``.
        seed (int): From which everything is drawn.
        n_items (int): Products, at least 100.
        n_users (int): Shoppers.
        n_requests (int): Requests, 3 to 12 a shopper.

    Returns:
        Path: The folder.

    Raises:
        UserError: If the sizes do not fit together, or the folder holds something else.
    """
    _check_sizes(n_items, n_users, n_requests)
    folder = Path(folder).absolute()
    receipt = {
        "generator": "stylist-mini",
        "rules": RULES,
        "seed": seed,
        "n_items": n_items,
        "n_users": n_users,
        "n_requests": n_requests,
    }
    if _is_built(folder, receipt):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", dir=folder.parent
    ) as workshop:
        made = Path(workshop) / folder.name
        made.mkdir()
        products, requests = _generate(seed, n_items, n_users, n_requests)
        _write_items(made, products)
        _write_requests(made, products, requests)
        (made / RECEIPT).write_text(json.dumps(receipt, indent=2) + "\n")
        try:
            os.rename(made, folder)
        except OSError:
            # Somebody else was faster; theirs is ours, to the byte.
            if not _is_built(folder, receipt):
                raise
    return folder


def _check_sizes(n_items, n_users, n_requests):
    fewest, most = REQUESTS_PER_SHOPPER
    if n_users < 1 or not fewest * n_users <= n_requests <= most * n_users:
        raise UserError(
            f"stylist-mini: {n_requests} requests of {n_users} shoppers; a shopper "
            f"makes {fewest} to {most}. Choose n_requests between {fewest} and {most} "
            "times n_users."
        )
    if n_items < FEWEST_ITEMS:
        raise UserError(
            f"stylist-mini: {n_items} products are too few to choose from; choose "
            f"n_items of at least {FEWEST_ITEMS}."
        )


def _is_built(folder, receipt):
    """Whether the folder holds this very dataset; False if it is absent or empty."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / RECEIPT).read_text())
    except (OSError, ValueError):
        found = None
    if found != receipt:
        raise UserError(
            f"{folder}: this folder holds something else than stylist-mini as asked for "
            f"({RECEIPT} says {found}, asked for is {receipt}). Delete the folder or "
            "name another one."
        )
    return True


def _generate(seed, n_items, n_users, n_requests):
    """Draw everything but the pictures.

    Each part has a random stream of its own, so that the products are the same however
    many shoppers there are. NumPy keeps RandomState's streams as they are for good, and
    does not promise that of Generator's.

    Returns:
        tuple: The products and a list of :class:`Request` in order of time.
    """

    def stream(part):
        return np.random.RandomState([seed, part])

    products = make_products(stream(0), n_items)
    stock = Stock(products)
    shoppers = make_shoppers(stream(1), n_users)
    visits = make_visits(stream(2), n_users, n_requests)
    popularity = draw_popularity(stream(3), n_items)
    intents, wording, picks = stream(4), stream(5), stream(6)

    sent = np.zeros((n_users, n_items), dtype=bool)
    width = len(str(n_requests))
    requests = []
    for number, (timestamp, user) in enumerate(
        tqdm(visits, desc="stylist-mini: requests", unit="request"), start=1
    ):
        shopper = shoppers[user]
        intent = draw_intent(intents, shopper, stock, timestamp)
        suits, ruled_out = appeal(stock, shopper, intent)
        requests.append(
            Request(
                shopper.user_id,
                f"r{number:0{width}d}",
                timestamp,
                write(wording, intent),
                intent,
                draw_picks(picks, suits, ruled_out, popularity, sent[user]),
            )
        )
    return products, requests


def _write_items(folder, products):
    (folder / "images").mkdir()
    for product in tqdm(products, desc="stylist-mini: pictures", unit="picture"):
        draw(product).save(folder / "images" / f"{product['item_id']}.png")
    columns = {
        "item_id": "token",
        "title": "token",
        "description": "token",
        "categories": "token_seq",
        **dict.fromkeys(words.ATTRIBUTES, "token"),
        "image": "token",
    }
    write_atomic(
        folder / f"{folder.name}.item",
        columns,
        (
            (
                product["item_id"],
                product["title"],
                product["description"],
                f"{product['group']} {product['garment']}",
                *(product[column] for column in words.ATTRIBUTES),
                f"images/{product['item_id']}.png",
            )
            for product in products
        ),
    )


def _write_requests(folder, products, requests):
    write_atomic(
        folder / f"{folder.name}.request",
        {
            "request_id": "token",
            "request": "token",
            "wished": "token_seq",
            "ruled_out": "token_seq",
        },
        (
            (
                request.request_id,
                request.text,
                " ".join(request.intent.wished),
                " ".join(request.intent.ruled_out),
            )
            for request in requests
        ),
    )
    write_atomic(
        folder / f"{folder.name}.inter",
        {
            "user_id": "token",
            "item_id": "token",
            "request_id": "token",
            "timestamp": "float",
            "outcome": "token",
        },
        (
            (
                request.user_id,
                products[item]["item_id"],
                request.request_id,
                request.timestamp,
                outcome,
            )
            for request in requests
            for item, outcome in request.picks
        ),
    )
