"""What a model uses of a query and its candidates: the column "inputs" of a table.

A model declares it by the class attribute ``inputs``: a sequence of str, or a function of
the settings that returns one. RecBole's own models have no such attribute; their inputs
are derived from their family and their source code.

"history" is what is known of the user at the query, and "user" what training has made of a
user's id. While the former goes up to the request (``known_at_test``), the latter ends with
the training part, and a table says so.
"""

import importlib
import inspect
import re

from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType

from recbole_whisperlite.errors import UserError

#: What "user" is called where other models know more recent interactions.
USER_UP_TO_TRAINING = "user (up to training)"

#: The usual words, in the order in which a table shows them.
ORDER = (
    "request",
    "request (as a category)",
    "item text",
    "picture",
    "item features",
    "knowledge graph",
    "user",
    USER_UP_TO_TRAINING,
    "trust",
    "history",
    "item id",
)


def stated_inputs(model_class: type, settings: dict) -> list[str] | None:
    """Return the inputs of a model.

    Args:
        model_class (type): The model.
        settings (dict): Its final settings.

    Returns:
        list of str: In the order of :data:`ORDER`, other words last; None for a model
        that is not RecBole's and does not declare any.

    Raises:
        UserError: If what it declares is not a list of words.
    """
    declared = getattr(model_class, "inputs", None)
    if declared is None:
        if not model_class.__module__.startswith("recbole."):
            return None
        declared = _of_recbole(model_class, settings)
    elif callable(declared):
        declared = declared(settings)
    declared = [declared] if isinstance(declared, str) else declared
    listed = isinstance(declared, (list, tuple))
    if not listed or not all(isinstance(word, str) for word in declared):
        raise UserError(
            f"{model_class.__name__}.inputs must be words such as ('request', 'item text'), "
            f"or a function of the settings that returns them, not {declared!r}."
        )
    if settings.get("known_at_test") == "before_request":
        declared = [
            USER_UP_TO_TRAINING if word == "user" else word for word in declared
        ]
    usual = [word for word in ORDER if word in declared]
    return usual + [word for word in declared if word not in ORDER]


def needs_requests(model_class: type, settings: dict) -> bool:
    """Return whether the text of a request is among the inputs of a model."""
    return "request" in (stated_inputs(model_class, settings) or ())


def _of_recbole(model_class, settings):
    family = model_class.type
    if family in (ModelType.CONTEXT, ModelType.DECISIONTREE):
        # which item columns are features is a setting; None loads all
        columns = (settings.get("load_col") or {"item": "*"}).get("item", ())
        more = set(columns) - {settings.get("ITEM_ID_FIELD")}
        features = ["item features"] if more else []
        return ["request (as a category)", *features, "user", "item id"]
    scores, user, features = _what_code_reads(model_class)
    if _folds_in(model_class, settings):
        return ["history", "item id"]
    if not scores:
        return []  # it does not look at the items: Random
    return [
        *(["knowledge graph"] if family == ModelType.KNOWLEDGE else []),
        *(["user"] if user else []),
        *(["item features"] if features else []),
        *(["history"] if family == ModelType.SEQUENTIAL else []),
        "item id",
    ]


def _folds_in(model_class, settings):
    """Return whether a model scores the history of a query (``model/fold_in.py``)."""
    # imported on demand: the inputs of most models need none of RecBole's item-item models
    importlib.import_module("recbole_whisperlite.model.fold_in").register()
    # the setting is absent on a dataset without requests, where RecBole evaluates
    return (
        hasattr(model_class, "user_rows")
        and bool(settings.get("known_at_test"))
        and settings.get("knn_method") != "user"
    )


def _what_code_reads(model_class):
    """Return whether a model's code reads the item, the user id and selected features."""
    code = "".join(
        inspect.getsource(each)
        for each in model_class.__mro__
        if issubclass(each, AbstractRecommender)
        and not each.__module__.endswith("abstract_recommender")
    )
    return (
        bool(re.search(r"self\.ITEM_(ID|SEQ)\b", code)),
        # the user ids, not just how many there are
        bool(re.search(r"interaction\[self\.USER_ID\](?!\.shape)", code)),
        'config["selected_features"]' in code,
    )
