"""Results on disk and on the screen: whole files, plain tables."""

import contextlib
import csv
import json
import os
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import plain, whole_file

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def check_writable(*paths, read=()):
    """Find out before the work, not after it, that a result cannot be written.

    Args:
        paths (str, Path or None): Files that will be written; their folders are made.
        read (iterable of str, Path or None): Files that the same command reads.

    Raises:
        UserError: If a path is a folder, or its folder cannot be made or written to, or
            it is one of ``read`` or named twice.
    """
    taken = {os.path.realpath(path) for path in filter(None, read)}
    for path in map(Path, filter(None, paths)):
        with refusals(path):
            if path.is_dir():
                raise UserError(f"{path}: this is a folder; name a file in it.")
        if os.path.realpath(path) in taken:
            raise UserError(
                f"{path}: the same command reads this file, or writes something else to "
                "it. Name another file."
            )
        taken.add(os.path.realpath(path))
        if path.parent.exists() and not path.parent.is_dir():
            raise UserError(
                f"{path}: this cannot be written, because {path.parent} is a file. Name "
                "a folder, or a place in one."
            )
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise UserError(f"{path}: the folder {path.parent} cannot be written to.")


@contextlib.contextmanager
def writing(path):
    """As :func:`files.whole_file`; what the operating system refuses is a UserError."""
    with refusals(path), whole_file(path) as temporary:
        yield temporary


@contextlib.contextmanager
def refusals(path):
    """Turn what the operating system refuses meanwhile into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: this cannot be written. {error.strerror or error}. Name another "
            "place, or make room."
        ) from None


def check_table(path):
    """Raise a UserError unless ``path`` names a kind of table, or is None."""
    if not path or os.path.isdir(path):
        return  # a folder is another mistake, see check_writable
    if Path(path).suffix.lower() not in _SEPARATORS:
        raise UserError(
            f"{path}: a table is written as .csv or .tsv; end the name in one of the two."
        )


def write_table(path, columns, rows):
    """Write a table, comma separated, or tab separated if the name ends in ``.tsv``.

    Args:
        path (str or Path): The file; it ends in ``.csv`` or ``.tsv``.
        columns (list of str): The header.
        rows (iterable of tuple): One a line.
    """
    separator = _SEPARATORS[Path(path).suffix.lower()]
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
