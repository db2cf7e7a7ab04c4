"""Custom models, written by the user: found by ``module:Class``, with their own settings."""

import importlib.util
import inspect
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import recbole.data.dataset
import recbole.trainer
import yaml
from recbole.model.abstract_recommender import AbstractRecommender

from recbole_whisperlite import own_code
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.fold_in import make_foldable
from recbole_whisperlite.model.names import (
    FAMILIES,
    find_model,
    our_models,
    recbole_models,
)

# Where RecBole's get_model looks first, by lower-case name; it takes the family from the class.
_FOLDER = "recbole.model.general_recommender"

_inherited = set()  # names of dataset classes and trainers that _inherit has set


class _Loader(yaml.SafeLoader):
    """Reads yaml as RecBole does: 1e-3 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def model_class(name: str) -> type:
    """Return the class of a model, and register it if it is a custom one.

    Args:
        name (str): A model's name, or ``module:Class`` for a class that can be imported
            from the current folder or from an installed package.

    Raises:
        UserError: If there is no such model, or its module cannot be imported.
    """
    if not own_code.is_named(name):
        return find_model(name)
    return register_model(own_code.load(name, "model"))


def register_model(model_class: type) -> type:
    """Let RecBole find a custom model by its class name.

    A class derived from a model that has a dataset class or a trainer of its own gets
    these too.

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
    _check_name(model_class)
    name = model_class.__name__
    path = f"{_FOLDER}.{name.lower()}"
    module = sys.modules.setdefault(path, ModuleType(path))
    module.__spec__ = ModuleSpec(path, loader=None)
    setattr(module, name, model_class)
    for package, kind in (
        (recbole.data.dataset, "Dataset"),
        (recbole.trainer, "Trainer"),
    ):
        _inherit(package, kind, model_class)
    for base in model_class.__mro__:
        if is_own(base) and hasattr(base, "user_rows"):
            make_foldable(base)
    return model_class


def _check_name(model_class):
    """Raise a UserError if the name is RecBole's or ours: it would hide that model."""
    name = model_class.__name__
    lower = name.lower()  # the names of RecBole's modules are lower-case
    known = {other.lower(): other for other in (*recbole_models(), *our_models())}
    if lower in known or any(_is_taken(family, lower) for family in FAMILIES):
        raise UserError(
            f"{model_class.__module__}:{name} cannot be used under this name: RecBole or "
            f"this package has a model '{known.get(lower, name)}'. Give your class another "
            "name."
        )


def _is_taken(family, lower):
    spec = importlib.util.find_spec(f"recbole.model.{family}_recommender.{lower}")
    return spec is not None and spec.loader is not None


def _inherit(module, kind, model_class):
    """Make the dataset class or trainer of a model's nearest base that of the model, too.

    RecBole looks up both by the name of the model. What was inherited before is removed
    first: a class that is redefined, as in a notebook, may have other bases.
    """
    name = f"{model_class.__name__}{kind}"
    if name in _inherited:
        _inherited.remove(name)
        delattr(module, name)
    for base in model_class.__mro__[1:]:
        found = getattr(module, f"{base.__name__}{kind}", None)
        if issubclass(base, AbstractRecommender) and found is not None:
            if not hasattr(module, name):
                setattr(module, name, found)
                _inherited.add(name)
            return


def is_own(model_class: type) -> bool:
    """Return whether a model is custom: neither RecBole's nor this package's."""
    return model_class.__module__.partition(".")[0] not in (
        "recbole",
        "recbole_whisperlite",
    )


def own_settings(model_class: type) -> dict:
    """Return the default settings of a custom model, on top of its custom bases'.

    Raises:
        UserError: If a yaml file or an attribute ``settings`` is not a mapping.
    """
    settings = {}
    for base in reversed(model_class.__mro__):
        if issubclass(base, AbstractRecommender) and is_own(base):
            settings.update(_of_class(base))
    return settings


def _of_class(model_class):
    given, where = vars(model_class).get("settings"), f"{model_class.__name__}.settings"
    path = settings_file(model_class)
    if given is None and path is not None and path.is_file():
        where = str(path)
        try:
            given = yaml.load(path.read_text("utf-8"), Loader=_Loader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{where} is not yaml: {error}") from None
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise UserError(f"{where} must hold settings as 'key: value', not {given!r}.")
    return given


def files(name: str) -> list[Path]:
    """Return the source and yaml files of a custom model; ``[]`` for others.

    Args:
        name (str): As for :func:`model_class`.
    """
    found = model_class(name)
    if not is_own(found):
        return []
    yaml_files = [settings_file(base) for base in found.__mro__ if is_own(base)]
    yaml_files = [path for path in yaml_files if path is not None and path.is_file()]
    return [*own_code.sources(found), *yaml_files]


def settings_file(model_class: type) -> Path | None:
    """Return the path that the yaml file of a custom model has, if it exists.

    None for a model that has no source file, such as one defined in a notebook.
    """
    try:
        source = inspect.getfile(model_class)
    except (TypeError, OSError):
        return None
    return Path(source).with_name(f"{model_class.__name__}.yaml")
