"""The command lines: ``run_recbole.py`` and ``python -m recbole_whisperlite``."""

import argparse
import sys
import traceback
import warnings

from recbole_whisperlite.config_files import read_files
from recbole_whisperlite.errors import UserError

COMMANDS = {
    "run": "train and evaluate a model (the same as run_recbole.py)",
    "benchmark": "train and evaluate several models on the same requests; make tables",
    "prepare": "convert a public dataset's own files into atomic files",
    "clip": "search, label, ground, train and measure by CLIP: texts and pictures",
    "doctor": "say what is installed, which repairs are active, what is unusable",
    "bench": "measure costs against RecBole's models, as ratios",
}


def main(argv=None):
    """Run ``python -m recbole_whisperlite <command> …``.

    Returns:
        int: The exit status; 2 for a mistake of the user, told in one message.
    """
    argv = sys.argv[1:] if argv is None else argv
    command = argv[0] if argv else None
    if command not in COMMANDS:
        print("usage: python -m recbole_whisperlite <command> [options]\n")
        for name, meaning in COMMANDS.items():
            print(f"  {name:10}{meaning}")
        print("\n<command> --help tells more.")
        if command in (None, "-h", "--help"):
            return 0
        return _fail(f"There is no command '{command}'.")
    if command == "run":
        # RecBole's Config reads sys.argv itself
        sys.argv = [sys.argv[0], *argv[1:]]
        return run(argv[1:])
    try:
        if command == "doctor":
            from recbole_whisperlite import doctor

            return doctor.main()
        if command == "benchmark":
            from recbole_whisperlite import benchmark

            return benchmark.main(argv[1:])
        if command == "prepare":
            from recbole_whisperlite import prepare

            return prepare.main(argv[1:])
        if command == "clip":
            from recbole_whisperlite import clip

            return clip.main(argv[1:])
        from recbole_whisperlite import bench

        return bench.main(argv[1:])
    except UserError as error:
        return _fail(error)


def run(argv):
    """Train and evaluate one model by RecBole's runner, with RecBole's own flags.

    Args:
        argv (list of str): ``--model --dataset --config_files --nproc --ip --port
            --world_size --group_offset``; every other ``--key=value`` is a setting that
            RecBole's ``Config`` reads from ``sys.argv``. Several models, seeds or an
            output folder (see :mod:`recbole_whisperlite.benchmark`) make a benchmark.

    Returns:
        int: The exit status; 2 for a mistake of the user, told in one message.
    """
    # Only here: doctor has to speak where these imports fail.
    from recbole_whisperlite import benchmark
    from recbole_whisperlite.benchmark import plan

    try:
        if plan.is_benchmark(argv):
            return benchmark.main(argv)
    except UserError as error:
        return _fail(error)
    parser = argparse.ArgumentParser(
        prog="run_recbole.py",
        description="Train and evaluate a model of RecBole or WhisperLite.",
        epilog="Every setting of RecBole and WhisperLite can be given as --key=value. "
        "With --model=A,B, --seeds or --output it becomes a benchmark: see "
        "python -m recbole_whisperlite benchmark --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model", "-m", default="WhisperLite", help="name of the model"
    )
    parser.add_argument("--dataset", "-d", default="stylist-mini", help="its name")
    parser.add_argument("--config_files", help="yaml files, separated by spaces")
    parser.add_argument("--nproc", type=int, default=1, help="processes of this group")
    parser.add_argument("--ip", default="localhost", help="the master node's address")
    parser.add_argument("--port", default="5678", help="the master node's port")
    parser.add_argument("--world_size", type=int, default=-1, help="processes in all")
    parser.add_argument(
        "--group_offset", type=int, default=0, help="global rank offset"
    )
    args, _ = parser.parse_known_args(argv)
    # RecBole's pandas idioms end with pandas 3, which is not installed: not user's news
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"recbole\.")
    try:
        read_files(args.config_files)  # finds mistakes before RecBole does
        files = args.config_files.split() if args.config_files else None
        if args.nproc > 1 or args.world_size > 0:
            _check_before_spawning(args, files)
        from recbole.quick_start import run as recbole_run

        recbole_run(
            args.model,
            args.dataset,
            config_file_list=files,
            nproc=args.nproc,
            world_size=args.world_size,
            ip=args.ip,
            port=args.port,
            group_offset=args.group_offset,
        )
    except UserError as error:
        return _fail(error)
    except Exception as error:
        if not _is_about_settings(error):
            raise
        return _fail(error)
    return 0


def _check_before_spawning(args, files):
    """Find mistakes here: in a child process they would end in its traceback."""
    from recbole.config import Config

    from recbole_whisperlite import settings

    settings.check_dataset(Config(args.model, args.dataset, files))


def _is_about_settings(error):
    """RecBole's Config raises built-in exceptions for settings that it refuses."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename.endswith("configurator.py")


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    return 2
