"""Writing files completely or not at all."""

import contextlib
import functools
import hashlib
import itertools
import os
import re
import shutil
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError

_BLOCK = 1 << 20  # bytes
# Less than that is no room for a checkpoint of the smallest model.
_LEAST_FREE = 2**20  # bytes
_PART = re.compile(r"\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\d+\.part$")
_NUMBER = itertools.count()  # threads of a process may write the same file


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
    Nobody else has the temporary path. What a process left that was killed is removed by
    the next one that writes to the folder.

    Args:
        path (str or Path): The file; its folder is created if it does not exist.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path.parent.resolve(), os.getpid())
    temporary = part_of(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def part_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty folder next to ``path``, which is removed in the end unless the block
    has moved it; what killed processes left there is removed first.

    Args:
        path (str or Path): What the folder is to become; its parent must exist.
    """
    path = Path(path)
    remove_leftovers(path.parent)
    part = part_of(path)
    try:
        part.mkdir()
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def part_of(path: Path) -> Path:
    """Return a path next to a file or folder, where it is written first: another one each
    time."""
    writer = f"{_machine()}-{os.getpid()}-{next(_NUMBER)}"
    return path.with_name(f".{path.name}.{writer}.part")


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine left in a folder that were killed while they
    were writing."""
    for path in folder.glob(".*.part"):
        of = _PART.search(path.name)
        if of and of["machine"] == _machine() and not _is_running(int(of["process"])):
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@functools.lru_cache(maxsize=1024)  # once a process
def _clear(folder, process):
    remove_leftovers(folder)


@functools.lru_cache
def _machine():
    """Return a word for where process ids are unique: a machine, or a container of it."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        name += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(name.encode()):08x}"


def _is_running(process):
    import psutil  # rarely needed

    return psutil.pid_exists(process)


def digest_of_dataset(folder: Path, name: str) -> str:
    """Return the SHA-256 of the files ``<name>.*`` in a folder, and of their names, in
    hexadecimal digits."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob(f"{name}.*")):
        if path.is_file():
            whole.update(f"{path.name}\0{digest_of_file(path)}\0".encode())
    return whole.hexdigest()


def digest_of_file(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    about = os.stat(path)
    return _digest(path, about.st_size, about.st_mtime_ns)


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
