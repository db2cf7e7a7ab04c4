"""What raters answered: a file that only grows, a line for each list judged.

A line is on the disk before the rater is told that it is stored. If a list is judged again,
the last line counts. A line without an end is what a killed process left: nobody was told
that it is stored, and it is cut off.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.serve.study.plan import Plan

ANSWERS, _LOCK = "answers.jsonl", "answers.lock"


class Judged(NamedTuple):
    """What a rater said of a page.

    Attributes:
        options (list of int): The option chosen for each entry of the page, in the order
            shown, the check included.
        time (float): When it arrived, Unix seconds.
    """

    options: list[int]
    time: float


def read(folder: str | Path, plan: Plan) -> dict[tuple[int, int], Judged]:
    """Return what is stored, ``{(rater, page): Judged}``, by number.

    Raises:
        UserError: If a line is damaged, or does not fit the plan.
    """
    path, answers = Path(folder, ANSWERS), {}
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    for number, line in enumerate(lines[:-1], start=1):
        try:
            said = json.loads(line)
            rater, page = int(said["rater"]), int(said["page"])
            options, when = [int(each) for each in said["options"]], float(said["time"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise UserError(
                f"{path}, line {number}: this is damaged. A line is such as "
                '{"study": "…", "time": 0.0, "rater": 0, "page": 0, "options": [1, 0, 3]}.'
            ) from None
        if said.get("study") != plan.id or not _fits(plan, rater, page, options):
            raise UserError(
                f"{path}, line {number}: this answer is one to another study."
            )
        answers[rater, page] = Judged(options, when)
    return answers


def _fits(plan, rater, page, options):
    if not 0 <= rater < len(plan.raters):
        return False
    if not 0 <= page < len(plan.raters[rater].pages):
        return False
    n_options, n = len(plan.scale.options), plan.raters[rater].pages[page].n_entries
    return len(options) == n and all(0 <= each < n_options for each in options)


class Answers:
    """The answers of a study that is going on. Safe to use from several threads.

    Args:
        folder (str or Path): The study.
        plan (Plan): Its plan.

    Raises:
        UserError: If another process serves the study, or the file cannot be used.
    """

    def __init__(self, folder: str | Path, plan: Plan):
        self._plan, path = plan, Path(folder, ANSWERS)
        self._lock = FileLock(path.with_name(_LOCK), thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{folder} is served by another process. Raters use that one."
            ) from None
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            self._said = read(folder, plan)
            self._file = _opened(path)
        except BaseException:
            self._lock.release()
            raise
        self._writing = threading.Lock()

    def of(self, rater: int) -> dict[int, Judged]:
        """Return what a rater has said, ``{page: Judged}``."""
        pages = range(len(self._plan.raters[rater].pages))
        return {n: self._said[rater, n] for n in pages if (rater, n) in self._said}

    def add(self, rater: int, page: int, options: list[int]) -> None:
        """Store what a rater says of a page; when this returns, it is on the disk.

        Raises:
            OSError: If it cannot be stored; then nothing of it is.
        """
        judged = Judged(options, time.time())
        line = {
            "study": self._plan.id,
            "time": judged.time,
            "rater": rater,
            "page": page,
            "options": options,
        }
        content = (json.dumps(line) + "\n").encode()
        with self._writing:
            end = os.lseek(self._file, 0, os.SEEK_END)
            try:
                if os.write(self._file, content) < len(content):
                    raise OSError("the disk is full")
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, end)
                raise
            self._said[rater, page] = judged

    def close(self) -> None:
        """Let another process serve the study."""
        os.close(self._file)
        self._lock.release()


def _opened(path):
    """Open the file to append to it, without a line that has no end."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        content = path.read_bytes()
        os.ftruncate(file, content.rfind(b"\n") + 1)
        os.fsync(file)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)  # the name of a new file
        os.close(folder)
    except OSError as error:
        raise _unusable(path, error) from None
    return file


def _unusable(path, error):
    return UserError(f"{path} cannot be written to ({error.strerror}).")
