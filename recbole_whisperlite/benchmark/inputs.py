"""What the model of a row may know: a column of every table."""

import yaml

from recbole_whisperlite.benchmark.plan import Row
from recbole_whisperlite.model.inputs import stated_inputs
from recbole_whisperlite.model.names import settings_files
from recbole_whisperlite.model.own import is_own, model_class, own_settings


def inputs(row: Row, settings: dict) -> list[str] | None:
    """Return what the model of a row may know.

    Args:
        row (Row): With its own word on it, if the benchmark yaml has one.
        settings (dict): The final settings of one of its runs; of a row that failed,
            empty: then it is the model's defaults and the row's own settings.

    Returns:
        list of str: Some of request, item text, user, history, item id, and more; None
        if nobody says.
    """
    if row.inputs is not None:
        return row.inputs
    settings = settings or {**defaults(row.model), **row.settings}
    return stated_inputs(model_class(row.model), settings)


def told(stated: list[str] | None) -> str:
    """Return the inputs of a row as a table shows them."""
    if stated is None:
        return "not stated"
    return ", ".join(stated) or "nothing"


def defaults(model: str) -> dict:
    """Return the default settings of a model that is not RecBole's; else ``{}``."""
    found, settings = model_class(model), {}
    for path in settings_files(found):
        settings.update(yaml.safe_load(path.read_text("utf-8")))
    return {**settings, **(own_settings(found) if is_own(found) else {})}
