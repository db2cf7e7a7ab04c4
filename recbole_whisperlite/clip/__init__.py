"""The tasks FashionCLIP is used for, with any CLIP model: search, labels, maps, training.

One module per task, each with a function named after the task (``training.train_clip``
for ``finetune``) and a ``main(argv)`` for the command line,
``recbole-whisperlite clip <task>``. See ``docs/clip.md``.
"""

import importlib
import logging
import sys

from recbole_whisperlite.errors import UserError, did_you_mean

TASKS = {
    "retrieve": "find products by a text, a picture or both",
    "classify": "label pictures given only class names, with scores",
    "ground": "show where in a picture a phrase is",
    "finetune": "train a CLIP model on pictures and their captions",
    "evaluate": "measure text and picture search against a ground truth",
}
LOG_FORMAT = "%(levelname)s: %(message)s"


def main(argv: list[str] | None = None) -> int:
    """Run ``recbole-whisperlite clip <task> …``.

    Args:
        argv (list of str, optional): The arguments after ``clip``; by default those of
            the process.

    Returns:
        int: The exit status.

    Raises:
        UserError: If there is no such task, or its input or settings cannot be used.
    """
    argv = sys.argv[1:] if argv is None else argv
    task = argv[0] if argv else "--help"
    if task in ("-h", "--help"):
        print("usage: recbole-whisperlite clip <task> [options]\n")
        for name, meaning in TASKS.items():
            print(f"  {name:10}{meaning}")
        print("\nFor the options of a task: recbole-whisperlite clip <task> --help")
        return 0
    if task not in TASKS:
        raise UserError(
            f"clip has no task '{task}'.{did_you_mean(task, TASKS)} "
            f"Tasks: {', '.join(TASKS)}."
        )
    logging.basicConfig(format=LOG_FORMAT)
    # Imported late: the tasks load torch and open_clip, which takes seconds.
    module = importlib.import_module(f"recbole_whisperlite.clip.{task}")
    return module.main(argv[1:])
