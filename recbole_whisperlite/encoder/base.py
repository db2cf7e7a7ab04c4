"""What every encoder is: frozen, text to vector."""

import abc
import contextlib
import logging

import numpy as np
from tqdm import tqdm

from recbole_whisperlite.encoder import options


class Encoder(abc.ABC):
    """A frozen model that turns texts into unit vectors.

    Building one reads and checks settings only. What is slow, such as loading weights,
    waits for :meth:`encode`, which is not called when the cache has the vectors. A class
    of the user's own defines :meth:`fingerprint` and :meth:`encode`, and is named as
    ``encoder: module:Class``; its source is part of the cache's key.

    Args:
        config (Config or dict): The settings.
        fit_texts (list of str): Texts that an encoder without pretrained weights may
            learn from.

    Raises:
        UserError: If a setting is wrong or a file that it names does not exist.
    """

    def __init__(self, config, fit_texts):
        self.show_progress = options.setting(config, "show_progress") is not False

    @abc.abstractmethod
    def fingerprint(self):
        """Return everything that shapes the vectors, as a dict for json."""

    @abc.abstractmethod
    def encode(self, texts):
        """Return the vectors of distinct texts.

        Args:
            texts (list of str): The texts.

        Returns:
            numpy.ndarray: float32 ``[len(texts), dim]``, rows of length 1, or of length
            0 for a text of which the encoder knows nothing.
        """

    def progress(self, total, description):
        """Return a progress bar of ``total`` texts; it shows after a second."""
        return tqdm(
            total=total,
            desc=description,
            unit="text",
            delay=1,
            disable=not self.show_progress,
        )


def unit_rows(vectors):
    """Return ``vectors`` ``[n, dim]`` with every row scaled to length 1; zero stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


@contextlib.contextmanager
def quiet():
    """Silence libraries that log every step and every attempt of loading a model.

    What matters of it, they raise, and the encoders tell in one error.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
