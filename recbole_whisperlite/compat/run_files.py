"""The files of one run: checkpoint, log, curves, and a run of Weights & Biases.

RecBole names files by the second, opens a log for the first run of a process only, and
leaves a run of Weights & Biases open for whatever comes next. In a loop over models or
seeds, the curves of all would be drawn as one.
"""

import functools
import logging
import os
import secrets
import weakref
from collections.abc import Callable

from recbole.config import Config
from recbole.utils import utils
from recbole.utils.wandblogger import WandbLogger
from torch.utils.tensorboard import SummaryWriter

# What a run attaches to its Config that is no setting: it holds the data's own ids.
_NO_SETTINGS = ("trained_on",)

_log_handlers = weakref.WeakSet()
_folders_of_curves = set()
# (a run of Weights & Biases that RecBole began, the Config that it was begun for)
_wandb_run = None, lambda: None


def own_time() -> str:
    """Return the time as RecBole writes it, with what no other run has."""
    # not from random or numpy: runs with the same seed draw the same numbers there
    return f"{utils.get_local_time()}-{secrets.token_hex(6)}"


def init_logger(init: Callable) -> Callable:
    """Wrap RecBole's function of this name, so that each run has a log.

    The logging of the run before ends. Handlers of the user's own stay; where there are
    any, RecBole adds none.
    """

    @functools.wraps(init)
    def init_logger(config):
        root = logging.getLogger()
        for handler in [each for each in root.handlers if each in _log_handlers]:
            root.removeHandler(handler)
            handler.close()
        others = list(root.handlers)
        init(config)
        _log_handlers.update(each for each in root.handlers if each not in others)

    return init_logger


def get_tensorboard(log: logging.Logger) -> SummaryWriter:
    """Return a writer of curves, to a folder that no other run of this process has.

    Args:
        log (logging.Logger): If it writes to a file, the folder has the name of the file;
            a second trainer's of the same log has ``-2`` at its end.
    """
    files = [
        each.baseFilename for each in log.handlers if hasattr(each, "baseFilename")
    ]
    name = os.path.basename(files[0]).split(".")[0] if files else f"model-{own_time()}"
    number, folder = 1, os.path.join("log_tensorboard", name)
    while os.path.abspath(folder) in _folders_of_curves:
        number += 1
        folder = os.path.join("log_tensorboard", f"{name}-{number}")
    _folders_of_curves.add(os.path.abspath(folder))
    return SummaryWriter(folder)


def set_up_wandb(set_up: Callable) -> Callable:
    """Wrap ``WandbLogger.setup``, so that each ``Config`` has a run of its own.

    A run that the user began, for a sweep, say, is used as it is. Settings are sent, and
    not what the model was trained on.
    """

    @functools.wraps(set_up)
    def setup(self: WandbLogger) -> None:
        global _wandb_run
        if not self.log_wandb:
            return
        config = self.config
        begun, begun_for = _wandb_run
        wandb = _imported_wandb()
        if wandb is not None:
            if begun is not None and wandb.run is begun and begun_for() is not config:
                wandb.finish()
            is_first = wandb.run is None
            self.config = _SettingsOnly(config)
        try:
            set_up(self)
        finally:
            self.config = config
        if wandb is not None and is_first:
            _wandb_run = wandb.run, weakref.ref(config)

    return setup


def _imported_wandb():
    try:
        import wandb
    except ImportError:
        return None  # RecBole says what to install
    return wandb


class _SettingsOnly:
    """A Config as Weights & Biases reads it, by its attributes."""

    def __init__(self, config: Config):
        kept = {key: v for key, v in vars(config).items() if key not in _NO_SETTINGS}
        self.__dict__.update(kept)
        self.wandb_project = config["wandb_project"]
