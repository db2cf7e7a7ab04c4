"""The folder of an exported model: JSON, safetensors, npy, npz and parquet; no pickle.

``config.json`` names the other files with their sizes and digests. It is replaced last, in
one step, so that the folder is the model before or after a change at any moment. Files that
a change does not touch are not written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import plain, whole_file

CONFIG, CARD = "config.json", "README.md"
FORMAT, VERSION = "recbole-whisperlite model", 1
#: The whole of a file is hashed up to this size, in bytes; of larger ones, samples.
_HASHED_WHOLE = 2**26
_SAMPLES, _SAMPLE = 64, 2**20


def write(
    folder: Path, config: dict, arrays: Mapping[str, object], card: str | None
) -> None:
    """Write an exported model, whole or not at all.

    Args:
        folder (Path): Where; a new folder, an empty one or an exported model, which is
            replaced.
        config (dict): All but arrays, as JSON can hold it.
        arrays (mapping): By ``file.npy``, or ``file/name`` for arrays that share a
            file: numpy arrays; lists of str or ``pyarrow.Table`` (name ``""``) in
            ``.parquet`` files.
        card (str or None): The model card, markdown; None keeps the one that is there.

    Raises:
        UserError: If the folder holds something else, or cannot be written to.
    """
    folder = Path(folder)
    try:
        _check_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.resolve().with_name(f".{folder.name}.lock")
        with FileLock(lock):
            if folder.is_dir() and (folder / CONFIG).is_file():
                _update(folder, config, arrays, card)
            else:
                _create(folder, config, arrays, card)
        lock.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"The model cannot be written to {folder}: {error.strerror or error}."
        ) from error


def _check_replaceable(folder):
    if folder.is_file():
        raise UserError(f"{folder} is a file; the model needs a folder of its own.")
    if folder.is_dir() and any(folder.iterdir()):
        if not _is_ours(folder):
            raise UserError(
                f"{folder} exists and is not an exported model. Choose another folder, "
                "or empty it."
            )


def _is_ours(folder):
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return json.loads((folder / CONFIG).read_text("utf-8"))["format"] == FORMAT
    return False


def _create(folder, config, arrays, card):
    part = folder.resolve().with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        _update(part, config, arrays, card)
        if folder.is_dir():
            folder.rmdir()  # empty
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _update(folder, config, arrays, card):
    before = {}
    with contextlib.suppress(OSError, ValueError, KeyError):
        before = json.loads((folder / CONFIG).read_text("utf-8"))["files"]
    files, new = {}, []
    try:
        for name, content in _by_file(arrays).items():
            files[name] = _keep_or_write(folder, name, content, before.get(name))
            if files[name] != before.get(name):
                new.append(folder / files[name]["stored"])
        config = {"format": FORMAT, "version": VERSION, **config, "files": files}
        with whole_file(folder / CONFIG) as file:
            file.write_text(json.dumps(config, indent=2, default=plain) + "\n", "utf-8")
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise
    if card is not None:
        with whole_file(folder / CARD) as file:
            file.write_text(card, "utf-8")
    used = {each["stored"] for each in files.values()} | {CONFIG}
    for entry in before.values():
        if entry["stored"] not in used:
            (folder / entry["stored"]).unlink(missing_ok=True)


def _by_file(arrays):
    files = {}
    for key, array in arrays.items():
        file, _, name = key.partition("/")
        if name or file.endswith(".parquet"):
            files.setdefault(file, {})[name] = array
        else:
            files[file] = array
    return files


def _keep_or_write(folder, name, content, before):
    """Write a file unless it is there already; return its entry in ``config.json``."""
    if before and isinstance(content, np.memmap):
        if content.filename and Path(content.filename) == folder / before["stored"]:
            return before
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        _write_one(part, name, content)
        entry = {"bytes": part.stat().st_size, "digest": digest(part)}
        if before and all(before[key] == entry[key] for key in entry):
            return before
        stored = _unused(folder, name) if before else name
        os.replace(part, folder / stored)
        return {"stored": stored, **entry}
    finally:
        part.unlink(missing_ok=True)


def _unused(folder, name):
    stem, dot, suffix = name.rpartition(".")
    number = 2
    while (folder / f"{stem}.{number}{dot}{suffix}").exists():
        number += 1
    return f"{stem}.{number}{dot}{suffix}"


def _write_one(path, name, content):
    with open(path, "wb") as file:
        if name.endswith(".npy"):
            np.save(file, np.ascontiguousarray(content), allow_pickle=False)
        elif name.endswith(".npz"):
            np.savez(file, **content)
        elif name.endswith(".parquet"):
            pq.write_table(_table(content), file)
        else:
            from safetensors.numpy import save

            file.write(save({k: np.ascontiguousarray(v) for k, v in content.items()}))
        file.flush()
        os.fsync(file.fileno())


def _table(content):
    if "" in content:
        return content[""]
    columns = {}
    for name, column in content.items():
        if isinstance(column, np.ndarray) and column.ndim == 2:
            flat = pa.array(np.ascontiguousarray(column).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, column.shape[1])
        else:
            strings = pa.string() if isinstance(column, list) else None
            columns[name] = pa.array(column, strings)
    return pa.table(columns)


def digest(path: Path) -> str:
    """Return the hash of a file: of all of it, or of samples of a large one."""
    size, result = path.stat().st_size, hashlib.blake2b(digest_size=20)
    with open(path, "rb") as file:
        if size <= _HASHED_WHOLE:
            result.update(file.read())
        else:
            for begin in np.linspace(0, size - _SAMPLE, _SAMPLES).astype(int).tolist():
                file.seek(begin)
                result.update(file.read(_SAMPLE))
    return result.hexdigest()


class ModelFolder(Mapping):
    """An exported model on disk: its config, and its arrays by ``file`` or ``file/name``.

    All files are compared with ``config.json`` when it is opened, and read when they are
    needed.

    Args:
        folder (str or Path): The folder.
        memory_map (bool): Whether ``.npy`` files are memory-mapped.

    Raises:
        UserError: If it is not an exported model, of a later version, incomplete or
            damaged.
    """

    def __init__(self, folder: str | os.PathLike, memory_map: bool = True):
        self.folder = Path(folder)
        self._mode = "r" if memory_map else None
        self.config = self._read_config()
        self._opened = {}
        for name, entry in self.config["files"].items():
            self._check(name, entry)

    def _read_config(self):
        path = self.folder / CONFIG
        if not self.folder.is_dir():
            raise UserError(f"There is no folder {self.folder}.")
        try:
            config = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.folder} is not an exported model: it has no {CONFIG}. Write one "
                "with recbole-whisperlite export."
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}.") from None
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise UserError(
                f"{self.folder} is not an exported model of recbole-whisperlite: its "
                f"{CONFIG} says something else."
            )
        version = config.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise UserError(
                f"{self.folder} has version {version} of the format, and this package "
                f"reads versions up to {VERSION}. Install a later recbole-whisperlite."
            )
        if not isinstance(config.get("files"), dict):
            self.refuse(f"{CONFIG} lists no files")
        return config

    def refuse(self, what: object) -> None:
        """Raise the UserError of a damaged model."""
        raise UserError(
            f"{self.folder} is damaged or was altered: {what}. Export the model again."
        )

    def _check(self, name, entry):
        stored = entry.get("stored") if isinstance(entry, dict) else None
        if not isinstance(stored, str) or Path(stored).name != stored:
            self.refuse(f"{CONFIG} names no file for {name!r}")
        path = self.folder / stored
        if not path.is_file():
            self.refuse(f"{stored} is missing")
        if path.stat().st_size != entry.get("bytes"):
            self.refuse(
                f"{stored} has {path.stat().st_size} bytes, not {entry['bytes']}"
            )
        if digest(path) != entry.get("digest"):
            self.refuse(f"the content of {stored} is not what was exported")

    @contextlib.contextmanager
    def reading(self):
        """Turn whatever goes wrong while the content is read into one UserError."""
        try:
            yield
        except UserError:
            raise
        except KeyError as error:
            self.refuse(f"{error.args[0]} is missing")
        except Exception as error:
            # numpy, pyarrow and safetensors raise many kinds for broken content
            self.refuse(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")

    def __getitem__(self, key):
        file, _, name = key.partition("/")
        if file not in self._opened:
            entry = self.config["files"][file]
            path = self.folder / entry["stored"]
            self._opened[file] = _read_one(path, file, self._mode)
        content = self._opened[file]
        return content[name] if name else content

    def __iter__(self):
        return iter(self.config["files"])

    def __len__(self):
        return len(self.config["files"])


def _read_one(path, name, mode):
    if name.endswith(".npy"):
        return np.load(path, mmap_mode=mode, allow_pickle=False)
    if name.endswith(".npz"):
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    if name.endswith(".parquet"):
        return pq.read_table(path)
    from safetensors.numpy import load_file

    return load_file(path)
