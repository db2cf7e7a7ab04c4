"""Runs each (model, seed) in a separate process, here or on a cluster; keeps finished runs.

With separate processes, memory and time are measured independently, and a run that is
killed does not affect the others. The folder of a run contains ``result.json``
(``result_file``), ``units.npz`` (``unit_file``), ``log.txt`` (its output) and
``job.json`` (everything its result depends on).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

import recbole_whisperlite
from recbole_whisperlite.benchmark import data, memory
from recbole_whisperlite.benchmark.plan import Plan, Row
from recbole_whisperlite.cluster.options import in_words
from recbole_whisperlite.cluster.tasks import Task, WorkerDied, Workers
from recbole_whisperlite.cluster.worker import stop_if_unwanted
from recbole_whisperlite.evaluation.result_file import versions
from recbole_whisperlite.files import part_folder, whole_file
from recbole_whisperlite.model import own
from recbole_whisperlite.model.names import settings_files
from recbole_whisperlite.paths import PROPERTIES

# The folder from which a process can import the package, wherever it is started.
_HOME = str(Path(recbole_whisperlite.__file__).resolve().parent.parent)
# Of prctl(2): the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """One run: a row, a seed, and the folder for its files.

    Attributes:
        row (Row): The row to run.
        seed (int): The random seed.
        plan (Plan): The benchmark, for what all rows share.
        folder (Path): The folder of this run only.
        units (bool): Whether to write ``units.npz``; it is not needed for tuning, and
            without requests there are no queries.
        trial (dict or None): Its trial in a study of Optuna, which may end it early: the
            setting ``tuning_trial``.
    """

    row: Row
    seed: int
    plan: Plan
    folder: Path
    units: bool = True
    trial: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"

    def settings(self) -> dict[str, Any]:
        """Return the settings for its yaml file."""
        foreign = data.foreign_settings(self.plan, self.row)
        common = {k: v for k, v in self.plan.settings.items() if k not in foreign}
        return {**common, **self.row.settings, "seed": self.seed}

    def flags(self) -> list[str]:
        """Return the settings for its command line."""
        foreign = {f"--{key}" for key in data.foreign_settings(self.plan, self.row)}
        return [f for f in self.plan.flags if f.partition("=")[0] not in foreign]

    def request(self) -> dict[str, Any]:
        """Return all that the result depends on: if it changes, the job runs again."""
        files = [
            *settings_files(own.model_class(self.row.model)),
            PROPERTIES / "dataset" / f"{self.plan.dataset}.yaml",
            PROPERTIES / "dataset" / "request.yaml",
            *data.own_files(self.plan, self.row),
        ]
        texts = [path.read_text("utf-8") for path in files if path.is_file()]
        return {
            "model": self.row.model,
            "dataset": self.plan.dataset,
            "settings": self.settings(),
            "flags": self.flags(),
            "data": data.digest(self.plan, self.row),
            "defaults": hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16],
            "version": versions()["recbole-whisperlite"],
        }

    def result(self) -> dict[str, Any]:
        """Return its result file as a dict."""
        return json.loads((self.folder / "result.json").read_text("utf-8"))

    def finished(self) -> bool:
        """Return whether its folder contains all files of exactly this job."""
        try:
            asked = json.loads((self.folder / "job.json").read_text("utf-8"))
            whole = isinstance(asked, dict) and isinstance(self.result(), dict)
        except (OSError, ValueError):
            return False
        if self.units:
            whole = whole and zipfile.is_zipfile(self.folder / "units.npz")
        if not whole:
            return False
        # through json, which makes keys strings: in yaml they may be numbers
        wanted = json.loads(json.dumps(self.request(), default=str))
        # runs that did not record the digest of their data are assumed to be current
        return {"data": wanted["data"], **asked} == wanted


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        job (Job): The job.
        result (dict or None): Its result file; None if it failed.
        error (str or None): Why it failed, in one line.
    """

    job: Job
    result: dict[str, Any] | None = None
    error: str | None = None

    @property
    def unit_file(self) -> Path:
        """The path of its ``units.npz``."""
        return self.job.folder / "units.npz"


def run_all(
    jobs: list[Job], title: str, workers: Workers | None = None
) -> list[Outcome]:
    """Run the jobs that are not finished yet.

    Args:
        jobs (list of Job): In the order in which they run.
        title (str): Shown in front of the progress bar.
        workers (Workers, optional): Of a cluster; by default the jobs run here, one after
            another.

    Returns:
        list of Outcome: One per job; a failed job does not stop the others.
    """
    waiting = [job for job in jobs if not job.finished()]
    if workers is None:
        errors = _one_after_another(waiting, title, len(jobs))
    else:
        errors = _on_workers(waiting, title, len(jobs), workers)
    return [
        (
            Outcome(job, error=errors[job.folder])
            if errors.get(job.folder)
            else Outcome(job, job.result())
        )
        for job in jobs
    ]


