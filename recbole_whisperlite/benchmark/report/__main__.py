"""``python -m recbole_whisperlite.benchmark.report results/hm``: the report anew."""

import argparse
import sys
from pathlib import Path

from recbole_whisperlite.benchmark.report import write
from recbole_whisperlite.errors import UserError


def main(argv=None):
    """Write the report of a finished benchmark again, without running models.

    Args:
        argv (list of str, optional): The output folder; by default from the command
            line.

    Returns:
        int: The exit status; 2 for a mistake of the user, told in one message.
    """
    parser = argparse.ArgumentParser(
        prog="python -m recbole_whisperlite.benchmark.report", description=main.__doc__
    )
    parser.add_argument("folder", type=Path, help="the output folder, e.g. results/hm")
    try:
        print(write(parser.parse_args(argv).folder))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
