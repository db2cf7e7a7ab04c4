"""The interface of all encoders: frozen models that turn texts into vectors."""

from __future__ import annotations

import abc
import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from recbole_whisperlite.encoder import options

if TYPE_CHECKING:
    from recbole.config import Config


class Encoder(abc.ABC):
    """A frozen model that turns texts into unit vectors.

    The constructor only reads and checks settings. Slow work, such as loading weights,
    is left to :meth:`encode`, which is not called when the cache has the vectors. A class
    of the user's own defines :meth:`fingerprint` and :meth:`encode`, and is named as
    ``encoder: module:Class``; its source is part of the cache's key.

    Args:
        config (Config or dict): The settings.
        fit_texts (list of str): Texts that an encoder without pretrained weights may
            be fitted on.

    Raises:
        UserError: If a setting is wrong or a file that it names does not exist.
    """

    #: bool: Whether it may be pickled, and used by several processes.
    divisible = True

    def __init__(self, config: Config | dict, fit_texts: list[str]):
        self.show_progress = options.setting(config, "show_progress") is not False

    @abc.abstractmethod
    def fingerprint(self) -> dict:
        """Return everything that determines the vectors, as a JSON-serialisable dict."""

    @abc.abstractmethod
    def encode(self, texts: list[str]) -> np.ndarray:
        """Return the vectors of distinct texts.

        Args:
            texts (list of str): The texts.

        Returns:
            numpy.ndarray: float32 ``[len(texts), dim]``, rows of length 1, or zero for
            a text of which the encoder knows nothing.
        """

    def state(self) -> dict[str, np.ndarray]:
        """Return what was fitted on ``fit_texts``, arrays by name; {} if nothing was.

        A checkpoint and an exported model keep it, so that texts which come later are
        encoded as in training. For a class of the user's own that does not define this
        method, they keep ``fit_texts``.
        """
        return {}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` returned, instead of fitting.

        Raises:
            UserError: If the state is damaged.
        """

    def size(self) -> int:
        """Return about how many bytes its weights have, or what it was fitted to."""
        return 500_000_000  # the largest sentence encoders that a CPU is used for

    def shards(self, texts: list[str], size: int) -> list[np.ndarray]:
        """Return a division of texts whose parts may be encoded apart from one another.

        Args:
            texts (list of str): Distinct texts.
            size (int): How many a part has at least, if there are as many.

        Returns:
            list of numpy.ndarray: Indices into ``texts``, int64 ``[n]`` each.
        """
        n = max(1, len(texts) // size)
        return np.array_split(np.arange(len(texts)), n)

    def report(self, vectors: np.ndarray) -> None:
        """Log what is worth knowing of the vectors of a whole dataset's texts.

        Args:
            vectors (numpy.ndarray): From :meth:`encode`, ``[n_texts, dim]``.
        """

    def unload(self) -> None:
        """Free the loaded weights; :meth:`encode` loads them again."""

    def progress(self, total: int, description: str) -> tqdm:
        """Return a progress bar for ``total`` texts that appears after one second."""
        return tqdm(
            total=total,
            desc=description,
            unit="text",
            delay=1,
            disable=None if self.show_progress else True,
        )


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return ``vectors`` ``[n, dim]`` with rows scaled to length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence libraries that log every step and every attempt at loading a model.

    Anything that matters is also raised, and the encoders report it in one error.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
