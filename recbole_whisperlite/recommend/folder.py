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
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import (
    part_folder,
    part_of,
    plain,
    remove_leftovers,
    whole_file,
)

CONFIG, CARD = "config.json", "README.md"
FORMAT, VERSION = "recbole-whisperlite model", 2
# Held while a model is changed; it stays, as another process may wait for it.
_LOCK, _PATIENCE = ".lock", 60
#: Files of more bytes are hashed by samples, and arrays are not read when loaded.
LARGE = 2**26
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
        if (folder / CONFIG).is_file():
            with FileLock(folder / _LOCK, timeout=_PATIENCE):
                _update(folder, config, arrays, card)
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _create(folder, config, arrays, card)
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
    config = _config_of(folder)
    return isinstance(config, dict) and config.get("format") == FORMAT


def _config_of(folder):
    """Return the content of ``config.json``, None if there is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return json.loads((folder / CONFIG).read_text("utf-8"))


def _create(folder, config, arrays, card):
    with part_folder(folder.resolve()) as part:
        _update(part, config, arrays, card)
        if folder.is_dir():
            folder.rmdir()  # empty
        os.rename(part, folder)


def _update(folder, config, arrays, card):
    before, contents = _entries(_config_of(folder)), _by_file(arrays)
    try:
        files = {
            name: _keep_or_write(folder, name, content, before.get(name))
            for name, content in contents.items()
        }
        config = {"format": FORMAT, "version": VERSION, **config, "files": files}
        with whole_file(folder / CONFIG) as file:
            file.write_text(json.dumps(config, indent=2, default=plain) + "\n", "utf-8")
        if card is not None:
            with whole_file(folder / CARD) as file:
                file.write_text(card, "utf-8")
    finally:
        # whatever happened, the model is what config.json says now
        used = {entry["stored"] for entry in _entries(_config_of(folder)).values()}
        _remove_unused(folder, {*before, *contents}, used)


def _remove_unused(folder, names, used):
    """Remove what was replaced, and what a process left that was stopped in between."""
    remove_leftovers(folder)
    ours = "|".join(
        rf"{stem}(\.\d+)?\.{suffix}"
        for stem, _, suffix in (re.escape(name).rpartition(r"\.") for name in names)
    )
    for path in folder.iterdir():
        if path.name not in used and re.fullmatch(ours, path.name):
            with contextlib.suppress(OSError):  # the model is whole without
                path.unlink()


def _entries(config):
    """Return the files that ``config.json`` lists, those of a broken one left out."""
    files = config.get("files") if isinstance(config, dict) else None
    files = files if isinstance(files, dict) else {}
    return {name: entry for name, entry in files.items() if _stored(entry)}


def _stored(entry):
    """Return the name under which a file is stored, None if that is no plain name."""
    stored = entry.get("stored") if isinstance(entry, dict) else None
    is_plain = isinstance(stored, str) and Path(stored).name == stored != CONFIG
    return stored if is_plain else None


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
        if _holds(folder / before["stored"], content):
            return before
    part = part_of(folder / name)
    try:
        _write_one(part, name, content)
        entry = {"bytes": part.stat().st_size, "digest": digest(part)}
        if before and entry.items() <= before.items():
            if _is_whole(folder / before["stored"], entry):
                return before
        stored = _unused(folder, name) if before else name
        os.replace(part, folder / stored)
        return {"stored": stored, **entry}
    finally:
        part.unlink(missing_ok=True)


def _holds(path, content):
    """Return whether a memory-mapped array is that of a file, and still its content."""
    if content.filename and Path(content.filename) == path:
        with contextlib.suppress(OSError, ValueError):
            on_disk = np.load(path, mmap_mode="r", allow_pickle=False)
            return np.array_equal(on_disk, content)
    return False


def _is_whole(path, entry):
    """Return whether a file is there as ``config.json`` has it."""
    if not path.is_file() or path.stat().st_size != entry["bytes"]:
        return False
    return digest(path) == entry["digest"]


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
        if size <= LARGE:
            result.update(file.read())
        else:
            for begin in np.linspace(0, size - _SAMPLE, _SAMPLES).astype(int).tolist():
                file.seek(begin)
                result.update(file.read(_SAMPLE))
    return result.hexdigest()


def config_of(folder: Path) -> dict:
    """Return the ``config.json`` of a model that was just read or written."""
    return json.loads((folder / CONFIG).read_text("utf-8"))


def stamp(folder: str | os.PathLike) -> bytes | None:
    """Return what differs between a model and what it is saved as later."""
    with contextlib.suppress(OSError):
        return (Path(folder) / CONFIG).read_bytes()


class ModelFolder:
    """An exported model on disk: its config, and its arrays by ``file`` or ``file/name``.

    All files are compared with ``config.json`` when it is opened, and read when they are
    needed.

    Args:
        folder (str or Path): The folder.
        memory_map (bool): Whether ``.npy`` files are memory-mapped.

    Raises:
        UserError: If it is not an exported model, of another version, incomplete or
            damaged.
    """

    def __init__(self, folder: str | os.PathLike, memory_map: bool = True):
        self.folder = Path(folder)
        self._mode = "r" if memory_map else None
        self.config = self._read_config()
        self._opened = {}
        with self.reading():
            for name, entry in self.config["files"].items():
                self._check(name, entry)

    def _read_config(self):
        if not self.folder.is_dir():
            raise UserError(f"There is no folder {self.folder}.")
        try:
            config = json.loads((self.folder / CONFIG).read_text("utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.folder} is not an exported model: it has no {CONFIG}. Write one "
                "with recbole-whisperlite export."
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{self.folder / CONFIG} cannot be read: {error}. Export the model again."
            ) from None
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise UserError(
                f"{self.folder} is not an exported model of recbole-whisperlite: its "
                f"{CONFIG} says something else."
            )
        version = config.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            self.refuse(f"{CONFIG} has the version {version!r}")
        if version > VERSION:
            raise UserError(
                f"{self.folder} has version {version} of the format, and this package "
                f"reads version {VERSION}. Install a later recbole-whisperlite."
            )
        if version < VERSION:
            raise UserError(
                f"{self.folder} has version {version} of the format, and this package "
                f"reads version {VERSION} only: export the model again."
            )
        if not isinstance(config.get("files"), dict):
            self.refuse(f"{CONFIG} lists no files")
        return config

    def card(self) -> str | None:
        """Return the model card, None if there is none."""
        path = self.folder / CARD
        return path.read_text("utf-8", "replace") if path.is_file() else None

    def refuse(self, what: object) -> NoReturn:
        """Raise the UserError of a damaged model."""
        raise UserError(
            f"{self.folder} is damaged or was altered: {what}. Export the model again."
        )

    def _check(self, name, entry):
        stored = _stored(entry)
        if stored is None:
            self.refuse(f"{CONFIG} names no file for {name!r}")
        path = self.folder / stored
        if not path.is_file():
            self.refuse(f"{stored} is missing")
        if path.stat().st_size != entry.get("bytes"):
            self.refuse(
                f"{stored} has {path.stat().st_size} bytes, not {entry.get('bytes')}"
            )
        if digest(path) != entry.get("digest"):
            self.refuse(f"the content of {stored} is not what was exported")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turn whatever goes wrong while the model is read into one UserError."""
        try:
            yield
        except UserError as error:
            if str(self.folder) in str(error):
                raise
            raise UserError(f"{self.folder}: {error}") from error
        except KeyError as error:
            self.refuse(f"{error.args[0]} is missing")
        except Exception as error:
            # numpy, pyarrow and safetensors raise many kinds for broken content
            self.refuse(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")

    def __contains__(self, file: str) -> bool:
        return file in self.config["files"]

    def __getitem__(self, key: str) -> object:
        file, _, name = key.partition("/")
        if file not in self._opened:
            entry = self.config["files"][file]
            path = self.folder / entry["stored"]
            self._opened[file] = _read_one(path, file, self._mode)
        content = self._opened[file]
        return content[name] if name else content


def _read_one(path, name, mode):
    if name.endswith(".npy"):
        return np.load(path, mmap_mode=mode, allow_pickle=False)
    if name.endswith(".npz"):
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > path.stat().st_size:  # we do not compress
            raise ValueError(f"{name} would take {size} bytes")
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    if name.endswith(".parquet"):
        return pq.read_table(path)
    from safetensors.numpy import load_file

    return load_file(path)
