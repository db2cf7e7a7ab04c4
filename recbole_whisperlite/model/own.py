"""Custom models, written by the user: found by ``module:Class``, with their own settings."""

import importlib
import inspect
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import yaml
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.names import find_model, our_models

# RecBole's get_model looks for recbole.model.<family>_recommender.<lower-case name>
_FAMILY = {
    ModelType.CONTEXT: "context_aware",
    ModelType.SEQUENTIAL: "sequential",
    ModelType.KNOWLEDGE: "knowledge_aware",
}


def model_class(name: str) -> type:
    """Return the class of a model, and register it if it is a custom one.

    Args:
        name (str): A model's name, or ``module:Class`` for a class that can be imported
            from the current folder or from an installed package.

    Raises:
        UserError: If there is no such model, or its module cannot be imported.
    """
    if ":" not in str(name):
        return find_model(name)
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # console scripts do not search it
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:
        raise UserError(
            f"model '{name}': the module {module} cannot be imported: "
            f"{type(error).__name__}: {error}. It must be in {os.getcwd()} or in an "
            "installed package."
        ) from error
    if found is None:
        raise UserError(f"model '{name}': the module {module} has no '{attribute}'.")
    return register_model(found)


def register_model(model_class: type) -> type:
    """Let RecBole find a custom model by its class name.

    Args:
        model_class (type): A subclass of one of RecBole's recommenders. Its attribute
            ``settings`` (dict; by default the content of ``<Class>.yaml`` next to its
            module) holds the defaults of its hyper-parameters, and ``inputs`` (a sequence
            of str, or a function of the settings that returns one) says what it uses.

    Returns:
        type: The class itself.

    Raises:
        UserError: If it is not a recommender, or if RecBole or this package already has
            a model of that name.
    """
    if not (
        isinstance(model_class, type) and issubclass(model_class, AbstractRecommender)
    ):
        raise UserError(
            f"{model_class!r} is not a model: it must be a class derived from RecBole's "
            "GeneralRecommender, SequentialRecommender, ContextRecommender or "
            "KnowledgeRecommender."
        )
    name = model_class.__name__
    try:
        known = find_model(name)
    except UserError:
        known = None
    if known is not None and not is_own(known):
        raise UserError(
            f"There is already a model '{name}' in {known.__module__}. Give your class "
            "another name."
        )
    family = f"{_FAMILY.get(model_class.type, 'general')}_recommender"
    path = f"recbole.model.{family}.{name.lower()}"
    module = ModuleType(path)
    module.__spec__ = ModuleSpec(path, loader=None)
    setattr(module, name, model_class)
    sys.modules[path] = module
    return model_class


def is_own(model_class: type) -> bool:
    """Return whether a model is custom: neither RecBole's nor this package's."""
    return model_class.__name__ not in our_models() and not (
        model_class.__module__.startswith("recbole.")
    )


def own_settings(model_class: type) -> dict:
    """Return the default settings of a custom model.

    Raises:
        UserError: If its yaml file or its attribute ``settings`` is not a mapping.
    """
    given = getattr(model_class, "settings", None)
    where = f"{model_class.__name__}.settings"
    if given is None:
        path = settings_file(model_class)
        if path is None or not path.is_file():
            return {}
        where = str(path)
        try:
            given = yaml.safe_load(path.read_text("utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{where} is not yaml: {error}") from None
    if not isinstance(given, dict):
        raise UserError(f"{where} must hold settings as 'key: value', not {given!r}.")
    return dict(given)


def files(name: str) -> list[Path]:
    """Return the source and the yaml file of a custom model; ``[]`` for others.

    Args:
        name (str): As for :func:`model_class`.
    """
    found = model_class(name)
    if not is_own(found):
        return []
    yaml_file = settings_file(found)
    if yaml_file is None:
        return []
    return [
        path for path in (Path(inspect.getfile(found)), yaml_file) if path.is_file()
    ]


def settings_file(model_class: type) -> Path | None:
    """Return the path that the yaml file of a custom model has, if it exists.

    None for a model that has no source file, such as one defined in a notebook.
    """
    try:
        source = inspect.getfile(model_class)
    except (TypeError, OSError):
        return None
    return Path(source).with_name(f"{model_class.__name__}.yaml")
