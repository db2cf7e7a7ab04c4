"""Hashes of content, for names in the cache that say what is inside."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from recbole_whisperlite.encoder.pictures import (
    IN_ARCHIVE,
    PictureError,
    open_picture,
)
from recbole_whisperlite.files import whole_file

_MEMO = "files.json"
_PICTURES_MEMO = "pictures.json"
_BLOCK = 2**20


def of_texts(texts):
    """Return the hash of a list of str, which depends on their order."""
    digest = hashlib.blake2b(digest_size=20)
    for text in texts:
        content = text.encode()
        # With its length before it, no two lists run together into the same bytes.
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def of_json(value):
    """Return the hash of anything that json can hold; the order of keys is no part."""
    return of_texts([json.dumps(value, sort_keys=True)])


def of_path(path, cache_folder):
    """Return the hash of a file's content, or of all files in a folder and their names.

    A file is read again only when its size or time of change is another: a checkpoint
    of a gigabyte costs a second once, and nothing in later runs.

    Args:
        path (Path): An existing file or folder.
        cache_folder (Path): Where the hashes of known files are kept.
    """
    path = Path(path)
    with _memo(Path(cache_folder) / _MEMO) as memo:
        if path.is_file():
            return _of_file(path, memo)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return of_json({str(f.relative_to(path)): _of_file(f, memo) for f in files})


def of_pictures(paths, cache_folder, progress):
    """Return the hashes of the content of pictures; no picture is decoded.

    As with :func:`of_path`, a file is read again only when it was changed.

    Args:
        paths (list of str): Paths, or ``archive.zip::member``.
        cache_folder (Path): Where the hashes of known pictures are kept.
        progress (callable): Wraps an iterable in a progress bar.

    Returns:
        list of str: None for a file that is not there or cannot be read.
    """
    # A memo of their own: there may be a million, and texts need none of them.
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
    """Yield what the file remembers, and remember what was added meanwhile."""
    memo = {}
    with contextlib.suppress(OSError, ValueError):
        memo = json.loads(path.read_text("utf-8"))
    known = dict(memo)
    yield memo
    if memo != known:
        # Of two processes that write at once one is forgotten, and reads again later.
        # A folder that cannot be written to is told of when vectors are stored.
        with contextlib.suppress(OSError):
            with whole_file(path) as file:
                file.write_text(json.dumps(memo), "utf-8")


def _of_file(path, memo):
    return _remembered(str(path.resolve()), path, memo, lambda: open(path, "rb"))


def _remembered(name, holder, memo, open_it):
    """Return the hash of what ``open_it`` opens; ``holder`` is the file it lies in."""
    stat = os.stat(holder)
    if name not in memo or memo[name][:2] != [stat.st_size, stat.st_mtime_ns]:
        digest = hashlib.blake2b(digest_size=20)
        with open_it() as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        memo[name] = [stat.st_size, stat.st_mtime_ns, digest.hexdigest()]
    return memo[name][2]
