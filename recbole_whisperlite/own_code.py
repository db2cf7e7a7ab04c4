"""Custom code, written by the user, which settings name as ``module:Name``."""

import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path

from recbole_whisperlite.errors import UserError, did_you_mean


def is_named(name: object) -> bool:
    """Return whether a setting names custom code: ``module:Name``."""
    return isinstance(name, str) and ":" in name


def load(name: str, what: str) -> object:
    """Import what ``module:Name`` names.

    Args:
        name (str): The name; the module is in the current folder or an installed package.
        what (str): What error messages call it, such as ``model``.

    Returns:
        object: The attribute ``Name`` of the module.

    Raises:
        UserError: If the module cannot be imported or has no such name.
    """
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # console scripts do not search it
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"{what} '{name}': the module {module_name} cannot be imported: "
            f"{type(error).__name__}: {error}. It must be in {os.getcwd()} or in an "
            "installed package."
        ) from error
    if not attribute or not hasattr(module, attribute):
        classes = [each for each in vars(module) if inspect.isclass(vars(module)[each])]
        raise UserError(
            f"{what} '{name}': the module {module_name} has no '{attribute}'."
            f"{did_you_mean(attribute, classes)} Its classes are "
            f"{', '.join(classes) or 'none'}."
        )
    return getattr(module, attribute)


def sources(found: type) -> list[Path]:
    """Return the source files of a custom class and of its custom bases.

    RecBole, this package and torch are left out, and so are classes without a file, such as
    those of a notebook.

    Args:
        found (type): The class.
    """
    files = []
    for base in found.__mro__:
        library = base.__module__.partition(".")[0]
        if library in ("recbole", "recbole_whisperlite", "torch", "builtins", "abc"):
            continue
        try:
            files.append(Path(inspect.getfile(base)))
        except (TypeError, OSError):
            continue
    return [path for path in dict.fromkeys(files) if path.is_file()]
