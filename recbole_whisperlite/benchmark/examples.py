"""Sample requests with the top items of each model, for inspection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.data.texts import (
    IMAGE_FIELD,
    TextFile,
    join_fields,
    text_fields,
)

if TYPE_CHECKING:
    from recbole_whisperlite.benchmark.fingerprints import TestSet

NUMBER = 12
BEST = 5


def sample(
    test_set: TestSet,
    ranks: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Choose queries evenly from a test set, with each model's best items.

    Args:
        test_set (TestSet): The test set.
        ranks (dict): ``{(row name, seed): (rank, top)}`` as in a ``unit_file``; the
            first seed of each row is shown.
        settings (dict): Final settings of a run, for reading the ``.item`` file.

    Returns:
        dict: ``examples`` and ``items`` as in ``benchmark.json``.
    """
    arrays, tokens = test_set.arrays, test_set.arrays["tokens"]
    n_queries = len(arrays["user"])
    chosen = np.unique(np.linspace(0, n_queries - 1, NUMBER).astype(int))
    examples = []
    for query in chosen.tolist():
        top = {}
        for (name, _), (_, best) in ranks.items():
            listed = best[query, :BEST]
            top.setdefault(name, tokens[listed[listed > 0]].tolist())
        examples.append(
            {
                "user": str(arrays["user"][query]),
                "request_id": str(arrays["request"][query]),
                "request": arrays["texts"][arrays["text"][query]],
                "positives": tokens[
                    arrays["positive_item"][arrays["positive_unit"] == query]
                ].tolist(),
                "top": top,
            }
        )
    shown = {item for e in examples for item in e["positives"]}
    shown.update(item for e in examples for best in e["top"].values() for item in best)
    return {"examples": examples, "items": _items(sorted(shown), settings)}


def _items(tokens, settings):
    path = Path(settings["data_path"]) / f"{settings['dataset']}.item"
    if not path.is_file():
        return {token: {"title": "", "text": "", "image": None} for token in tokens}
    id_field = settings["ITEM_ID_FIELD"]
    encoding = settings.get("encoding") or "utf-8"
    content = read_atomic(path, settings["field_separator"], encoding)
    file = TextFile(path, id_field, *content)
    fields = text_fields(file, id_field, settings.get("item_text_fields"))
    frame = file.frame.reindex(tokens, fill_value="")
    return {
        token: {
            "title": frame.loc[token, fields[0]] if fields else "",
            "text": join_fields(frame.loc[token, fields]),
            "image": (frame.loc[token].get(IMAGE_FIELD) or None),
        }
        for token in tokens
    }
