"""A dataset with requests in the layout that RecBole reads without this package.

The text of a request is a column of ``.inter``. RecBole reads atomic files as CSV, with
quotes and words that mean "missing", so texts are written in such a way that it reads back
what they are.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from pandas._libs.parsers import STR_NA_VALUES

from recbole_whisperlite.files import whole_file

_BREAKS = str.maketrans("\t\r\n", "   ")


def write_stock(
    path: str | os.PathLike, columns: dict[str, str], rows: Iterable[tuple]
) -> None:
    """Write an atomic file that RecBole's own reader reads as it is meant.

    Tabs and line breaks become spaces, and a word that pandas takes for a missing value
    (``null``) gets a space at its end.

    Args:
        path (str or Path): The file; its folder is created if it does not exist.
        columns (dict): ``{column name: type}``.
        rows (iterable of tuple): The values of each line in column order.
    """
    with whole_file(Path(path)) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(f"{name}:{kind}" for name, kind in columns.items())
            writer.writerows(map(_text, row) for row in rows)


def _text(value):
    text = str(value).translate(_BREAKS)
    return f"{text} " if text and text in STR_NA_VALUES else text
