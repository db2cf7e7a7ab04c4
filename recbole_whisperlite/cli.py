"""The command line: ``recbole-whisperlite`` and ``run_recbole.py``.

Nothing heavy is imported until it is clear which command needs it.
"""

import argparse
import contextlib
import os
import sys
import traceback
import warnings
from pathlib import Path

from recbole_whisperlite.errors import UserError

#: The user's word that settings files may name custom code.
OWN_CODE = "--own-code"
# command: (module that has a function main, description)
COMMANDS = {
    "run": (None, "train and evaluate a model (the same as run_recbole.py)"),
    "benchmark": (
        "benchmark.command",
        "train and evaluate several models on the same requests; make tables",
    ),
    "export": (
        "export.command",
        "write a trained model as a folder that stands on its own",
    ),
    "index": (
        "recommend.stores.command",
        "build a store of an exported model, for answers from a large catalogue",
    ),
    "recommend": (
        "recommend.command",
        "ask an exported model: one request, a prompt, or a file of requests",
    ),
    "serve": (
        "serve.command",
        "answer over HTTP, with a page to try models and a database of feedback",
    ),
    "study": (
        "serve.study.command",
        "a user study: raters judge the lists of models, blind",
    ),
    "prepare": ("prepare", "convert a public dataset's own files into atomic files"),
    "clip": (
        "clip",
        "search, label, locate, train and evaluate with CLIP, on texts and pictures",
    ),
    "encode": (
        "upstream.encode",
        "write a dataset and its vectors as files that RecBole reads without this package",
    ),
    "upstream": (
        "upstream.command",
        "write WhisperLite into a clone of RecBole, as a request to merge it would",
    ),
    "doctor": (
        "doctor",
        "show what is installed, which repairs are active and what is unusable",
    ),
    "costs": (
        "benchmark.costs",
        "measure costs relative to those of RecBole's models",
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Run ``recbole-whisperlite <command> …``.

    Args:
        argv (list of str, optional): The command line without the program's name.

    Returns:
        int: The exit status; 2 for a user error, reported in one message.
    """
    argv = sys.argv[1:] if argv is None else argv
    command = argv[0] if argv else None
    if command == "bench":
        return _fail("'bench' is now 'costs': see recbole-whisperlite costs --help.")
    if command not in COMMANDS:
        print("usage: recbole-whisperlite <command> [options]\n")
        for name, (_, description) in COMMANDS.items():
            print(f"  {name:10}{description}")
        print("\nFor details: recbole-whisperlite <command> --help")
        if command in (None, "-h", "--help"):
            return 0
        return _fail(f"There is no command '{command}'.")
    if command == "run":
        # RecBole's Config reads sys.argv itself
        sys.argv = [sys.argv[0], *argv[1:]]
        return run(argv[1:])
    if command == "benchmark" and OWN_CODE in argv:
        with _own_code_allowed():
            return main(_without_own_code(argv))
    import importlib

    module = importlib.import_module(f"recbole_whisperlite.{COMMANDS[command][0]}")
    try:
        return module.main(argv[1:])
    except UserError as error:
        return _fail(error)


def _without_own_code(argv):
    return [each for each in argv if each != OWN_CODE]


@contextlib.contextmanager
def _own_code_allowed():
    """Let settings files name custom code, in the processes of a benchmark, too."""
    from recbole_whisperlite.own_code import ENVIRONMENT

    before = os.environ.get(ENVIRONMENT)
    os.environ[ENVIRONMENT] = "1"
    try:
        yield
    finally:
        os.environ.pop(ENVIRONMENT)
        if before is not None:
            os.environ[ENVIRONMENT] = before


def run(argv: list[str]) -> int:
    """Train and evaluate one model with RecBole's runner and RecBole's own flags.

    Args:
        argv (list of str): ``--model --dataset --config_files --nproc --ip --port
            --world_size --group_offset``; every other ``--key=value`` is a setting that
            RecBole's ``Config`` reads from ``sys.argv``. Several models, seeds or an
            output folder turn the run into a benchmark (see
            :mod:`recbole_whisperlite.benchmark`).

    Returns:
        int: The exit status; 2 for a user error, reported in one message.
    """
    if OWN_CODE in argv:
        sys.argv = _without_own_code(sys.argv)
        with _own_code_allowed():
            return run(_without_own_code(argv))
    parser = _run_parser()
    if {"-h", "--help"} & set(argv):
        parser.parse_args(argv)  # before any slow import
    from recbole_whisperlite import config_files
    from recbole_whisperlite.benchmark import plan

    try:
        if plan.is_benchmark(argv):
            from recbole_whisperlite.benchmark import command

            return command.main(argv)
        args, flags = parser.parse_known_args(argv)
        config_files.check_flags(flags)
        return _run_one(args, flags)
    except UserError as error:
        return _fail(error)


def _run_parser():
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite run",
        description="Train and evaluate a model of RecBole or WhisperLite.",
        epilog="Every setting of RecBole and WhisperLite can be given as --key=value. "
        "With --model=A,B, --seeds or --output the run becomes a benchmark: see "
        "recbole-whisperlite benchmark --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        "-m",
        default="WhisperLite",
        help="name of the model, or module:Class for a custom one",
    )
    parser.add_argument(
        "--dataset", "-d", default="stylist-mini", help="name of the dataset"
    )
    parser.add_argument(
        "--config_files", help="yaml files or names of presets, separated by spaces"
    )
    parser.add_argument(
        "--nproc", type=int, default=1, help="number of processes in this group"
    )
    parser.add_argument("--ip", default="localhost", help="the master node's address")
    parser.add_argument("--port", default="5678", help="the master node's port")
    parser.add_argument(
        "--world_size", type=int, default=-1, help="total number of processes"
    )
    parser.add_argument(
        "--group_offset", type=int, default=0, help="global rank offset"
    )
    parser.add_argument(
        OWN_CODE,
        action="store_true",
        help="allow the yaml files to import the modules that they name",
    )
    return parser


def _run_one(args, flags):
    from recbole_whisperlite.config_files import read_files

    read_files(args.config_files)  # reports mistakes before RecBole does
    files = (args.config_files or "").split() or None  # Config finds presets by name
    # these warn that pandas 3 will break RecBole, which is of no use to the user:
    # this package requires an earlier pandas
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"recbole\.")
    try:
        if args.nproc != 1 or args.world_size > 0:
            _check_before_spawning(args, files)
        from recbole.quick_start import run as recbole_run

        result = recbole_run(
            args.model,
            args.dataset,
            config_file_list=files,
            nproc=args.nproc,
            world_size=args.world_size,
            ip=args.ip,
            port=args.port,
            group_offset=args.group_offset,
        )
    except UserError:
        raise
    except Exception as error:
        said = _said_by_a_process(error)
        if said:
            return _fail(said)
        if not _is_said_by_recbole(error):
            raise
        return _fail(f"RecBole says: {error}")
    exported = next((f for f in reversed(flags) if f.startswith("--export=")), "")
    _print_result(args, result, exported.partition("=")[2])
    return 0


def _print_result(args, result, exported):
    """Print the metrics as a table, and suggest the next commands."""
    if not result or not result["test_result"]:
        return
    valid, test = result["best_valid_result"] or {}, result["test_result"]
    width = max(len(name) for name in test)
    print(f"\n{args.model} on {args.dataset}\n")
    print(f"{'':{width}}  {'validation':>10}  {'test':>10}")
    for name, value in test.items():
        validated = f"{valid[name]:10.4f}" if name in valid else f"{'–':>10}"
        print(f"{name:{width}}  {validated}  {value:10.4f}")
    others = [name for name in ("BM25", "BPR", "WhisperLite") if name != args.model]
    print(
        "\nNext: compare it with other models on the same requests\n"
        f"  recbole-whisperlite benchmark --model={','.join([args.model, *others[:2]])} "
        f"--dataset={args.dataset}"
    )
    if exported:
        print(
            "or ask it\n"
            f'  recbole-whisperlite recommend "something warm" --model {exported}'
        )


def _check_before_spawning(args, files):
    """Report mistakes here, before the processes start and wait for each other."""
    if args.nproc < 1 or args.group_offset < 0:
        raise UserError(
            f"nproc is {args.nproc} and group_offset {args.group_offset}; they must be at "
            "least 1 and 0."
        )
    if 0 < args.world_size < args.group_offset + args.nproc:
        raise UserError(
            f"world_size is {args.world_size}, but {args.nproc} processes from number "
            f"{args.group_offset} on do not fit into it: it is the number of the processes "
            "of all machines, and group_offset that of the machines before this one."
        )
    from recbole.config import Config

    from recbole_whisperlite.config import datasets

    datasets.check_dataset(Config(args.model, args.dataset, files))


def _said_by_a_process(error):
    """The message of a UserError that ended one of several processes, or ''."""
    from torch.multiprocessing import ProcessRaisedException

    if not isinstance(error, ProcessRaisedException):
        return ""
    # all that is left of it is the text of its traceback
    name = f"{UserError.__module__}.{UserError.__qualname__}: "
    return str(error).partition(name)[2].strip()


def _is_said_by_recbole(error):
    """Whether RecBole itself refuses something: it does so by built-in exceptions."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    is_recboles = "recbole" in Path(last.filename).parts
    in_config = last.filename.endswith("configurator.py")
    return is_recboles and (in_config or last.line.startswith("raise "))


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    return 2
