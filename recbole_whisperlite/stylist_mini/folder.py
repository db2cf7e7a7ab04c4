"""The dataset folder: atomic files and pictures, complete or not at all."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import part_folder
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

#: This file in every built folder says which rules, seed and sizes made it. Increment
#: RULES whenever the rules change.
RECEIPT = "generator.json"
RULES = 1

FEWEST_ITEMS = 100


class Request(NamedTuple):
    """One request with its picks, each ``(product index, outcome)``."""

    user_id: str
    request_id: str
    timestamp: int
    text: str
    intent: Intent
    picks: list[tuple[int, str]]


def build(
    folder: str | Path,
    seed: int = 2020,
    n_items: int = 1500,
    n_users: int = 2000,
    n_requests: int = 10_000,
) -> Path:
    """Generate the dataset and write it to its own folder.

    The atomic files are named after the folder, as RecBole requires. The same arguments
    give byte-identical atomic files; pictures may differ between Pillow versions. A
    folder that already holds exactly this dataset is left as it is. Everything is
    written to a temporary folder beside it that is renamed at the end: an interrupted
    build leaves no dataset, and processes that build the same one at once all succeed.

    Args:
        folder (str or Path): Such as ``dataset/stylist-mini``.
        seed (int): Seed of all random streams.
        n_items (int): Number of products, at least 100.
        n_users (int): Number of shoppers.
        n_requests (int): Number of requests, 3 to 12 per shopper.

    Returns:
        Path: The folder, absolute.

    Raises:
        UserError: If the sizes do not fit together or the folder holds something else.
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
    with part_folder(folder) as workshop:
        made = workshop / folder.name
        made.mkdir()
        products, requests = _generate(seed, n_items, n_users, n_requests)
        _write_items(made, products)
        _write_requests(made, products, requests)
        (made / RECEIPT).write_text(json.dumps(receipt, indent=2) + "\n")
        try:
            os.rename(made, folder)
        except OSError:
            # Another process was faster; its dataset is byte-identical to ours.
            if not _is_built(folder, receipt):
                raise
    return folder


def _check_sizes(n_items, n_users, n_requests):
    fewest, most = REQUESTS_PER_SHOPPER
    if n_users < 1 or not fewest * n_users <= n_requests <= most * n_users:
        raise UserError(
            f"stylist-mini: {n_requests} requests do not fit {n_users} shoppers, who "
            f"make {fewest} to {most} each. Choose n_requests between {fewest} and "
            f"{most} times n_users, and n_users of at least 1."
        )
    if n_items < FEWEST_ITEMS:
        raise UserError(
            f"stylist-mini: {n_items} products are too few; choose n_items of at least "
            f"{FEWEST_ITEMS}."
        )


def _is_built(folder, receipt):
    """Return whether the folder holds this very dataset; False if absent or empty."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / RECEIPT).read_text())
    except (OSError, ValueError):
        found = None
    if found != receipt:
        raise UserError(
            f"{folder}: this folder holds something other than the requested "
            f"stylist-mini ({RECEIPT} says {found}, requested is {receipt}). Delete "
            "the folder or choose another one."
        )
    return True


def _generate(seed, n_items, n_users, n_requests):
    """Draw everything but the pictures.

    Each part has its own random stream, so the products are the same however many
    shoppers there are. NumPy guarantees that the streams of RandomState never change,
    but not those of Generator.

    Returns:
        tuple: The products and a list of :class:`Request`, ordered by time.
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
        tqdm(visits, desc="stylist-mini: requests", unit="request", disable=None),
        start=1,
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
    for product in tqdm(
        products, desc="stylist-mini: pictures", unit="picture", disable=None
    ):
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
