"""Runs functions in processes of their own, forked, so that nothing is imported twice."""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path


def fork(work: Callable, folder: Path, output: Path) -> int:
    """Start a function in a process of its own, in a folder; return its process id.

    Args:
        work (callable): Called with the folder; returns a status, None for 0.
        folder (Path): Where it works.
        output (Path): The file that takes what it prints.
    """
    child = os.fork()
    if child:
        return child
    os.setsid()
    status = 1
    with contextlib.suppress(BaseException):
        os.chdir(folder)
        with open(output, "w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        sys.stdout, sys.stderr = (open(to, "w", closefd=False) for to in (1, 2))
        try:
            status = work(folder) or 0
        except SystemExit as error:
            status = error.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


def end_of(
    work: Callable, folder: Path, output: Path, limit: float
) -> tuple[int | None, str]:
    """Run a function as :func:`fork` does; return its status, None if it did not end
    within ``limit`` seconds, and what it printed."""
    child, end, status = fork(work, folder, output), time.monotonic() + limit, None
    while status is None and time.monotonic() < end:
        process, found = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(found) if process else time.sleep(0.01)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return status, output.read_text(errors="replace")


def is_sentence(status: int | None, printed: str) -> bool:
    """Return whether a run of the command line ended in one of its own messages."""
    return status == 2 and "Traceback" not in printed
