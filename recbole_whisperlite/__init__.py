"""WhisperLite for RecBole: a shopper writes what they want, and every product is ranked.

Importing this package is cheap, because it does not import RecBole. When RecBole is
imported later, in this process or in one spawned by it, RecBole is repaired to work with
the installed libraries, and everything in this package is registered with it.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from types import ModuleType

__version__ = "0.2.0"
__all__ = ["Recommender", "register", "register_metric", "register_model"]


def __getattr__(name):
    """Import Recommender when it is used: it needs numpy, scipy and pyarrow."""
    if name == "Recommender":
        module = "recbole_whisperlite.recommend.recommender"
        return importlib.import_module(module).Recommender
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register() -> None:
    """Import RecBole, repaired and with this package's models registered.

    Only needed to do so right away: ``import recbole`` does the same. Further calls do
    nothing.

    Raises:
        UserError: If an installed library must be replaced; the message gives the command.
    """
    importlib.import_module("recbole")


def register_model(model_class: type) -> type:
    """Let RecBole find a custom model by its class name (also usable as a decorator).

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
    """Let RecBole find a custom metric by its class name (also usable as a decorator).

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
    globals()["register"] = explicit  # importing the module replaced the function


class _RecBoleFinder(importlib.abc.MetaPathFinder):
    """Finds RecBole as usual, but wraps its loader in one that prepares RecBole."""

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
    """Loads RecBole with its own loader, then repairs and extends it."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _prepare_recbole()


importlib.import_module("recbole_whisperlite.renamed").install()
if "recbole" in sys.modules:
    _prepare_recbole()
else:
    sys.meta_path.insert(0, _RecBoleFinder())
