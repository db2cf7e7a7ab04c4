"""WhisperLite for RecBole: a shopper writes what they want, every product is ranked.

Importing this package is cheap, because it does not import RecBole. Whoever imports
RecBole afterwards, in this process or in one that it spawns, finds it repaired for the
installed libraries and with everything of this package registered.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from types import ModuleType

__version__ = "0.2.0"
__all__ = ["register", "register_metric", "register_model"]


def register() -> None:
    """Import RecBole, repaired and with this package's models registered.

    Only needed to have it done now: ``import recbole`` does the same. Calling it again
    does nothing.

    Raises:
        UserError: An installed library has to be replaced; the message names the command.
    """
    importlib.import_module("recbole")


def register_model(model_class: type) -> type:
    """Let RecBole find a model of your own by its class name (usable as a decorator).

    Args:
        model_class (type): A subclass of one of RecBole's recommenders; see
            :func:`recbole_whisperlite.model.own.register_model`.

    Returns:
        type: The class itself.
    """
    register()
    own = importlib.import_module("recbole_whisperlite.model.own")
    return own.register_model(model_class)


def register_metric(metric_class: type) -> type:
    """Let RecBole find a metric of your own by its class name (usable as a decorator).

    Args:
        metric_class (type): A subclass of one of RecBole's metrics; see
            :func:`recbole_whisperlite.evaluation.metric.register_metric`.

    Returns:
        type: The class itself.
    """
    register()
    metric = importlib.import_module("recbole_whisperlite.evaluation.metric")
    return metric.register_metric(metric_class)


def _prepare_recbole(explicit=register):
    importlib.import_module("recbole_whisperlite.compat").apply()
    importlib.import_module("recbole_whisperlite.register")
    globals()["register"] = explicit  # the module of that name has taken its place


class _RecBoleFinder(importlib.abc.MetaPathFinder):
    """Finds RecBole as usual, with a loader that prepares it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "recbole":
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _RecBoleLoader(spec.loader)
        return spec


class _RecBoleLoader(importlib.abc.Loader):
    """RecBole's own loader; once the package is there, it is repaired and extended."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _prepare_recbole()


if "recbole" in sys.modules:
    _prepare_recbole()
else:
    sys.meta_path.insert(0, _RecBoleFinder())
