"""The command lines: ``run_recbole.py`` and ``python -m recbole_whisperlite``."""

import argparse
import sys
import traceback

import yaml

from recbole_whisperlite.errors import UserError

COMMANDS = {
    "run": "train and evaluate a model (the same as run_recbole.py)",
    "prepare": "convert a public dataset's own files into atomic files",
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
        if command == "prepare":
            from recbole_whisperlite import prepare

            return prepare.main(argv[1:])
        from recbole_whisperlite import bench

        return bench.main(argv[1:])
    except UserError as error:
        return _fail(error)


def run(argv):
    """Train and evaluate one model by RecBole's runner, with RecBole's own flags.

    Args:
        argv (list of str): ``--model --dataset --config_files --nproc --ip --port
            --world_size --group_offset``; every other ``--key=value`` is a setting that
            RecBole's ``Config`` reads from ``sys.argv``.

    Returns:
        int: The exit status; 2 for a mistake of the user, told in one message.
    """
    parser = argparse.ArgumentParser(
        prog="run_recbole.py",
        description="Train and evaluate a model of RecBole or WhisperLite.",
        epilog="Every setting of RecBole and WhisperLite can be given as --key=value.",
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
    try:
        files = _check_files(args.config_files)
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


def _check_files(config_files):
    """Return the list of yaml files, after a look into each."""
    files = config_files.split() if config_files else []
    for file in files:
        try:
            with open(file, encoding="utf-8") as stream:
                content = yaml.safe_load(stream)
        except OSError as error:
            raise UserError(f"config_files: {file}: {error.strerror}.") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"config_files: {file} is not yaml: {error}") from None
        if not isinstance(content, dict):
            raise UserError(f"config_files: {file} holds no 'key: value' lines.")
    return files or None


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
