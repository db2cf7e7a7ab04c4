"""What a model may see of a request that it ranks for: a column of every table."""

import yaml
from recbole.utils import ModelType, get_model

from recbole_whisperlite.benchmark.plan import Row
from recbole_whisperlite.paths import PROPERTIES

REQUEST, ITEM_TEXT, USER, HISTORY, ITEM_ID = (
    "request",
    "item text",
    "user",
    "history",
    "item id",
)
ORDER = (REQUEST, ITEM_TEXT, "picture", USER, "trust", HISTORY, ITEM_ID)
#: Models that see other things than their family.
MODELS = {
    "Random": [],
    "Pop": [ITEM_ID],
    "Whisper": [REQUEST, ITEM_TEXT],
    "BM25": [REQUEST, ITEM_TEXT],
    "ZeroShot": [REQUEST, ITEM_TEXT],
    "RequestPop": [REQUEST, ITEM_ID],
    "GraphRec": [USER, "trust", ITEM_ID],
    **dict.fromkeys(
        "Caser FOSSIL FPMC HGN HRM NPE SHAN TransRec".split(), [USER, HISTORY, ITEM_ID]
    ),
    **dict.fromkeys(
        "FDSA GRU4RecF SASRecF".split(), ["item features", HISTORY, ITEM_ID]
    ),
    **dict.fromkeys("DIN DIEN".split(), ["item features", USER, HISTORY, ITEM_ID]),
}
FAMILIES = {
    ModelType.GENERAL: [USER, ITEM_ID],
    ModelType.TRADITIONAL: [USER, ITEM_ID],
    ModelType.KNOWLEDGE: [USER, "knowledge graph", ITEM_ID],
    ModelType.SEQUENTIAL: [HISTORY, ITEM_ID],
}


def may_see(row, settings):
    """Return what the model of a row may see.

    Args:
        row (Row): With its own word on it, if the benchmark yaml has one.
        settings (dict): The final settings of one of its runs; of a row that failed,
            empty: then it is the model's defaults and the row's own settings.

    Returns:
        list of str: Some of request, item text, user, history, item id, and more.
    """
    if row.sees is not None:
        return row.sees
    if row.model in MODELS:
        return MODELS[row.model]
    settings = settings or {**_defaults(row.model), **row.settings}
    if row.model == "LateFusion":
        parts = settings["fusion_models"]
        seen = [part for name in parts for part in may_see(Row(name, name), settings)]
        return [part for part in ORDER if part in seen]
    if row.model == "WhisperLite":
        parts = {
            REQUEST: True,
            ITEM_TEXT: settings["use_text"],
            "picture": settings["use_image"],
            HISTORY: settings["use_neighbors"] or settings["use_history"],
            ITEM_ID: settings["use_neighbors"] or settings["use_memory"],
        }
        return [part for part, seen in parts.items() if seen]
    family = get_model(row.model).type
    if family in FAMILIES:
        return FAMILIES[family]
    # context models: which item columns are features is a setting; None loads all
    columns = (settings.get("load_col") or {"item": "*"}).get("item", ())
    more = set(columns) - {settings.get("ITEM_ID_FIELD")}
    features = ["item features"] if more else []
    return ["request (as a category)", *features, USER, ITEM_ID]


def _defaults(model):
    path = PROPERTIES / "model" / f"{model}.yaml"
    return yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}
