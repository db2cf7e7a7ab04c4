"""Read the checkpoints RecBole writes, and nothing but data from them.

RecBole saves a protocol-4 pickle that holds its ``Config``; ``torch.load`` refuses such
a file since torch 2.6. This reader takes it through an unpickler that knows by name what
a RecBole checkpoint is made of: tensors, numpy and scipy arrays, and instances of
RecBole's own classes, which it fills without calling them. Everything else is refused before it is called, so that reading
a file runs none of its code.
"""

import enum
import importlib
import os
import pickle
import sys
import types
import zipfile

import torch
from torch._weights_only_unpickler import _get_allowed_globals

from recbole_whisperlite.errors import UserError

# Some models save a layer, and the layer holds the dataset: any class of RecBole's, of
# ours and of torch's layers can be in a checkpoint. Config keeps its yaml loader's class.
_OURS = ("recbole.", "recbole_whisperlite.", "torch.nn.modules.")
_YAML_LOADER = ("yaml.loader", "FullLoader")

# Data that unpickling rebuilds by a call. None of these runs code handed to it, opens a
# file or imports a module; torch's own list adds what tensors need.
_DATA = {
    *(
        ("builtins", name)
        for name in ("bytearray", "bytes", "complex", "dict", "float")
    ),
    *(("builtins", name) for name in ("frozenset", "int", "list", "range", "set")),
    *(("builtins", name) for name in ("slice", "str", "tuple")),
    *(("collections", name) for name in ("Counter", "OrderedDict", "defaultdict")),
    ("logging", "getLogger"),
    *(("numpy", name) for name in ("dtype", "matrix", "ndarray")),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *(
        (f"scipy.sparse.{module}", f"{kind}_{base}")
        for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
        for base in ("matrix", "array")
        for module in (kind, f"_{kind}")
    ),
}


def load_checkpoint(file, map_location=None):
    """Read a checkpoint written by RecBole's trainer.

    Stands in for ``torch.load`` in RecBole's own calls: ``Trainer.evaluate``,
    ``Trainer.resume_checkpoint``, ``load_data_and_model`` and the models that start
    from a pretrained file.

    Args:
        file (str, os.PathLike or binary file): The checkpoint.
        map_location: As in ``torch.load``.

    Returns:
        object: What was saved; RecBole's trainer saves a dict.

    Raises:
        UserError: The file holds something no RecBole checkpoint is made of.
    """
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else repr(file)
    if _is_torchscript(file):
        raise UserError(f"{name} is a TorchScript program, not a RecBole checkpoint.")
    unpickler = type("Unpickler", (_DataUnpickler,), {"file_name": name})
    return torch.load(
        file,
        map_location=map_location,
        weights_only=False,
        pickle_module=types.SimpleNamespace(
            __name__=__name__,
            Unpickler=unpickler,
            load=lambda stream, **options: unpickler(stream, **options).load(),
        ),
    )


class _DataUnpickler(pickle.Unpickler):
    """Finds only what is known to be data; ``file_name`` is for the error."""

    file_name = ""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._made = []

    def find_class(self, module, name):
        if (module, name) in _DATA:
            return super().find_class(module, name)
        if (torch_global := _get_allowed_globals().get(f"{module}.{name}")) is not None:
            return torch_global
        if (module, name) == ("builtins", "getattr"):
            return _enum_member  # how Python 3.11.0 to 3.11.3 pickle an enum's member
        found = _find_class(module, name)
        if found is None:
            raise UserError(
                f"{self.file_name} holds {module}.{name}, which is not part of a "
                "RecBole checkpoint; nothing of the file was used. If you trust whoever "
                "made it, read it yourself with torch.load(..., weights_only=False)."
            )
        return found if issubclass(found, enum.Enum) else _stand_in(found, self._made)

    def load(self):
        loaded = super().load()
        for instance in self._made:
            attributes = getattr(instance, "__dict__", {})
            for key, value in attributes.items():
                if isinstance(value, type) and issubclass(value, _StandIn):
                    attributes[key] = value.named
        return loaded


def _find_class(module, name):
    """Return the class if a RecBole checkpoint may hold it or its instances, or None."""
    if module.startswith(_OURS):
        try:
            importlib.import_module(module)
        except ImportError:
            return None
    # A model of the user's own is found only if the user has imported it.
    found = getattr(sys.modules.get(module), name, None)
    # The name must be where the class was defined: no detour over an import elsewhere.
    if not isinstance(found, type) or found.__module__ != module:
        return None
    if module.startswith(_OURS) or (module, name) == _YAML_LOADER:
        return found

    from recbole.model.abstract_recommender import AbstractRecommender

    return found if issubclass(found, AbstractRecommender) else None


class _StandIn:
    """Stands for a class while a file is read.

    The file may name the class, and have an empty instance to fill; it cannot call the
    class. ``Config(...)``, for one, evaluates the strings it is given.
    """

    named = None


def _stand_in(named, made):
    """Return the stand-in for ``named``; instances are appended to the list ``made``."""

    def __new__(cls, *args, **kwargs):
        if args or kwargs:
            raise UserError(
                f"A checkpoint calls {named.__module__}.{named.__qualname__}; one that "
                "RecBole wrote never does."
            )
        instance = named.__new__(named)
        made.append(instance)
        return instance

    return type(named.__name__, (_StandIn,), {"__new__": __new__, "named": named})


def _enum_member(enum_class, name):
    """``getattr`` for enums only."""
    if not (isinstance(enum_class, type) and issubclass(enum_class, enum.Enum)):
        raise UserError(f"A checkpoint asks for the attribute {name} of {enum_class}.")
    return enum_class[name]


def _is_torchscript(file):
    """torch.load would hand such an archive to torch.jit, past our unpickler."""
    if not isinstance(file, (str, os.PathLike)) or not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())
