"""Answers a file of requests as tasks of a cluster, a chunk each."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_whisperlite.cluster.tasks import Task, WorkerDied, Workers
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend import hub
from recbole_whisperlite.recommend.folder import CONFIG, digest

if TYPE_CHECKING:
    import pyarrow as pa

    from recbole_whisperlite.recommend.requests_file import Asked

# Python, torch and the answers of a chunk.
_BASE = 1.5e9
# The files of a model: as they are read, and as scorers and encoder use them.
_COPIES = 3
# Answers that may wait for those of an earlier chunk.
_AHEAD = 64


def model_on_disk(source: str) -> tuple[str, str]:
    """Return where a model is, downloaded if need be, and the hash of what it is.

    Args:
        source (str): As for ``Recommender.load``.

    Raises:
        UserError: If there is nothing, or it cannot be downloaded.
    """
    if source.startswith(hub.PREFIX):
        source = os.fspath(hub.download(source))
    path = Path(source)
    if path.is_dir():
        path /= CONFIG  # has the digests of all other files
    return source, digest(path) if path.is_file() else ""


class Elsewhere:
    """A model on the workers of a cluster.

    Args:
        source (str): Where the model is, as for ``Recommender.load``.
        digest (str): The hash of what it is; a worker that finds another one refuses.
        pictures (str, optional), own_code (bool): As for ``Recommender.load``.
        memory (int, optional): Bytes that a task needs; by default an estimate from the
            size of the model's files.

    Attributes:
        workers (Workers): To be set before it is used.
    """

    def __init__(
        self,
        source: str,
        digest: str,
        pictures: str | None = None,
        own_code: bool = False,
        memory: int | None = None,
    ):
        self._model = (source, digest, pictures, own_code)
        size = sum(path.stat().st_size for path in self.files())
        self._memory = memory or int(_BASE + _COPIES * size)
        self.workers: Workers | None = None

    def files(self) -> list[Path]:
        """Return the files of the model."""
        source = Path(self._model[0])
        if source.is_dir():
            return sorted(path for path in source.rglob("*") if path.is_file())
        return [source] if source.is_file() else []

    def answer(
        self,
        answer: Callable[..., tuple[pa.Table, dict[str, int]]],
        chunks: Iterable[list[Asked]],
        options: dict,
        exclude_seen: bool,
        total: int,
        done: int,
    ) -> Iterator[tuple[pa.Table, dict[str, int]]]:
        """Yield the answers to each chunk, in order.

        Args:
            answer (callable): ``Job.answer``, which is called with the model, a chunk,
                ``options`` and ``exclude_seen``.
            chunks (iterable of list of Asked): Read as they are needed.
            options (dict), exclude_seen (bool): As ``answer`` takes them.
            total (int): How many requests the file has.
            done (int): How many of them are before the first chunk.

        Raises:
            UserError: If a request cannot be answered, or workers die again and again.
        """

        def tasks():
            begun = done
            for rows in chunks:
                name = f"requests {begun + 1:,} to {begun + len(rows):,}"
                arguments = (self._model, answer, rows, options, exclude_seen)
                yield Task(name, arguments, self._memory, len(rows))
                begun += len(rows)

        found = self.workers.map(
            *(_answer, tasks(), "answer", total, " requests"), done=done, ahead=_AHEAD
        )
        for answers in found:
            if isinstance(answers, WorkerDied):
                raise answers
            yield answers


def _answer(model, answer, rows, options, exclude_seen):
    return answer(_loaded(*model), rows, options, exclude_seen)


@functools.lru_cache(maxsize=1)
def _loaded(source, expected, pictures, own_code):
    from recbole_whisperlite.recommend.recommender import Recommender

    if model_on_disk(source)[1] != expected:
        raise UserError(
            f"The model {source} is another one on a worker. It must be in a folder that "
            "all machines share under the same name."
        )
    return Recommender.load(source, pictures=pictures, own_code=own_code)
