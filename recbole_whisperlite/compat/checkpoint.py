"""Read the checkpoints and datasets RecBole saves, and nothing but data from them.

RecBole saves a protocol-4 pickle that holds its ``Config``; ``torch.load`` has refused
such files since torch 2.6. This reader uses an unpickler that has a list of the names a
RecBole checkpoint may contain and checks every call in the file: it fills instances of
RecBole's classes without calling the classes, and rebuilds tensors and arrays.
Everything else is refused before it happens, so reading a file runs none of its code.
Nor do its settings: :mod:`recbole_whisperlite.compat.plain_values` keeps RecBole from
evaluating them, and code of the user's own that they name must be imported already.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
import importlib
import io
import logging
import os
import pathlib
import pickle
import sys
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from types import NoneType
from typing import Any, BinaryIO, NoReturn

import numpy as np
import pandas
import torch
import yaml
from pandas._libs.internals import _unpickle_block
from pandas.core.indexes.base import _new_Index
from pandas.core.internals.managers import BlockManager
from torch._weights_only_unpickler import _get_allowed_globals

from recbole_whisperlite import own_code
from recbole_whisperlite.errors import UserError

# Some models save a layer, and that layer holds the dataset: a checkpoint may contain
# any class of RecBole or of this package, torch's layers and scipy's matrices.
_FILLED = (
    *("recbole.", "recbole_whisperlite.", "torch.nn.modules.", "scipy.sparse."),
    "torch.utils.data.sampler",  # of saved dataloaders
)

# What pickle calls to rebuild arrays and scalars, and where numpy 1 and 2 keep it.
_RECONSTRUCT, _SCALAR = np.ndarray(0).__reduce__()[0], np.float64(0).__reduce__()[0]
_NUMPY_CORE = ("numpy.core.multiarray", "numpy._core.multiarray")

# A dataset with requests keeps its texts in a pandas DataFrame.
_PANDAS = {
    ("pandas._libs.internals", "_unpickle_block"): _unpickle_block,
    ("pandas.core.indexes.base", "_new_Index"): _new_Index,
    ("pandas.core.internals.managers", "BlockManager"): BlockManager,
}
_PATH = type(pathlib.Path())


def _load_from_bytes(content):
    """Stand for torch's function of this name: tensors that are pickled without torch."""
    return _torch_load(io.BytesIO(content), "a tensor")


# Names allowed in checkpoints, in addition to what torch lists for tensors, the classes
# that may be filled, and the yaml loader that Config keeps.
_NAMED = {
    ("builtins", "dict"): dict,
    ("builtins", "getattr"): getattr,
    ("builtins", "list"): list,
    ("builtins", "set"): set,
    ("builtins", "slice"): slice,
    ("collections", "Counter"): Counter,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("logging", "getLogger"): logging.getLogger,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "matrix"): np.matrix,
    ("numpy", "ndarray"): np.ndarray,
    (_PATH.__module__, _PATH.__name__): _PATH,
    ("torch", "device"): torch.device,
    ("torch.storage", "_load_from_bytes"): _load_from_bytes,
    ("pandas.core.frame", "DataFrame"): pandas.DataFrame,
    ("pandas.core.indexes.base", "Index"): pandas.Index,
    ("pandas.core.indexes.range", "RangeIndex"): pandas.RangeIndex,
    **_PANDAS,
    **{(module, "_reconstruct"): _RECONSTRUCT for module in _NUMPY_CORE},
    **{(module, "scalar"): _SCALAR for module in _NUMPY_CORE},
}
_CALLED = (
    *(dict, list, set, slice, Counter, OrderedDict, defaultdict),
    *(logging.getLogger, _PATH, torch.device, _RECONSTRUCT, _SCALAR, _load_from_bytes),
    *_PANDAS.values(),
)
# Of a dataloader: how it makes a batch, and how it samples for it.
_METHODS = (
    "collate_fn",
    "_neg_sample_by_pair_wise_sampling",
    "_neg_sample_by_point_wise_sampling",
)


