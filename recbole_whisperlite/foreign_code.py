"""Models that others have trained may not say which code is run to load them.

A folder of sentence-transformers or open_clip is weights and a few JSON files; some of
what these may say makes the libraries import a class by its name, or run Python files
that lie beside the weights.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError

# The keys whose values the libraries import, if they are dotted names.
_NAMES_A_CLASS = (
    *("type", "activation_fn", "activation_function"),
    "sbert_ce_default_activation_function",
)
_LIBRARIES = ("sentence_transformers.", "torch.nn.")


def refuse_code_in(folder: Path) -> None:
    """Refuse the folder of a model that names code outside of the libraries.

    Args:
        folder (Path): In the layout of sentence-transformers or open_clip.

    Raises:
        UserError: If one of its files does, or is not JSON.
    """
    for path in sorted({*folder.rglob("modules.json"), *folder.rglob("*config*.json")}):
        try:
            settings = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        refuse_code(settings, str(path))


def refuse_code(settings: object, where: str) -> None:
    """Refuse settings of a model that name code outside of the libraries.

    Args:
        settings (object): As read from JSON.
        where (str): What the error calls them.

    Raises:
        UserError: If they do.
    """
    for key, value in _pairs(settings):
        is_class = isinstance(value, str) and "." in value and key in _NAMES_A_CLASS
        if (key == "trust_remote_code" and value) or (
            is_class and not value.startswith(_LIBRARIES)
        ):
            raise UserError(
                f"{where} asks to run code of its own ({key}: {str(value)[:80]}). A model "
                "is weights and settings here, and runs the code of its library alone: "
                "take one that needs no other, or write an encoder of your own that loads "
                "it (module:Class)."
            )


def _pairs(settings) -> Iterator[tuple[str, object]]:
    """Yield each key with its value, however deep."""
    if isinstance(settings, dict):
        yield from settings.items()
        settings = settings.values()
    if not isinstance(settings, str) and hasattr(settings, "__iter__"):
        for each in settings:
            yield from _pairs(each)
