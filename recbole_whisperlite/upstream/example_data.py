"""A small dataset of ours for RecBole's tests: fifty shoppers of ``stylist-mini``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.stylist_mini import build
from recbole_whisperlite.upstream.stock import write_stock

NAME = "whisperlite"
_SIZES = {"n_items": 120, "n_users": 50, "n_requests": 200}
_TEXTS = ("title", "description")


def write_example(folder: str | os.PathLike) -> list[Path]:
    """Write ``whisperlite.inter`` and ``whisperlite.item``.

    Args:
        folder (str or Path): Where to.

    Returns:
        list of Path: The files.
    """
    paths = [Path(folder, f"{NAME}.{suffix}") for suffix in ("inter", "item")]
    with tempfile.TemporaryDirectory() as home:
        source = build(Path(home, NAME), **_SIZES) / NAME
        inter, _ = read_atomic(source.with_suffix(".inter"))
        requests, _ = read_atomic(source.with_suffix(".request"))
        items, _ = read_atomic(source.with_suffix(".item"))
    text = requests.set_index("request_id")["request"]
    inter["request"] = inter["request_id"].map(text)
    columns = {"user_id": "token", "item_id": "token", "request": "token"}
    columns["timestamp"] = "float"
    write_stock(paths[0], columns, inter[[*columns]].itertuples(index=False))
    columns = {"item_id": "token", **dict.fromkeys(_TEXTS, "token")}
    write_stock(paths[1], columns, items[[*columns]].itertuples(index=False))
    return paths
