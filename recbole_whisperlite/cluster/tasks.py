"""Tasks over workers: in order, with a progress bar, again where a worker dies."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from recbole_whisperlite.cluster.options import in_words
from recbole_whisperlite.cluster.worker import MEMORY, Site, perform
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

# Seconds: how often the bar is drawn, and how long a cluster may be without a worker.
_GLANCE, _WITHOUT_WORKERS = 0.5, 120


@dataclass(frozen=True)
class Task:
    """One call.

    Attributes:
        name (str): What the user is told of it.
        arguments (tuple): Of the function; they are pickled.
        memory (int): Bytes that it needs.
        size (int): What it adds to the progress bar.
    """

    name: str
    arguments: tuple
    memory: int
    size: int = 1


class WorkerDied(UserError):
    """The workers that ran a task died, one after another."""


class Workers:
    """Workers that were checked, see
    :func:`recbole_whisperlite.cluster.connection.connected`.

    Args:
        client (distributed.Client): The connection.
        site (Site): Where the command runs.
        memory (dict): What each worker has declared, ``{address: bytes or None}``.
        where (str): What the user calls the cluster.
    """

    def __init__(
        self, client: Client, site: Site, memory: dict[str, int | None], where: str
    ):
        self._client, self._site, self._where = client, site, where
        self._numbers = itertools.count()
        declared = memory.values()
        #: int or None: Bytes of the largest worker; None if some do not declare them.
        self.most = None if None in declared else int(max(declared))

    def share(self, thing: object) -> Path:
        """Write something that many tasks need, pickled, where all workers see it."""
        return self._site.home.put(thing)

    def check(self, name: str, memory: int) -> None:
        """Refuse a task that no worker has the memory for; Dask would wait for ever.

        Args:
            name (str): The task.
            memory (int): Bytes that it needs.

        Raises:
            UserError: If it needs more than the largest worker has.
        """
        if self.most is not None and memory > self.most:
            raise UserError(
                f"--cluster {self._where}: {name} needs {in_words(memory)} of memory, and "
                f"no worker has more than {in_words(self.most)}. Use fewer workers a "
                "machine, such as local:1, or say by task_memory what it really needs."
            )

    def map(
        self,
        function: Callable[..., Any],
        tasks: Iterable[Task],
        title: str,
        total: int,
        unit: str,
        *,
        done: int = 0,
        ahead: int | None = None,
    ) -> Iterator[Any]:
        """Yield ``function(*task.arguments)`` of each task, in their order.

        As many tasks are with the workers as there are workers: one that dies takes its
        own task along and no other. The task is run again, three times at most.

        Args:
            function (callable): At the top of a module, so that it can be pickled.
            tasks (iterable of Task): Read as they are needed.
            title (str): Shown in front of the progress bar.
            total (int): The sum of all sizes, those that were done before included.
            unit (str): What sizes count.
            done (int): What was done before.
            ahead (int, optional): How many results may wait for an earlier one; by
                default all.

        Yields:
            object: The result; a :class:`WorkerDied` instead of it for a task whose
            workers died again and again.

        Raises:
            UserError: If a task raises one, none has the memory for a task, or the
                cluster is lost.
        """
        distributed = _distributed()
        waiting, running, results, place = enumerate(tasks), {}, {}, 0
        upcoming, gone = next(waiting, None), None
        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(
                tqdm(total=total, initial=done, desc=title, unit=unit, disable=None)
            )
            # not on a terminal: one line per task
            stack.enter_context(self._telling(title, each=bar.disable))
            stack.callback(self._cancel, running)
            while upcoming or running or results:
                n_workers = self._n_workers()
                gone = None if n_workers else gone or time.monotonic()
                if gone and time.monotonic() - gone > _WITHOUT_WORKERS:
                    self._lose("all its workers are gone")
                while upcoming and len(running) < n_workers:
                    if ahead is not None and len(results) >= ahead:
                        break
                    running[self._submit(function, upcoming[1])] = upcoming
                    upcoming = next(waiting, None)
                if running:
                    with contextlib.suppress(distributed.TimeoutError, TimeoutError):
                        distributed.wait([*running], _GLANCE, "FIRST_COMPLETED")
                else:
                    time.sleep(_GLANCE)
                for future in [each for each in running if each.done()]:
                    number, task = running.pop(future)
                    results[number] = self._result(future, task)
                    bar.update(task.size)
                bar.refresh()  # shows the seconds; nothing where there is no terminal
                while place in results:
                    yield results.pop(place)
                    place += 1

    def _submit(self, function, task):
        self.check(task.name, task.memory)
        # as bytes, which Dask does not look into
        call = pickle.dumps((function, task.arguments))
        number = next(self._numbers)
        call = pickle.dumps((self._site, number, task.name, call))
        resources = {} if self.most is None else {MEMORY: task.memory}
        return self._client.submit(
            perform,
            call,
            key=f"{self._site.home.token}-{number}",
            resources=resources,
            pure=False,
        )

    def _result(self, future, task):
        """Return the result of a future that is done, or a :class:`WorkerDied`."""
        distributed = _distributed()
        if future.cancelled():
            self._lose("the scheduler does not answer any more")
        try:
            result, refusal = pickle.loads(future.result())
        except distributed.KilledWorker as error:
            return WorkerDied(
                f"{task.name}: {error.allowed_failures + 1} workers died one after "
                "another while they ran it. Often the memory is not enough: use fewer "
                "workers a machine, and state by task_memory what it needs."
            )
        finally:
            future.release()
        if refusal is not None:
            raise UserError(refusal)
        return result

    def _cancel(self, running):
        with contextlib.suppress(Exception):  # the connection may be lost
            if running:
                self._client.cancel([*running], force=True)

    def _n_workers(self):
        try:
            return len(self._client.nthreads())
        except (OSError, RuntimeError):
            self._lose("the scheduler does not answer any more")

    def _lose(self, why):
        raise UserError(
            f"--cluster {self._where}: {why}. What is finished is kept where the command "
            "keeps such things: the same command goes on."
        ) from None

    @contextlib.contextmanager
    def _telling(self, title, each):
        """Show what tasks say, and which are run again; those that start, if asked for."""

        def show(event):
            _, told = event
            if "line" in told:
                tqdm.write(told["line"], file=sys.stderr)
            elif told["again"]:
                tqdm.write(
                    f"{title}: a worker was lost; {told['started']} is run again, on "
                    f"{told['worker']}.",
                    file=sys.stderr,
                )
            elif each:
                print(f"{title}: {told['started']}", file=sys.stderr)

        topic = self._site.topic
        self._client.subscribe_topic(topic, show)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # the connection may be lost
                self._client.unsubscribe_topic(topic)


def _distributed():
    import distributed  # only where there is a cluster

    return distributed
