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
#: The columns of each file, and their types.
COLUMNS = {
    "inter": {
        "user_id": "token",
        "item_id": "token",
        "request": "token",
        "timestamp": "float",
    },
    "item": {"item_id": "token", "title": "token", "description": "token"},
}


def write_example(folder: str | os.PathLike) -> list[Path]:
    """Write ``whisperlite.inter`` and ``whisperlite.item``.

    Args:
        folder (str or Path): Where to.

    Returns:
        list of Path: The files.
    """
    with tempfile.TemporaryDirectory() as home:
        source = build(Path(home, NAME), **_SIZES) / NAME
        frames = {
            suffix: read_atomic(source.with_suffix(f".{suffix}"))[0]
            for suffix in ("inter", "item", "request")
        }
    text = frames["request"].set_index("request_id")["request"]
    frames["inter"]["request"] = frames["inter"]["request_id"].map(text)
    paths = []
    for suffix, columns in COLUMNS.items():
        paths.append(Path(folder, f"{NAME}.{suffix}"))
        rows = frames[suffix][[*columns]].itertuples(index=False)
        write_stock(paths[-1], columns, rows)
    return paths
