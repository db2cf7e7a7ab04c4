"""Content hashes, from which the cache names its entries."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from recbole_whisperlite.encoder.pictures import (
    IN_ARCHIVE,
    PictureError,
    open_picture,
)
from recbole_whisperlite.files import whole_file

_MEMO = "files.json"
_PICTURES_MEMO = "pictures.json"
_BLOCK = 2**20


def of_texts(texts: Iterable[str]) -> str:
    """Return the hash of a sequence of str, which depends on their order."""
    digest = hashlib.blake2b(digest_size=20)
    for text in texts:
        content = text.encode()
        # The length prefix keeps different lists from yielding the same bytes.
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def of_arrays(arrays: dict[str, np.ndarray]) -> str:
    """Return the hash of arrays by name, which depends on their types and shapes."""
    digest = hashlib.blake2b(digest_size=20)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def of_json(value: Any) -> str:
    """Return the hash of anything JSON can hold; the order of keys does not matter."""
    return of_texts([json.dumps(value, sort_keys=True)])


def of_path(path: str | Path, cache_folder: str | Path) -> str:
    """Return the hash of a file's content, or of all files in a folder and their names.

    A file is read again only when its size or modification time has changed: a
    checkpoint of a gigabyte costs a second once, and nothing in later runs.

    Args:
        path (str or Path): An existing file or folder.
        cache_folder (str or Path): Where the hashes of known files are kept.
    """
    path = Path(path)
    with _memo(Path(cache_folder) / _MEMO) as memo:
        if path.is_file():
            return _of_file(path, memo)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return of_json({str(f.relative_to(path)): _of_file(f, memo) for f in files})


def of_pictures(
    paths: list[str],
    cache_folder: str | Path,
    progress: Callable[[list[str]], Iterable[str]],
) -> list[str | None]:
    """Return the content hashes of pictures; no picture is decoded.

    As with :func:`of_path`, a file is read again only when it has changed.

    Args:
        paths (list of str): Paths, or ``archive.zip::member``.
        cache_folder (str or Path): Where the hashes of known pictures are kept.
        progress (callable): Wraps an iterable in a progress bar.

    Returns:
        list of (str or None): None for a file that is missing or cannot be read.
    """
    # A separate memo: there may be a million pictures, and texts need none of them.
    with _memo(Path(cache_folder) / _PICTURES_MEMO) as memo:
        return [_of_picture(path, memo) for path in progress(paths)]


def _of_picture(path, memo):
    try:
        return _remembered(
            path, path.partition(IN_ARCHIVE)[0], memo, lambda: open_picture(path)
        )
    except (OSError, PictureError):
        return None


@contextlib.contextmanager
def _memo(path):
    """Yield the remembered hashes; write them back if any were added."""
    memo = {}
    with contextlib.suppress(OSError, ValueError):
        memo = json.loads(path.read_text("utf-8"))
    known = dict(memo)
    yield memo
    if memo != known:
        # If two processes write at once, one's hashes are lost and computed again later.
        # A folder that cannot be written to is reported when vectors are stored.
        with contextlib.suppress(OSError):
            with whole_file(path) as file:
                file.write_text(json.dumps(memo), "utf-8")


def _of_file(path, memo):
    return _remembered(str(path.resolve()), path, memo, lambda: open(path, "rb"))


def _remembered(name, holder, memo, open_it):
    """Return the hash of what ``open_it`` opens; ``holder`` is the file it is in."""
    stat = os.stat(holder)
    if name not in memo or memo[name][:2] != [stat.st_size, stat.st_mtime_ns]:
        digest = hashlib.blake2b(digest_size=20)
        with open_it() as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        memo[name] = [stat.st_size, stat.st_mtime_ns, digest.hexdigest()]
    return memo[name][2]
