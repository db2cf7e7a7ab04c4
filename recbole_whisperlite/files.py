"""Writing files completely or not at all."""

import contextlib
import functools
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError

_BLOCK = 1 << 20  # bytes
# Less than that is no room for a checkpoint of the smallest model.
_LEAST_FREE = 2**20  # bytes


def check_folder(path: str | os.PathLike, name: str) -> None:
    """Check before the work starts, not after it, that files can be put into a folder.

    Args:
        path (str or Path): The folder; it need not exist yet, and is not created.
        name (str): The setting or the option that names it.

    Raises:
        UserError: If it is a file or in a file, is not writable, or its disk is full.
    """
    folder = Path(path).expanduser().absolute()
    existing = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(
            f"{name} is {path}, but {existing} is not a writable folder. Choose another "
            "place."
        )
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE:
        raise UserError(
            f"{name} is {path}, but its disk is full: {free:,} bytes are free. Free some "
            "space, or choose another place."
        )


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path next to ``path``, and move it there if nothing is raised.

    If something is raised, ``path`` is left as it was and the temporary file is removed.
    Each process has its own temporary path.

    Args:
        path (str or Path): The file; its folder is created if it does not exist.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def digest_of_dataset(folder: Path, name: str) -> str:
    """Return the SHA-256 of the files ``<name>.*`` in a folder, and of their names, in
    hexadecimal digits."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob(f"{name}.*")):
        if path.is_file():
            about = path.stat()
            content = _digest(path, about.st_size, about.st_mtime_ns)
            whole.update(f"{path.name}\0{content}\0".encode())
    return whole.hexdigest()


@functools.lru_cache(maxsize=None)  # large files are read once, not once per run
def _digest(path, size, changed):
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            content.update(block)
    return content.hexdigest()


def plain(value: object) -> object:
    """For ``json.dumps(default=…)``: numpy scalars as numbers, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)
