"""The inputs of a row's model, which are a column of every table."""

import yaml

from recbole_whisperlite.benchmark.plan import Row
from recbole_whisperlite.model.inputs import stated_inputs
from recbole_whisperlite.model.names import settings_files
from recbole_whisperlite.model.own import is_own, model_class, own_settings


def inputs(row: Row, settings: dict) -> list[str] | None:
    """Return the inputs of a row's model: what it may use to rank.

    Args:
        row (Row): Its own ``inputs`` take precedence, if the benchmark yaml has them.
        settings (dict): The final settings of one of its runs; empty for a row that
            failed, for which the model's defaults and the row's settings are used.

    Returns:
        list of str: Some of request, item text, user, history, item id, and others;
        None if neither the yaml nor the model states them.
    """
    if row.inputs is not None:
        return row.inputs
    settings = settings or {
        "known_at_test": "before_request",
        **defaults(row.model),
        **row.settings,
    }
    return stated_inputs(model_class(row.model), settings)


def told(stated: list[str] | None) -> str:
    """Return the inputs of a row as text for a table."""
    if stated is None:
        return "not stated"
    return ", ".join(stated) or "nothing"


def defaults(model: str) -> dict:
    """Return the default settings of a model; ``{}`` for RecBole's own models."""
    found, settings = model_class(model), {}
    for path in settings_files(found):
        settings.update(yaml.safe_load(path.read_text("utf-8")))
    return {**settings, **(own_settings(found) if is_own(found) else {})}
