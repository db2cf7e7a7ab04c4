"""Writing files completely or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


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


def plain(value: object) -> object:
    """For ``json.dumps(default=…)``: numpy scalars as numbers, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)
