"""Writing files: whole or not at all."""

import contextlib
import os
from pathlib import Path


@contextlib.contextmanager
def whole_file(path):
    """Yield a temporary path beside ``path``, which it replaces if nothing is raised.

    Whatever goes wrong meanwhile, ``path`` stays as it was and nothing is left beside
    it. Each process writes to a path of its own.

    Args:
        path (str or Path): The file; its folder is made if need be.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def plain(value):
    """For ``json.dumps(default=…)``: numpy's numbers as numbers, the rest as text."""
    return value.item() if hasattr(value, "item") else str(value)
