"""The models by name, and their settings files."""

import importlib
import importlib.util
from pathlib import Path

from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.paths import PROPERTIES

FAMILIES = ("general", "context_aware", "sequential", "knowledge_aware")
# RecBole's models that need libraries it does not require, by the names of their files
TREES = {"lightgbm": "LightGBM", "xgboost": "XGBoost"}


def our_models() -> list[str]:
    """Return the sorted names of the models of this package."""
    return sorted(path.stem for path in (PROPERTIES / "model").glob("*.yaml"))


def settings_files(model_class: type) -> list[Path]:
    """Return the yaml files of a model's defaults, those of its base classes first.

    WhisperLitePlus has all settings of WhisperLite, and a custom model those of the model
    it is derived from; each default is written only once. RecBole itself reads the file of
    a model of its own, which is returned only for classes derived from that model.
    """
    files = []
    for base in reversed(model_class.__mro__):
        folder = {
            "recbole_whisperlite": PROPERTIES,
            "recbole": None if base is model_class else _recbole() / "properties",
        }.get(base.__module__.partition(".")[0])
        if folder is not None:
            files.append(folder / "model" / f"{base.__name__}.yaml")
    return [file for file in files if file.is_file()]


def _recbole():
    return Path(importlib.util.find_spec("recbole").origin).parent


def recbole_models() -> list[str]:
    """Return the sorted names of RecBole's models that have settings."""
    names = (path.stem for path in (_recbole() / "properties/model").glob("*.yaml"))
    return sorted(TREES.get(name, name) for name in names)


def find_model(name: str) -> type:
    """Return a model's class, like ``recbole.utils.get_model``, but with a helpful error.

    If there is no such model, ``get_model`` fails with the import error of an optional
    library.

    Args:
        name (str): As in ``get_model``.

    Raises:
        UserError: If there is no such model; the message lists the models.
    """
    for family in FAMILIES:
        module = f"recbole.model.{family}_recommender.{str(name).lower()}"
        if importlib.util.find_spec(module):
            found = getattr(importlib.import_module(module), str(name), None)
            if found is not None:
                return found
    file = str(name).lower()
    if file in TREES:
        try:
            module = importlib.import_module(f"recbole.model.exlib_recommender.{file}")
            return getattr(module, TREES[file])
        except ImportError as error:
            raise UserError(
                f"{TREES[file]} cannot be used: {error}. RecBole imports its tree models "
                f"together: run pip install {' '.join(TREES)}."
            ) from None
    known = sorted({*our_models(), *recbole_models()}, key=str.lower)
    raise UserError(
        f"There is no model '{name}'.{did_you_mean(name, known)} Models are "
        f"{', '.join(known)}; name a custom model as module:Class."
    )
