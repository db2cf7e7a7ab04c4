"""Settings as plain values: what RecBole would evaluate or construct as Python code.

RecBole reads a setting by ``eval``, a file of hyper-parameters too, and its yaml loader
returns any function that the file names. Each of these runs code, or gives it away, for
whoever wrote the text. What is here reads numbers, text, lists, dicts and the like.
"""

from __future__ import annotations

import ast
from typing import Any, NoReturn

import yaml

from recbole_whisperlite.errors import UserError


def evaluate(text: str) -> Any:
    """Return the value that a setting spells out; replaces ``eval`` in RecBole's Config.

    Args:
        text (str): A Python literal, or a name such as ``ModelType.GENERAL``.

    Raises:
        NameError: If it is anything else, which RecBole then takes as text.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    from recbole.utils import enum_type  # here, as RecBole may be half imported

    kind, _, member = text.strip().partition(".")
    members = getattr(vars(enum_type).get(kind), "__members__", {})
    if member in members:
        return members[member]
    raise NameError("it is not a plain value")


def evaluate_choices(text: str) -> Any:
    """Return the choices of a file of hyper-parameters; replaces ``eval`` there.

    Args:
        text (str): What stands behind the word ``choice``, without spaces.

    Raises:
        UserError: If it is not a Python literal.
    """
    try:
        return evaluate(text)
    except NameError:
        raise UserError(
            f"The file of hyper-parameters has the choice {text[:80]}, which is not a list "
            "of plain values: write them out, such as [0.1,0.01] or ['[64,32]','[64]']."
        ) from None


class PlainLoader(yaml.FullLoader):
    """Reads yaml as RecBole does, but nothing that a tag ``!!python/...`` names.

    Raises:
        UserError: If there is such a tag for a function, a class, a module or an object.
    """

    def find_python_name(self, name, mark, unsafe=False) -> NoReturn:
        raise UserError(
            f"A settings file names the Python object {name} (line {mark.line + 1}). "
            "Settings are plain values: remove the tag !!python/..."
        )

    find_python_module = find_python_name


def choose(accepted: dict[str, type], setting: str, name: object) -> type:
    """Return what a setting names; replaces ``eval`` in a model.

    Args:
        accepted (dict): What may be named, by name.
        setting (str): What the error calls the setting.
        name (object): The setting's value.

    Raises:
        UserError: If it names something else.
    """
    if name not in list(accepted):
        raise UserError(
            f"{setting} is {str(name)[:80]!r}; it must be one of {', '.join(accepted)}."
        )
    return accepted[name]
