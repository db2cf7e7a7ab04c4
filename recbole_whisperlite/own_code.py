"""Custom code, written by the user, which settings name as ``module:Name``."""

import contextlib
import contextvars
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError, did_you_mean

#: The settings that may name custom code; ``class`` is a benchmark's.
SETTINGS = ("model", "class", "encoder", "metrics")
#: What says so to the processes that a command starts.
ENVIRONMENT = "RECBOLE_WHISPERLITE_OWN_CODE"

_allowed = contextvars.ContextVar("allowed", default=False)


@contextlib.contextmanager
def allowed(is_allowed: bool) -> Iterator[None]:
    """Let the files that are read meanwhile name modules that are not imported yet.

    Args:
        is_allowed (bool): The word of the user; False changes nothing.
    """
    token = _allowed.set(is_allowed or _allowed.get())
    try:
        yield
    finally:
        _allowed.reset(token)


def check_named(settings: dict, where: str) -> None:
    """Refuse settings out of a file that name a module which nobody has imported.

    A file may come from somebody else, and importing a module runs it.

    Args:
        settings (dict): The settings, or the content of a benchmark's yaml.
        where (str): The file.

    Raises:
        UserError: If there is such a name, and the user does not allow it by
            :func:`allowed` or ``--own-code``.
    """
    if _allowed.get() or ENVIRONMENT in os.environ:
        return
    for key, name in _names(settings):
        module = name.partition(":")[0]
        if module not in sys.modules:
            raise UserError(
                f"{where} names the {key} '{name}', code that is not in the file. If you "
                f"trust the module {module} that is installed here, import it before you "
                "load the file, or allow it by own_code=True (--own-code)."
            )


def _names(settings) -> Iterator[tuple[str, str]]:
    """Yield each setting that names custom code, with the name."""
    for key in SETTINGS:
        value = settings.get(key)
        for name in value if isinstance(value, (list, tuple)) else [value]:
            if is_named(name):
                yield key, name
    rows = settings.get("models")
    if isinstance(rows, (list, tuple, dict)):
        yield from _names({"model": list(rows)})
    sections = list(rows.values()) if isinstance(rows, dict) else []
    for section in [*sections, settings.get("tune")]:
        if isinstance(section, dict):
            yield from _names(section)


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
        UserError: If the module is Python's own or a program, cannot be imported or has
            no such name.
    """
    module_name, _, attribute = name.partition(":")
    library, _, last = module_name.partition(".")
    if library in sys.stdlib_module_names or last.endswith("__main__"):
        # no class of a user's is there, and some open windows when they are imported
        raise UserError(
            f"{what} '{name}': {module_name} is a part of Python or a program, and is not "
            f"imported. Custom code is a module in {os.getcwd()} or an installed package."
        )
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
