"""A hidden folder that a command shares with its workers as long as it runs.

Its presence tells a worker three things: that it sees the same files as the command, that
the command still wants the result, and where larger things lie that tasks have in common.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.files import part_of, remove_leftovers

_TOKEN = "token"


class Home:
    """The folder, as a command makes it and as a worker finds it.

    Args:
        path (Path): The folder, absolute.
        token (str): What its file says, which no other folder of that name has.
    """

    def __init__(self, path: Path, token: str):
        self.path, self.token = path, token

    def is_here(self, patience: float = 0) -> bool:
        """Return whether this process sees the folder.

        Args:
            patience (float): Seconds for which it may be missing: a network file system
                shows a new folder a little later.
        """
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(OSError):
                return (self.path / _TOKEN).read_text("utf-8") == self.token
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.2)

    def is_wanted(self) -> bool:
        """Return whether the command still runs; cheap enough to ask several times a
        second."""
        return os.path.exists(self.path / _TOKEN)

    def is_first(self, number: int) -> bool:
        """Return whether no worker has begun a task before; note that one has now."""
        try:
            (self.path / f"begun-{number}").touch(exist_ok=False)
        except OSError:
            return False
        return True

    def put(self, thing: object) -> Path:
        """Write something for all tasks, pickled, and return its file.

        Raises:
            Exception: Whatever pickle raises, if it cannot be pickled.
        """
        content = pickle.dumps(thing)
        path = self.path / hashlib.sha256(content).hexdigest()[:32]
        part = part_of(path)
        part.write_bytes(content)
        os.replace(part, path)
        return path


def get(path: Path) -> object:
    """Return what :meth:`Home.put` wrote to a file."""
    return pickle.loads(path.read_bytes())


@contextlib.contextmanager
def shared_home(folder: Path) -> Iterator[Home]:
    """Make a home in a folder, and remove it in the end.

    Args:
        folder (Path): Exists, is writable, and is one that workers see, too.

    Raises:
        OSError: If it cannot be written to.
    """
    folder = folder.absolute()
    remove_leftovers(folder)  # of commands that were killed
    home = Home(part_of(folder / "cluster"), secrets.token_hex(16))
    home.path.mkdir(mode=0o700)
    try:
        (home.path / _TOKEN).write_text(home.token, "utf-8")
        yield home
    finally:
        # the token first: a worker that sees the folder go must not see half of it
        (home.path / _TOKEN).unlink(missing_ok=True)
        shutil.rmtree(home.path, ignore_errors=True)
