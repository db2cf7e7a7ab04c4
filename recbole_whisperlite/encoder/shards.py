"""Encodes many texts as tasks of a cluster, part by part, and puts the parts in order."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import functools
from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.cluster import home
from recbole_whisperlite.cluster.tasks import Task, WorkerDied, Workers

if TYPE_CHECKING:
    from recbole_whisperlite.encoder.base import Encoder

#: Texts of a task, at least: seconds of work for the smallest CLIP model.
SIZE = 2048
# Python, torch and scikit-learn, and the vectors of a task.
_BASE = 1.0e9
# Weights or counts: as they are read, as they are used, and packed for the processor.
_COPIES = 3

_cluster = contextvars.ContextVar("cluster", default=None)


@contextlib.contextmanager
def encoding_on(workers: Workers, memory: int | None = None) -> Iterator[None]:
    """Have the texts that are encoded meanwhile encoded by workers.

    Args:
        workers (Workers): Of a cluster.
        memory (int, optional): Bytes that a task needs; by default an estimate from the
            size of the encoder.
    """
    token = _cluster.set((workers, memory))
    try:
        yield
    finally:
        _cluster.reset(token)


def encode(encoder: Encoder, texts: list[str]) -> np.ndarray:
    """Return ``encoder.encode(texts)``, from the workers of :func:`encoding_on` if any.

    Few texts, pictures, and texts for an encoder of the user's own are encoded here.

    Raises:
        UserError: As ``encode`` does, or if workers die again and again.
    """
    if _cluster.get() is None or not _is_ours(encoder):
        return encoder.encode(texts)
    workers, memory = _cluster.get()
    parts = encoder.shards(texts, SIZE)
    if len(parts) < 2:
        return encoder.encode(texts)
    # without what takes memory here, and without bars of its own
    sent = copy.copy(encoder)
    sent.unload()
    sent.show_progress = False
    memory = memory or int(_BASE + _COPIES * encoder.size())
    encoder.unload()
    path = workers.share(sent)
    tasks, begun = [], 0
    for part in parts:
        name = f"texts {begun + 1:,} to {begun + len(part):,}"
        here = [texts[row] for row in part]
        tasks.append(Task(name, (path, here), memory, len(part)))
        begun += len(part)
    result = None
    found = workers.map(_encode, tasks, "encode texts", len(texts), "text")
    for vectors, part in zip(found, parts):
        if isinstance(vectors, WorkerDied):
            raise vectors
        if result is None:
            result = np.empty((len(texts), vectors.shape[1]), vectors.dtype)
        result[part] = vectors
    return result


def _is_ours(encoder):
    """Whether workers may load it: a worker may have an older version of the user's."""
    ours = type(encoder).__module__.startswith("recbole_whisperlite.")
    if not ours:
        getLogger().warning(
            f"The encoder {type(encoder).__name__} is custom code, which is not run on a "
            "cluster: its texts are encoded here."
        )
    return ours and encoder.divisible


def _encode(path: Path, texts: list[str]) -> np.ndarray:
    return _loaded(path).encode(texts)


@functools.lru_cache(maxsize=1)
def _loaded(path):
    """Return the encoder, which keeps its weights from one task to the next."""
    return home.get(path)
