"""Results on disk and on the screen: whole files, plain tables."""

import contextlib
import csv
import json
import os
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import plain, whole_file


def check_writable(*paths):
    """Find out before the work, not after it, that a result cannot be written.

    Args:
        paths (str, Path or None): Files that will be written; their folders are made.

    Raises:
        UserError: If a path is a folder, or its folder cannot be made or written to.
    """
    for path in map(Path, filter(None, paths)):
        if path.is_dir():
            raise UserError(f"{path}: this is a folder; name a file in it.")
        with _refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise UserError(f"{path}: the folder {path.parent} cannot be written to.")


@contextlib.contextmanager
def writing(path):
    """As :func:`files.whole_file`; what the operating system refuses is a UserError."""
    with _refusals(path), whole_file(path) as temporary:
        yield temporary


@contextlib.contextmanager
def _refusals(path):
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: this cannot be written. {error.strerror or error}. Name another "
            "place, or make room."
        ) from None


def write_table(path, columns, rows):
    """Write a table, comma separated, or tab separated if the name ends in ``.tsv``.

    Args:
        path (str or Path): The file.
        columns (list of str): The header.
        rows (iterable of tuple): One a line.
    """
    separator = "\t" if Path(path).suffix.lower() == ".tsv" else ","
    with writing(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=separator, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)


def write_json(path, value):
    """Write ``value`` as indented json."""
    with writing(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=plain)
        temporary.write_text(text + "\n", encoding="utf-8")


def print_table(columns, rows, most=60):
    """Print a table in columns as wide as needed; long values are cut.

    Args:
        columns (list of str): The header.
        rows (iterable of tuple): The lines.
        most (int): Characters shown of a value.
    """
    lines = [[_short(value, most) for value in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths))
        print("  ".join(cells).rstrip())


def _short(value, most):
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"
