"""``python -m recbole_whisperlite.benchmark.report results/hm``: rewrite a report."""

import argparse
import sys
from pathlib import Path

from recbole_whisperlite.benchmark.report import write
from recbole_whisperlite.errors import UserError


def main(argv: list[str] | None = None) -> int:
    """Write the report of a finished benchmark again, without running models.

    Args:
        argv (list of str, optional): The output folder; by default from the command
            line.

    Returns:
        int: The exit status; 2 after a message about a user error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m recbole_whisperlite.benchmark.report",
        description=main.__doc__.splitlines()[0],
    )
    parser.add_argument(
        "folder", type=Path, help="output folder of the benchmark, e.g. results/hm"
    )
    try:
        print(write(parser.parse_args(argv).folder))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
