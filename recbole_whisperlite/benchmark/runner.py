"""Runs each (model, seed) in a process of its own, and keeps what is finished.

A process of its own gives clean figures of memory and time, and one that is killed takes
no other along. Its folder holds ``result.json`` (``result_file``), ``units.npz``
(``unit_file``), ``log.txt`` (what it printed) and ``job.json`` (what was asked for).
"""

import contextlib
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

import yaml
from tqdm import tqdm

import recbole_whisperlite
from recbole_whisperlite.benchmark import data
from recbole_whisperlite.benchmark.plan import Plan, Row
from recbole_whisperlite.evaluation.result_file import versions
from recbole_whisperlite.files import whole_file
from recbole_whisperlite.model import own
from recbole_whisperlite.model.names import settings_files
from recbole_whisperlite.paths import PROPERTIES

# Where the package is found, also by a process that is started elsewhere.
_HOME = str(Path(recbole_whisperlite.__file__).resolve().parent.parent)


@dataclass(frozen=True)
class Job:
    """One run: a row with a seed, and the folder it leaves its files in.

    Attributes:
        row (Row): What to run.
        seed (int): With which seed.
        plan (Plan): For what is common to all.
        folder (Path): Its own.
        units (bool): Whether ``units.npz`` is wanted; not in tuning, and not where the
            dataset has no requests.
    """

    row: Row
    seed: int
    plan: Plan
    folder: Path
    units: bool = True

    def __str__(self):
        return f"{self.row.name}, seed {self.seed}"

    def settings(self):
        """Return the settings of its yaml file."""
        foreign = data.foreign_settings(self.plan, self.row)
        common = {k: v for k, v in self.plan.settings.items() if k not in foreign}
        return {**common, **self.row.settings, "seed": self.seed}

    def flags(self):
        """Return the settings of its command line."""
        foreign = {f"--{key}" for key in data.foreign_settings(self.plan, self.row)}
        return [f for f in self.plan.flags if f.partition("=")[0] not in foreign]

    def request(self):
        """Return all that decides what comes out, so that a change of it runs again."""
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

    def result(self):
        """Return its result file as a dict."""
        return json.loads((self.folder / "result.json").read_text("utf-8"))

    def finished(self):
        """Whether its folder holds the whole outcome of this very job."""
        try:
            asked = json.loads((self.folder / "job.json").read_text("utf-8"))
            whole = isinstance(asked, dict) and isinstance(self.result(), dict)
        except (OSError, ValueError):
            return False
        if self.units:
            whole = whole and zipfile.is_zipfile(self.folder / "units.npz")
        if not whole:
            return False
        # as json has it: yaml's keys may be numbers
        wanted = json.loads(json.dumps(self.request(), default=str))
        # runs that do not say on which data they were made are taken at their word
        return {"data": wanted["data"], **asked} == wanted


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job (Job): Which.
        result (dict or None): Its result file.
        error (str or None): Why it has none, in one line.
    """

    job: Job
    result: dict = None
    error: str = None

    @property
    def unit_file(self):
        """The path of its ``units.npz``."""
        return self.job.folder / "units.npz"


def run_all(jobs, unit):
    """Run the jobs that are not finished yet, one after another.

    Args:
        jobs (list of Job): In this order.
        unit (str): What the progress line counts.

    Returns:
        list of Outcome: One a job; a failed one does not stop the others.
    """
    waiting = [job for job in jobs if not job.finished()]
    errors = {}
    done = len(jobs) - len(waiting)
    with tqdm(total=len(jobs), initial=done, unit="run", desc=unit) as bar:
        for job in waiting:
            bar.set_description(f"{unit}: {job}")
            errors[job.folder] = _run(job, bar)
            bar.update()
    return [
        (
            Outcome(job, error=errors[job.folder])
            if errors.get(job.folder)
            else Outcome(job, job.result())
        )
        for job in jobs
    ]


def _run(job, bar):
    """Run one job; return None or why it failed."""
    job.folder.mkdir(parents=True, exist_ok=True)
    request = job.request()  # now: the data may be changed while it runs
    asked, result, units = (
        job.folder / name for name in ("job.json", "result.json", "units.npz")
    )
    for path in (asked, result, units):
        path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "state": "INFO",
            "show_progress": False,
            **job.settings(),
            "result_file": str(result),
            "unit_file": str(units) if job.units else None,
            "checkpoint_dir": folder,
        }
        file = Path(folder) / "settings.yaml"
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
    # last, so that it stands for a whole outcome
    with whole_file(asked) as file_asked:
        file_asked.write_text(json.dumps(request, indent=2, default=str) + "\n")


def _wait(command, log, bar):
    """Run a command while the bar shows the passing time; return its exit status."""
    paths = [_HOME, os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with open(log, "wb") as out, _terminated_as_interrupted():
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while child.poll() is None:
                time.sleep(0.2)
                if sys.stderr.isatty():  # in a file it would be a line each time
                    bar.refresh()
        finally:
            child.kill()  # does nothing to one that ended
            child.wait()
    return child.returncode


@contextlib.contextmanager
def _terminated_as_interrupted():
    """Let SIGTERM end the block as Ctrl-C does, so that no child is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # where Python allows no handlers
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _reason(log, status, missing):
    """Return in one line why a run failed: its message, or the end of its traceback."""
    lines = log.read_text("utf-8", errors="replace").splitlines()
    told = [line for line in lines if line.startswith("error: ")]
    last = next((line for line in reversed(lines) if line.strip()), "no output")
    if told:
        reason = told[-1].removeprefix("error: ")
    elif status < 0:
        reason = f"ended by signal {-status} (9 is often: out of memory)"
    elif status:
        reason = last.strip()
    else:
        reason = f"it left no {' and no '.join(missing)}"
    return f"{reason} [{log}]"
