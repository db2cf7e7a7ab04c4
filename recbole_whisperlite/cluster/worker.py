"""What runs on a worker: what it is asked about itself, and a task."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import io
import logging
import os
import pickle
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recbole_whisperlite.cluster.home import Home
from recbole_whisperlite.errors import UserError

#: What must be of the same version everywhere: results depend on it, or messages do.
PACKAGES = (
    "dask distributed recbole-whisperlite recbole torch numpy scipy pandas scikit-learn "
    "open_clip_torch sentence-transformers optuna"
).split()
#: The abstract resource of Dask by which a worker declares its memory, in bytes.
MEMORY = "memory"
_PATIENCE = 10.0  # seconds until a network file system shows a new folder
_PREFIX = "RECBOLE_WHISPERLITE_"  # of the environment variables that tasks need


class Stopped(Exception):
    """The command that wanted the result is gone."""


@dataclass(frozen=True)
class Site:
    """Where a command runs, which is where its tasks have to run.

    Attributes:
        home (Home): Shared with the workers.
        folder (str): The working directory, for relative paths.
        environment (dict): Variables of this package.
        topic (str): Under which tasks tell what they have to say.
        code (str): See :func:`code`.
    """

    home: Home
    folder: str
    environment: dict[str, str]
    topic: str
    code: str

    @classmethod
    def here(cls, home: Home) -> Site:
        """Return that of this process."""
        ours = {k: v for k, v in os.environ.items() if k.startswith(_PREFIX)}
        topic = f"recbole-whisperlite-{home.token}"
        return cls(home, os.getcwd(), ours, topic, code())


def about(site: Site, sizes: dict[str, int], dask_worker=None) -> dict:
    """Return what decides whether a worker may have tasks.

    Args:
        site (Site): Where the command runs.
        sizes (dict): ``{path: bytes}`` of files that tasks read.
        dask_worker (distributed.Worker): Given by Dask.
    """
    return {
        "versions": versions(),
        "code": code(),
        "threads": dask_worker.state.nthreads,
        "memory": dask_worker.state.total_resources.get(MEMORY),
        "sees home": site.home.is_here(_PATIENCE),
        "sees folder": os.path.isdir(site.folder),
        "other file": next(
            (path for path in sizes if _size(path) != sizes[path]), None
        ),
    }


def versions() -> dict[str, str | None]:
    """Return the version of Python and of :data:`PACKAGES`, None for those that are not
    installed."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in PACKAGES:
        found[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _size(path):
    with contextlib.suppress(OSError):
        return os.path.getsize(path)
    return None


@functools.cache
def code() -> str:
    """Return a digest of this package's sources when this process first asked: a worker may
    have been started before they were changed."""
    package, whole = Path(__file__).resolve().parent.parent, hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        whole.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return whole.hexdigest()


_site = None  # that of the task which runs; a worker runs one at a time


def stop_if_unwanted() -> None:
    """End a task whose command is gone; elsewhere, do nothing. Long tasks call it often.

    Raises:
        Stopped: If it is gone.
    """
    if _site is not None and not _site.home.is_wanted():
        raise Stopped


def perform(call: bytes) -> bytes:
    """Perform a task.

    Args:
        call (bytes): Pickled: the :class:`Site` where it has to be as if it ran, its
            number, what the user is told of it, and, pickled again, the function and its
            arguments.

    Returns:
        bytes: The pickled pair of the result and None, or of None and the sentence by
        which the task was refused.
    """
    from distributed import get_worker

    worker = get_worker()
    site, number, name, call = pickle.loads(call)

    def tell(event):
        worker.log_event(site.topic, event)

    # RecBole imports ray, which sets levels of its own
    logging.getLogger("ray._private.worker").addFilter(_is_worth_telling)
    # a worker that came after the others were asked what they are
    if not site.home.is_here(_PATIENCE) or code() != site.code:
        told = (
            f"The worker {worker.address}, which came later, does not see the folder "
            f"{site.home.path.parent} or has another copy of this package's code."
        )
        return pickle.dumps((None, told))
    again = not site.home.is_first(number)
    tell({"started": name, "again": again, "worker": worker.address})
    with _at(site), contextlib.redirect_stderr(_Lines(tell)):
        try:
            function, arguments = pickle.loads(call)
            return pickle.dumps((function(*arguments), None))
        except UserError as error:
            return pickle.dumps((None, str(error)))


def _is_worth_telling(record):
    """Not that ray, which nobody uses here, is imported outside of the main thread."""
    return "SIGTERM handler" not in record.getMessage()


@contextlib.contextmanager
def _at(site: Site) -> Iterator[None]:
    """Be where the command is: its folder, its variables."""
    global _site
    folder, environment = os.getcwd(), dict(os.environ)
    try:
        os.chdir(site.folder)
        os.environ.update(site.environment)
        _site = site
        yield
    finally:
        _site = None
        os.chdir(folder)
        for name in site.environment.keys() - environment.keys():
            del os.environ[name]


class _Lines(io.TextIOBase):
    """Takes what a task writes to stderr, and tells it line by line."""

    def __init__(self, tell: Callable[[dict], None]):
        self._tell, self._begun = tell, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            self._tell({"line": line})
        return len(text)
