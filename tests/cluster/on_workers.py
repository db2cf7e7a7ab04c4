"""What the tests of a cluster have workers do; imports little, for a worker imports it."""

import os
import signal
import time
from pathlib import Path

from recbole_whisperlite.errors import UserError


def square(number, seconds=0.0):
    time.sleep(seconds)
    return number**2


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def square_at_the_second_attempt(number, folder):
    first = Path(folder, str(number))
    if number in (2, 5) and not first.exists():
        first.touch()
        kill()
    return number**2


def refuse(number):
    if number == 3:
        raise UserError("three is not accepted")
    return number


def where():
    return os.getpid(), os.getcwd(), os.environ.get("RECBOLE_WHISPERLITE_TEST")


class DiesFirst:
    """A function; the first worker that reads it is killed.

    Args:
        function (callable): The function.
        folder (Path): Where it is noted that this has happened.
    """

    def __init__(self, function, folder):
        self.function, self.folder = function, folder

    def __reduce__(self):
        return _dies_first, (str(self.folder), Late(self.function))

    def __call__(self, *arguments):
        return self.function(*arguments)


class Late:
    """A function that is imported when it is called."""

    def __init__(self, function):
        self.module, self.name = function.__module__, function.__name__

    def __call__(self, *arguments):
        import importlib

        return getattr(importlib.import_module(self.module), self.name)(*arguments)


def _dies_first(folder, function):
    try:
        Path(folder, "died").touch(exist_ok=False)
    except FileExistsError:
        return function
    kill()
