"""What test_cache runs in processes of its own; light, since each imports it."""

import os
import signal
import time

import numpy as np

from recbole_whisperlite.encoder import cache


class Fake:
    """An encoder whose vectors say which text they are of: [length, first letter]."""

    def __init__(self, version=1):
        self.version = version
        self.asked = []

    def fingerprint(self):
        return {"version": self.version}

    def report(self, vectors):
        """Nothing is worth a line of the log."""

    def encode(self, texts):
        self.asked.append(texts)
        return np.array([[len(t), ord(t[0])] for t in texts], dtype=np.float32)


ROWS = 20_000


class Slow(Fake):
    """Takes a fifth of a second; its entry takes some more to be written."""

    def __init__(self, log=None):
        super().__init__()
        self.log = log

    def encode(self, texts):
        if self.log:
            with open(self.log, "a") as file:
                file.write("encoding\n")
        time.sleep(0.2)
        return np.tile(super().encode(texts), (1, 200))


def slow_texts():
    return [str(n) for n in range(ROWS)]


def work(folder, ready, log=None):
    texts = slow_texts()
    ready.send("ready")
    cache.vectors(Slow(log), "fake", texts, folder, np.dtype("float32"))
    ready.send("done")


def write_half_and_die(folder):
    def save(file, array, **kwargs):
        file.write(b"\x93NUMPY half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    cache.np.save = save
    cache.vectors(Fake(), "fake", ["a"], folder, np.dtype("float32"))
