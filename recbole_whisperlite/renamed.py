"""What had another name in version 0.1: the old one leads to it, with a warning."""

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from types import ModuleType

# old module: (module, {old name in it: name})
MODULES = {
    "checkpoint": ("compat.checkpoint", {}),
    "data.evaluation": ("evaluation.dataloader", {}),
    "data.refusals": ("data.negation", {}),
    "data.ruled_out": ("evaluation.ruled_out", {}),
    "data.units": ("evaluation.queries", {"Units": "Queries"}),
    "report": ("evaluation.result_file", {}),
    "unit_file": (
        "evaluation.rank_file",
        {"read_units": "read_ranks", "write_units": "write_ranks"},
    ),
}


class OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module by its old name; install it once, in ``sys.meta_path``."""

    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.partition(".")
        if package != __package__ or name not in MODULES:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec):
        return None  # a usual one

    def exec_module(self, module: ModuleType) -> None:
        name, renamed = MODULES[module.__name__.partition(".")[2]]
        found = importlib.import_module(f"{__package__}.{name}")
        warnings.warn(
            f"{module.__name__} is {found.__name__} now.", DeprecationWarning, 2
        )
        module.__getattr__ = lambda each: getattr(found, renamed.get(each, each))


def install() -> None:
    """Let Python find modules by their old names."""
    if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
        sys.meta_path.append(OldNames())


def property_of(name: str) -> property:
    """Return a property that leads to the attribute of another name."""

    def get(self):
        warnings.warn(f"This attribute is {name} now.", DeprecationWarning, 2)
        return getattr(self, name)

    return property(get, doc=f"The name of :attr:`{name}` in version 0.1.")