def load_checkpoint(
    file: str | os.PathLike | BinaryIO, map_location: Any = None
) -> Any:
    """Read a checkpoint written by RecBole's trainer.

    Replaces ``torch.load`` in RecBole's own calls: ``Trainer.evaluate``,
    ``Trainer.resume_checkpoint``, ``load_data_and_model`` and the models that start
    from a pretrained file.

    Args:
        file (str, os.PathLike or binary file): The checkpoint.
        map_location (torch.device, str, dict or callable, optional): As in
            ``torch.load``.

    Returns:
        object: What was saved; RecBole's trainer saves a dict.

    Raises:
        UserError: If the file is no checkpoint or damaged, contains something that a
            RecBole checkpoint does not, or a WhisperLite of version 0.1.
    """
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else repr(file)
    if map_location is None and not torch.cuda.is_available():
        map_location = "cpu"  # a model that was trained on a GPU can be used without
    try:
        checkpoint = _torch_load(file, name, map_location)
    except _Refused as what:
        raise UserError(
            f"{name} {what}, which is not part of a RecBole checkpoint; the file was not "
            "loaded. If you trust its source, load it yourself with torch.load(..., "
            "weights_only=False)."
        ) from None
    except (UserError, FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        # torch and pickle raise many kinds for a file that is cut or of another kind
        raise UserError(
            f"{name} is no checkpoint, or damaged ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:120]}). Checkpoints are the .pth files that a "
            "run writes into saved/."
        ) from error
    _refuse_old_whisperlite(checkpoint, name)
    _move_data(checkpoint)
    _move_to_device(checkpoint)
    _check_record(checkpoint, name)
    return checkpoint


def _torch_load(file, name, map_location=None):
    """Do as ``torch.load`` does, with the unpickler of this module."""
    if _is_torchscript(file):
        raise _Refused("is a TorchScript program")
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


def load_saved_data(file: BinaryIO) -> Any:
    """Read the dataset, or the dataloaders, that RecBole has saved.

    Replaces ``pickle.load`` where RecBole looks for them: in ``dataset_save_path`` and
    ``dataloaders_save_path``, or by their names in ``checkpoint_dir``.

    Args:
        file (binary file): Written by ``save_dataset`` or ``save_dataloaders``.

    Returns:
        Dataset or list of tuple: What was saved.

    Raises:
        UserError: If the file is neither, is damaged, or contains something that RecBole
            does not save.
    """
    unpickler = type("Unpickler", (_DataUnpickler,), {"file_name": file.name})
    try:
        saved = unpickler(file).load()
        parts = saved if isinstance(saved, list) else [(saved, None)]
        if not all(hasattr(part, "config") for part, *_ in parts):
            raise _Refused(f"holds a {_name_of(type(saved))}")
    except _Refused as error:
        what = str(error)
    except UserError:
        raise
    except Exception as error:  # of many kinds, if the file is damaged
        what = f"is damaged ({type(error).__name__}: {str(error)[:120]})"
    else:
        return saved
    raise UserError(
        f"{file.name} {what}, which is no data that RecBole saved; it was not loaded. "
        "RecBole looks there for a dataset or dataloaders: delete the file, and the data "
        "are read anew; or set dataset_save_path or dataloaders_save_path to what you have "
        "saved yourself."
    )


# In a trainer that continues: the record of its run, with which others are compared.
_continued = contextvars.ContextVar("continued", default=None)


@contextlib.contextmanager
def only_of(record: Any) -> Iterator[None]:
    """Refuse checkpoints that were trained on something else than ``record`` says.

    Args:
        record (TrainedOn or None): Of the run that reads the checkpoint.
    """
    token = _continued.set(record)
    try:
        yield
    finally:
        _continued.reset(token)


def _check_record(checkpoint, name):
    config = checkpoint.get("config") if isinstance(checkpoint, dict) else None
    if not hasattr(config, "final_config_dict"):
        return
    # None, unlike nothing at all, says that the checkpoint does not tell
    record = vars(config).setdefault("trained_on", None)
    if record is not None and _continued.get() is not None:
        _continued.get().refuse_other(record, name)


# Where the datasets of the checkpoints that are read now are.
_data_path = contextvars.ContextVar("data_path", default=None)


@contextlib.contextmanager
def data_in(data_path: str | os.PathLike | None) -> Iterator[None]:
    """Let checkpoints find their dataset elsewhere than in training.

    Args:
        data_path (str, Path or None): The folder that contains the dataset's folder; None
            changes nothing.
    """
    token = _data_path.set(data_path)
    try:
        yield
    finally:
        _data_path.reset(token)


def _move_data(checkpoint):
    config = checkpoint.get("config") if isinstance(checkpoint, dict) else None
    if _data_path.get() is not None and hasattr(config, "final_config_dict"):
        config["data_path"] = os.path.join(_data_path.get(), config["dataset"])


def _move_to_device(checkpoint):
    config = checkpoint.get("config") if isinstance(checkpoint, dict) else None
    if hasattr(config, "final_config_dict") and not torch.cuda.is_available():
        config["device"] = torch.device("cpu")


def _refuse_old_whisperlite(checkpoint, name):
    """Version 0.1 called WhisperLite what is two models now."""
    config = checkpoint.get("config") if isinstance(checkpoint, dict) else None
    settings = getattr(config, "final_config_dict", {})
    is_old = "use_memory" in settings and "known_at_test" not in settings
    if settings.get("model") == "WhisperLite" and is_old:
        raise UserError(
            f"{name} was written by version 0.1, whose WhisperLite is two models now: "
            "train WhisperLite (the paper's) or WhisperLitePlus (with memory, neighbors, "
            "history and refusals) anew."
        )


class _Refused(UserError):
    """What a file does that data do not, as the predicate of a sentence."""


# A subclass of the unpickler written in Python, because the one in C does not let a
# subclass check what a file calls. It is fast enough: a checkpoint's tensors are not in
# its pickle, which holds only a few hundred objects.
class _DataUnpickler(pickle._Unpickler):
    """Refuses what is not data; ``file_name`` is used in error messages."""

    file_name = ""
    dispatch = dict(pickle._Unpickler.dispatch)

    def load(self) -> Any:
        self.made = []
        loaded = super().load()
        for instance in self.made:
            self._check_settings(instance)
        return loaded

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMED:
            return _NAMED[module, name]
        for_tensors = _get_allowed_globals().get(f"{module}.{name}")
        if for_tensors is not None:
            return for_tensors
        return _find_class(module, name) or self._refuse(f"names {module}.{name}")

    def load_reduce(self) -> None:
        function, arguments = self.stack[-2:]
        if not _may_call(function, arguments):
            self._refuse(f"calls {_name_of(function)}")
        super().load_reduce()

    def load_newobj(self) -> None:
        made, arguments = self.stack[-2:]
        if arguments or not _may_fill(made):
            self._refuse(f"makes a {_name_of(made)}")
        super().load_newobj()
        self.made.append(self.stack[-1])

    def load_build(self) -> None:
        instance, state = self.stack[-2:]
        if isinstance(instance, np.dtype):
            # The call before this has made it. numpy accepts any state unchecked, so
            # the state is only checked for this machine's byte order, then dropped.
            if instance.newbyteorder(state[1]) != instance:
                self._refuse("has arrays in a foreign byte order")
            self.stack.pop()
            return
        if not isinstance(instance, (np.ndarray, torch.Tensor, OrderedDict)):
            if not _may_fill(type(instance)):
                self._refuse(f"changes a {_name_of(type(instance))}")
        super().load_build()

    def load_other_call(self) -> None:
        self._refuse("makes calls in a way that no RecBole checkpoint does")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    for opcode in (pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX):
        dispatch[opcode[0]] = load_other_call

    def _check_settings(self, instance):
        """Refuse settings that name code, at the end, when they are complete."""
        from recbole.config import Config

        attributes = getattr(instance, "__dict__", {})
        if isinstance(instance, Config):
            for settings in attributes.values():
                if isinstance(settings, dict):
                    own_code.check_named(settings, self.file_name)
        elif not isinstance(attributes.get("config"), (Config, NoneType)):
            self._refuse(
                f"has settings of a {_name_of(type(instance))} that are no Config"
            )

    def _refuse(self, what) -> NoReturn:
        raise _Refused(what)


def _find_class(module, name):
    """Return the class if a RecBole checkpoint may name it, or None."""
    if module.startswith(_FILLED):
        try:
            importlib.import_module(module)
        except ImportError:
            return None
    # A user's or a library's own class is found only if its module has been imported.
    found = getattr(sys.modules.get(module), name, None)
    return found if _may_fill(found) or found is yaml.FullLoader else None


def _may_fill(named):
    """Return whether a checkpoint may hold instances of ``named``."""
    from recbole.config import Config
    from recbole.model.abstract_recommender import AbstractRecommender

    # The Config of a library beside RecBole, such as RecBole-GNN, is one of its own.
    return isinstance(named, type) and (
        named is pandas.DataFrame
        or named.__module__.startswith(_FILLED)
        or issubclass(named, (AbstractRecommender, Config))
    )


def _may_call(function, arguments):
    """Return whether a checkpoint may call ``function`` with ``arguments``."""
    if function is getattr:
        # how Python 3.11.0 to 3.11.3 pickle enum members, and every Python the methods
        # that a dataloader keeps
        return len(arguments) == 2 and (
            _is_enum(arguments[0])
            or (_is_dataloader(arguments[0]) and arguments[1] in _METHODS)
        )
    if function is _new_Index:
        return arguments[0] in (pandas.Index, pandas.RangeIndex)
    if function is np.dtype:  # numbers, text and objects; no structured types
        return isinstance(arguments[0], str) and (
            np.dtype(arguments[0]).kind in "biufcSUO"
        )
    return (
        _is_enum(function)
        or any(function is called for called in _CALLED)
        or any(function is called for called in _get_allowed_globals().values())
    )


def _is_dataloader(instance):
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader

    return isinstance(instance, AbstractDataLoader)


def _is_enum(named):
    return isinstance(named, type) and issubclass(named, enum.Enum)


def _name_of(named):
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else repr(named)


def _is_torchscript(file):
    """Return whether torch.load would bypass our unpickler and call torch.jit."""
    begin = None if isinstance(file, (str, os.PathLike)) else file.tell()
    try:
        if not zipfile.is_zipfile(file):
            return False
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("constants.pkl") for name in archive.namelist())
    finally:
        if begin is not None:
            file.seek(begin)
