"""What FashionCLIP is used for, on any CLIP model: search, labels, places, training.

One module a task, each with a function of the task's name and a ``main(argv)`` for the
command line, ``python -m recbole_whisperlite clip <task>``. See ``docs/clip.md``.
"""

import importlib
import logging
import sys

from recbole_whisperlite.errors import UserError, did_you_mean

TASKS = {
    "retrieve": "find the products that a text, a picture or both ask for",
    "classify": "label pictures by class names alone, with scores",
    "ground": "show where in a picture a phrase is",
    "finetune": "train a CLIP model on pictures and their captions",
    "evaluate": "measure text and picture search on a ground truth",
}
LOG_FORMAT = "%(levelname)s: %(message)s"


def main(argv=None):
    """Run ``python -m recbole_whisperlite clip <task> …``.

    Args:
        argv (list of str, optional): What follows ``clip``; the process's own arguments
            if None.

    Returns:
        int: The exit status; 2 for an unknown task.

    Raises:
        UserError: If the task's input or settings cannot be used.
    """
    argv = sys.argv[1:] if argv is None else argv
    task = argv[0] if argv else "--help"
    if task in ("-h", "--help"):
        print("usage: python -m recbole_whisperlite clip <task> [options]\n")
        for name, meaning in TASKS.items():
            print(f"  {name:10}{meaning}")
        print("\nclip <task> --help tells more.")
        return 0
    if task not in TASKS:
        raise UserError(
            f"clip has no task '{task}'.{did_you_mean(task, TASKS)} "
            f"It has {', '.join(TASKS)}."
        )
    logging.basicConfig(format=LOG_FORMAT)
    # Only here: the tasks load torch and open_clip, which takes seconds.
    module = importlib.import_module(f"recbole_whisperlite.clip.{task}")
    return module.main(argv[1:])
