"""Sample requests with what each model puts first, to be looked at."""

from pathlib import Path

import numpy as np

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.data.texts import (
    IMAGE_FIELD,
    TextFile,
    join_fields,
    text_fields,
)

NUMBER = 12
BEST = 5


def sample(test_set, ranks, settings):
    """Choose requests evenly from an test_set, with each model's best items.

    Args:
        test_set (Exam): The test_set.
        ranks (dict): ``{(row name, seed): (rank, top)}`` as in a unit file; the first
            seed of each row is shown.
        settings (dict): Final settings of a run, for the .item file.

    Returns:
        dict: ``examples`` and ``items`` as in ``benchmark.json``.
    """
    units, tokens = test_set.units, test_set.units["tokens"]
    n_queries = len(units["user"])
    chosen = np.unique(np.linspace(0, n_queries - 1, NUMBER).astype(int))
    examples = []
    for unit in chosen.tolist():
        top = {}
        for (name, _), (_, best) in ranks.items():
            listed = best[unit, :BEST]
            top.setdefault(name, tokens[listed[listed > 0]].tolist())
        examples.append(
            {
                "user": str(units["user"][unit]),
                "request_id": str(units["request"][unit]),
                "request": units["texts"][units["text"][unit]],
                "positives": tokens[
                    units["positive_item"][units["positive_unit"] == unit]
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