def _one_after_another(waiting, title, total):
    """Run jobs; return for each folder why it failed, or None."""
    errors, done = {}, total - len(waiting)
    with tqdm(total=total, initial=done, unit="run", desc=title, disable=None) as bar:
        for number, job in enumerate(waiting, start=done + 1):
            bar.set_description(f"{title}: {job}")
            if bar.disable:  # not on a terminal: one line per run
                print(f"{title}: {job} ({number} of {total})", file=sys.stderr)
            errors[job.folder] = _run(job, bar)
            bar.update()
    return errors


def _on_workers(waiting, title, total, workers):
    """Run jobs as tasks; return for each folder why it failed, or None."""
    tasks = [
        Task(str(job), (job,), memory.of_run(job.plan, job.row)) for job in waiting
    ]
    for task in tasks:
        workers.check(task.name, task.memory)
    done = total - len(waiting)
    ended = workers.map(_run, tasks, title, total, "run", done=done)
    errors = {}
    for error, job, task in zip(ended, waiting, tasks):
        if isinstance(error, WorkerDied):
            error = str(error)
        elif not error and not job.finished():
            error = (
                "the data of the worker are not those of this machine, or were changed "
                "while it ran"
            )
        elif not error:
            _tell_of_more_memory(job, task)
        errors[job.folder] = error
    return errors


def _tell_of_more_memory(job, task):
    taken = (job.result().get("peak_memory_mb") or 0) * 2**20
    if taken > task.memory:
        print(
            f"note: {job} took {in_words(taken)} of memory, and {in_words(task.memory)} "
            f"were stated. For the next time: 'models: {{{job.row.name}: "
            f"{{task_memory: {in_words(1.1 * taken).replace(' ', '')}}}}}'.",
            file=sys.stderr,
        )


def _run(job, bar=None):
    """Run one job; return None, or why it failed.

    Args:
        job (Job): The job.
        bar (tqdm, optional): Shows the seconds meanwhile.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    request = job.request()  # before the run, during which the data may change
    asked, result, units = (
        job.folder / name for name in ("job.json", "result.json", "units.npz")
    )
    for path in (asked, result, units):
        path.unlink(missing_ok=True)
    # not in the folder of the job: RecBole takes a space for the end of a file's name
    with part_folder(Path(tempfile.gettempdir()) / "recbole-whisperlite") as folder:
        folder.chmod(0o700)  # others use the place for temporary files, too
        settings = {
            "state": "INFO",
            "show_progress": False,
            **job.settings(),
            "result_file": str(result),
            "unit_file": str(units) if job.units else None,
            "checkpoint_dir": str(folder),
            **({"tuning_trial": job.trial} if job.trial else {}),
        }
        file = folder / "settings.yaml"
        file.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
        log = job.folder / "log.txt"
        status = _wait(
            [sys.executable, "-m", "recbole_whisperlite", "run"]
            + [f"--model={job.row.model}", f"--dataset={job.plan.dataset}"]
            + [f"--config_files={file}", *job.flags()],
            log,
            bar,
        )
    missing = [p.name for p in (result, units)[: 1 + job.units] if not p.is_file()]
    if status or missing:
        return _reason(log, status, missing)
    # written last: it marks the run as complete
    with whole_file(asked) as file_asked:
        file_asked.write_text(json.dumps(request, indent=2, default=str) + "\n")


def _wait(command, log, bar):
    """Run a command while the bar shows the elapsed time; return its exit status."""
    paths = [_HOME, os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with open(log, "wb") as out, _terminated_as_interrupted():
        child = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            preexec_fn=_end_with_parent(),
        )
        try:
            while child.poll() is None:
                time.sleep(0.2)
                stop_if_unwanted()
                if bar is not None and sys.stderr.isatty():
                    bar.refresh()  # in a file, each would add a line
        finally:
            child.kill()  # no effect if it has already ended
            child.wait()
    return child.returncode


def _end_with_parent():
    """Return what lets a child end if the benchmark is killed; None where that cannot be.

    After kill -9 no line of Python runs here any more, so Linux has to do it.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # not in the child: importing may wait for a lock
    return functools.partial(prctl, _PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _terminated_as_interrupted():
    """Make SIGTERM end the block like Ctrl-C, so that no child is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows signal handlers in the main thread only
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _reason(log, status, missing):
    """Return in one line why a run failed: its message, or its last line of output."""
    lines = log.read_text("utf-8", errors="replace").splitlines()
    told = [line for line in lines if line.startswith("error: ")]
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    if told:
        reason = told[-1].removeprefix("error: ")
    elif status < 0:
        reason = f"killed by signal {-status} (9 often means out of memory)"
    elif status:
        reason = last.strip()
    else:
        reason = f"it did not write {' and '.join(missing)}"
    return f"{reason} [{log}]"
