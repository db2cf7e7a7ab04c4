"""Workers for a command: started here, or those of a Dask cluster; checked beforehand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from recbole_whisperlite.cluster import options
from recbole_whisperlite.cluster.home import shared_home
from recbole_whisperlite.cluster.tasks import Workers
from recbole_whisperlite.cluster.worker import MEMORY, Site, about, code, versions
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

# Seconds. A scheduler that does not answer by then is not there.
_TO_CONNECT, _TO_COME = 10, 10
# Seconds that workers which were started here are given to end.
_CLOSING = 10
# What is left to this process and to others, of what is free.
_SHARE = 0.9
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextlib.contextmanager
def connected(
    where: str, folder: str | Path, reads: Iterable[str | Path] = ()
) -> Iterator[Workers]:
    """Yield workers that see the same files and have the same versions as this process.

    Args:
        where (str): ``local:N`` starts N processes here; otherwise the address of a
            scheduler, such as ``tcp://scheduler:8786``.
        folder (str or Path): An existing folder that the command writes to; workers must
            see it, under the same name.
        reads (iterable of str or Path): Files that tasks read, which workers must see.

    Yields:
        Workers: To map tasks over.

    Raises:
        UserError: If Dask is not installed, the scheduler does not answer or has no
            workers, or a worker has other versions, does not see the files or runs
            several tasks in one process.
    """
    n = options.workers_of(where)
    with started(n) if n else joined(where) as client:
        sizes = {os.path.abspath(path): os.path.getsize(path) for path in reads}
        with shared_home(Path(folder)) as home:
            site = Site.here(home)
            memory = _checked(client, where, site, sizes)
            yield Workers(client, site, memory, where)


def _import():
    try:
        import dask
        import distributed
    except ImportError as error:
        raise UserError(
            "--cluster needs Dask, which is not installed: "
            "pip install 'recbole-whisperlite[cluster]'."
        ) from error
    return dask, distributed


@contextlib.contextmanager
def started(n: int) -> Iterator[Client]:
    """Start n workers here, which share the memory that is free and the processors."""
    dask, distributed = _import()
    from distributed.system import MEMORY_LIMIT  # knows limits of containers

    free = min(MEMORY_LIMIT, psutil.virtual_memory().available)
    memory = int(_SHARE * free / n)
    threads = str(max(1, _cores() // n))
    config = {
        # a variable that is set here comes before these
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(_THREADS, threads),
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        # results are small; a worker that paused for ever would help nobody
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set(config))
        cluster = distributed.LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            memory_limit=memory,
            resources={MEMORY: memory},
            # others on this machine could connect, and have their code run
            security=True,
            # no pages, and what serves them is reached from here only
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        stack.callback(_close, cluster)
        yield stack.enter_context(distributed.Client(cluster))


def _close(cluster):
    """Close a cluster. Dask sometimes waits for ever after a worker has died; what it still
    waits for after some seconds ends with this process."""
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        cluster.close(timeout=_CLOSING)


def _cores():
    # a container may have fewer than the machine; macOS cannot say
    cores = getattr(os, "sched_getaffinity", lambda process: range(os.cpu_count()))
    return len(cores(0))


@contextlib.contextmanager
def joined(address: str) -> Iterator[Client]:
    """Connect to a scheduler that has workers.

    Raises:
        UserError: If it does not answer, or has none.
    """
    _, distributed = _import()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        try:
            client = distributed.Client(address, timeout=_TO_CONNECT)
        except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
            raise UserError(
                f"--cluster {address}: no Dask scheduler answers there within "
                f"{_TO_CONNECT} seconds ({_first_line(error)}). Start one by 'dask "
                "scheduler', or check address, firewall and certificates."
            ) from error
        stack.enter_context(client)
        try:
            client.wait_for_workers(1, timeout=_TO_COME)
        except (TimeoutError, distributed.TimeoutError) as error:
            raise UserError(
                f"--cluster {address}: this scheduler has no workers. Start some, on each "
                f"machine: dask worker {address} --nthreads 1 --resources memory=4e9"
            ) from error
        yield client


def _first_line(error):
    return next(iter(str(error).splitlines()), "") or type(error).__name__


@contextlib.contextmanager
def _quiet():
    """Silence what Dask logs here; whatever matters is told in a sentence."""
    # Dask gives several of its loggers a level of their own
    names = [name for name in logging.root.manager.loggerDict if _is_dasks(name)]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _is_dasks(name):
    return name.partition(".")[0] == "distributed" or name == "tornado.application"


def _checked(client, where, site, sizes):
    """Return the memory that each worker has declared, ``{address: bytes or None}``."""
    found = client.run(about, site, sizes, on_error="return")
    gone = [worker for worker in found if isinstance(found[worker], OSError)]
    for worker in gone[: len(found) - 1]:  # it left while it was asked
        del found[worker]
    for worker, answer in found.items():
        problem = _problem(answer, site)
        if problem:
            raise UserError(f"--cluster {where}: the worker {worker} {problem}")
    memory = {worker: answer["memory"] for worker, answer in found.items()}
    if None in memory.values():
        worker = next(each for each, declared in memory.items() if declared is None)
        print(
            f"note: the worker {worker} does not declare its memory (dask worker … "
            "--resources memory=4e9), so that nothing keeps tasks from taking more than "
            "there is.",
            file=sys.stderr,
        )
    return memory


def _problem(answer, site):
    """Return what is wrong with a worker, to stand behind its name; None if nothing is."""
    if isinstance(answer, BaseException):
        return (
            "cannot use this package. Install the same version of recbole-whisperlite "
            f"there, and start the worker anew. ({type(answer).__name__}: "
            f"{_first_line(answer)})"
        )
    ours = versions()
    for name, version in ours.items():
        theirs = answer["versions"].get(name)
        if theirs != version:
            return (
                f"has {name} {theirs or '(none)'}, and here it is {version or '(none)'}. "
                "Results could differ: install the same versions everywhere."
            )
    if answer["code"] != code():
        return (
            "runs another copy of this package's code. Install the same everywhere, and "
            "start the workers anew."
        )
    if answer["threads"] != 1:
        return (
            f"runs {answer['threads']} tasks at once in one process, which would get in "
            "each other's way. Start workers with --nthreads 1, and several of them by "
            "--nworkers."
        )
    if not answer["sees home"]:
        return (
            f"does not see the folder {site.home.path.parent} as it is here. Data and "
            "results must be in a folder that all machines share under the same name."
        )
    if not answer["sees folder"]:
        return f"has no folder {site.folder}, where this command runs. Share it, too."
    if answer["other file"]:
        return (
            f"has no file {answer['other file']}, or another one of that name. Data must "
            "be in a folder that all machines share under the same name."
        )
    return None
