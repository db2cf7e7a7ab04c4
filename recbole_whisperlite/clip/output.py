"""Writes results to files, whole or not at all, and prints plain tables."""

import contextlib
import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import plain, whole_file

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def check_writable(
    *paths: str | Path | None, read: Iterable[str | Path | None] = ()
) -> None:
    """Check before the work starts, not after it, that results can be written.

    Args:
        paths (str, Path or None): Files that will be written; their folders are created.
        read (iterable of (str, Path or None)): Files that the same command reads.

    Raises:
        UserError: If a path is a folder, its folder cannot be created or written to, or
            it is one of ``read`` or given twice.
    """
    taken = {os.path.realpath(path) for path in filter(None, read)}
    for path in map(Path, filter(None, paths)):
        with refusals(path):
            if path.is_dir():
                raise UserError(f"{path}: this is a folder; give a file in it.")
        if os.path.realpath(path) in taken:
            raise UserError(
                f"{path}: the same command reads this file, or writes something else to "
                "it. Give another file."
            )
        taken.add(os.path.realpath(path))
        if path.parent.exists() and not path.parent.is_dir():
            raise UserError(
                f"{path}: this cannot be written, because {path.parent} is a file, not a "
                "folder. Give another path."
            )
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise UserError(f"{path}: the folder {path.parent} is not writable.")


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Do as :func:`files.whole_file`, with an OSError turned into a UserError."""
    with refusals(path), whole_file(path) as temporary:
        yield temporary


@contextlib.contextmanager
def refusals(path: str | Path) -> Iterator[None]:
    """Turn any OSError raised inside into a UserError about ``path``."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: this cannot be written. {error.strerror or error}. Give another "
            "path, or free some space."
        ) from None


def check_table(path: str | Path | None) -> None:
    """Raise a UserError unless ``path`` ends in ``.csv`` or ``.tsv``, or is None."""
    if not path or os.path.isdir(path):
        return  # a folder is another mistake, see check_writable
    if Path(path).suffix.lower() not in _SEPARATORS:
        raise UserError(f"{path}: a table must be a .csv or .tsv file.")


def write_table(
    path: str | Path, columns: Sequence[str], rows: Iterable[Sequence]
) -> None:
    """Write a table, comma separated, or tab separated if the name ends in ``.tsv``.

    Args:
        path (str or Path): The file; it ends in ``.csv`` or ``.tsv``.
        columns (list of str): The header.
        rows (iterable of tuple): One per line.

    Raises:
        UserError: If the file cannot be written.
    """
    separator = _SEPARATORS[Path(path).suffix.lower()]
    with writing(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=separator, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON.

    Raises:
        UserError: If the file cannot be written.
    """
    with writing(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=plain)
        temporary.write_text(text + "\n", encoding="utf-8")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence], most: int = 60
) -> None:
    """Print a table with columns as wide as needed; long values are truncated.

    Args:
        columns (list of str): The header.
        rows (iterable of tuple): One per line.
        most (int): The maximum number of characters shown of a value.
    """
    lines = [[_short(value, most) for value in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths))
        print("  ".join(cells).rstrip())


def _short(value, most):
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"
