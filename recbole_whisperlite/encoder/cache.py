"""Vectors on disk: computed once for the same texts and the same encoder.

An entry is one ``.npy`` file, named by a hash of the texts and of everything that
determines the vectors. It is written under a temporary name and renamed when complete,
so that a process killed at any moment leaves a complete entry or none.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from recbole_whisperlite.encoder import digest, shards
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file

if TYPE_CHECKING:
    from recbole_whisperlite.encoder.base import Encoder

# Incremented whenever the same settings come to give other vectors.
_LAYOUT = 1


def vectors(
    encoder: Encoder,
    name: str,
    texts: list[str],
    folder: str | Path,
    dtype: np.dtype,
    of_code: object = None,
) -> np.ndarray:
    """Return the vectors of ``texts`` from the cache, or else from ``encoder``.

    Args:
        encoder (Encoder): Encodes the distinct texts if the cache does not have their
            vectors.
        name (str): The encoder's name.
        texts (list of str): The texts; some may be equal.
        folder (str or Path): The cache; created if missing. Several processes may use
            it at once: one encodes, the others wait for it.
        dtype (numpy.dtype): float16 or float32, the type on disk.
        of_code (object, optional): For json; what tells the code of an encoder of the
            user's own from another.

    Returns:
        numpy.memmap: ``[len(texts), dim]`` of ``dtype``, read-only.

    Raises:
        UserError: If the folder cannot be written to, or a vector is not finite.
    """
    key = {
        "layout": _LAYOUT,
        "encoder": name,
        "fingerprint": encoder.fingerprint(),
        "texts": digest.of_texts(texts),
        "dtype": np.dtype(dtype).name,
    }
    if of_code is not None:
        key["code"] = of_code
    entry = Path(folder) / f"{name}-{digest.of_json(key)}.npy"
    found = _read(entry, len(texts), dtype)
    if found is not None:
        return found
    with _telling_of(folder):
        entry.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(entry.parent)
    with _locked(entry):
        # Another process may have made the entry while this one waited.
        if _read(entry, len(texts), dtype) is None:
            result = _encode(encoder, texts, dtype)
            with _telling_of(folder):
                _write(entry, result)
    return _read(entry, len(texts), dtype)


def arrays(
    path: Path, make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return arrays by name from a file of the cache, or else make and keep them.

    Args:
        path (Path): An ``.npz`` file.
        make (callable): Returns the arrays if the file is missing or damaged.

    Raises:
        UserError: If the folder cannot be written to.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        pass
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        getLogger().warning(f"{path} is damaged and will be recomputed ({error}).")
    made = make()
    with _telling_of(path.parent), whole_file(path) as part:
        with open(part, "wb") as file:
            np.savez(file, **made)
    return made


@contextlib.contextmanager
def _telling_of(folder):
    try:
        yield
    except OSError as error:
        raise UserError(
            f"Vectors cannot be cached in {folder}: {error}. Set cache_dir to a writable "
            "folder with enough free space."
        ) from error


def _encode(encoder, texts, dtype):
    distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    result = shards.encode(encoder, list(distinct))
    encoder.report(result)
    with np.errstate(over="ignore"):
        result = result.astype(dtype)
    broken = np.flatnonzero(~np.isfinite(result).all(axis=1))
    if len(broken):
        raise UserError(
            f"The encoder gave {len(broken)} of {len(distinct)} texts a vector that is "
            f"not finite, first: '{list(distinct)[broken[0]][:80]}'. Its weights are "
            "broken, or its values too large for this vector_dtype."
        )
    return result[[distinct[text] for text in texts]]


def _read(entry, rows, dtype):
    """Return the entry, memory-mapped, or None if it is missing or incomplete."""
    try:
        found = np.load(entry, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError, OSError) as error:
        getLogger().warning(f"{entry} is damaged and will be recomputed ({error}).")
        return None
    whole = found.ndim == 2 and len(found) == rows and found.dtype == dtype
    return found if whole else None


def _write(entry, array):
    part = _part(entry)
    with open(part, "wb") as file:
        np.save(file, array, allow_pickle=False)
        # The name must not reach the disk before the content does.
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, entry)


def _part(entry):
    return entry.with_suffix(".part")


def _lock(entry):
    return FileLock(entry.with_suffix(".lock"))


@contextlib.contextmanager
def _locked(entry):
    """Hold this entry's write lock, which the system releases if the process dies."""
    lock = _lock(entry)
    with _telling_of(entry.parent):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            getLogger().info(f"Waiting for another process that is writing {entry}.")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(folder):
    """Remove partial files of killed processes: those whose lock nobody holds."""
    for part in folder.glob("*.part"):
        with contextlib.suppress(Timeout, FileNotFoundError):
            with _lock(part).acquire(blocking=False):
                part.unlink()
