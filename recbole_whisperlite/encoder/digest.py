"""Hashes of content, for names in the cache that say what is inside."""

import contextlib
import hashlib
import json
from pathlib import Path

from recbole_whisperlite.files import whole_file

_MEMO = "files.json"
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
    memo_file = Path(cache_folder) / _MEMO
    memo = {}
    with contextlib.suppress(OSError, ValueError):
        memo = json.loads(memo_file.read_text("utf-8"))
    known = dict(memo)
    if path.is_file():
        result = _of_file(path, memo)
    else:
        files = sorted(file for file in path.rglob("*") if file.is_file())
        result = of_json({str(f.relative_to(path)): _of_file(f, memo) for f in files})
    if memo != known:
        # Of two processes that write at once one is forgotten, and reads again later.
        # A folder that cannot be written to is told of when vectors are stored.
        with contextlib.suppress(OSError):
            with whole_file(memo_file) as file:
                file.write_text(json.dumps(memo), "utf-8")
    return result


def _of_file(path, memo):
    stat = path.stat()
    name = str(path.resolve())
    if name not in memo or memo[name][:2] != [stat.st_size, stat.st_mtime_ns]:
        digest = hashlib.blake2b(digest_size=20)
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        memo[name] = [stat.st_size, stat.st_mtime_ns, digest.hexdigest()]
    return memo[name][2]
