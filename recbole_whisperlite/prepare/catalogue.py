"""The items' table: what is text, what is a number, and where the pictures are."""

from __future__ import annotations

import functools
import itertools
import os
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.numbers import Numbers, is_code

if TYPE_CHECKING:
    from recbole_whisperlite.prepare.mapping import Table

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|//|data:", re.IGNORECASE)
_PICTURES_A_BLOCK = 256
_SHOWN = 3


class Catalogue:
    """The lines of ``.item``.

    The file is read once to see which columns hold numbers, and once to write them.

    Args:
        table (Table): The section ``items``.
        output (str or Path): The dataset's folder, to which pictures are relative.

    Attributes:
        types (dict): ``{our name: "token" or "float"}``.
        notes (list of str): Sentences about columns that may be of the wrong type.
        texts (dict): ``{item id: whether it has a text}``; filled by :meth:`rows`.
        pictures (Pictures or None): If the mapping has a column ``image``.

    Raises:
        UserError: If a column holds numbers in another form than the mapping says, or
            no column holds text.
    """

    def __init__(self, table: Table, output: str | os.PathLike):
        self.table, self.texts = table, {}
        self.types, self.notes = column_types(table)
        self.pictures = Pictures(table, output) if "image" in table.columns else None
        self.text_columns = [
            name
            for name, kind in self.types.items()
            if kind == "token" and name not in ("item_id", "image")
        ]
        self.number_columns = [n for n, kind in self.types.items() if kind == "float"]
        if not self.text_columns:
            raise UserError(
                f"{table.path}: every mapped column holds numbers "
                f"({', '.join(self.number_columns)}), and numbers are not item text. Map "
                f"a column of text, or name one in text: [{self.number_columns[0]}]."
            )

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the lines, and fill ``texts``."""
        rows = self.pictures.placed(self.table) if self.pictures else self.table
        for row, values in rows:
            item = self.table.need(row, values, "item_id")
            self.table.check_once(row, item, self.texts)
            self.texts[item] = any(values[name] for name in self.text_columns)
            for name in self.number_columns:
                values[name] = self.table.numbers.read(values[name]) or ""
            yield tuple(values.values())
        if not self.texts:
            raise UserError(f"{self.table.path}: this file has no rows.")


def column_types(table: Table) -> tuple[dict[str, str], list[str]]:
    """Tell columns of numbers from columns of text.

    A column is of numbers (``float``) if each of its values is one; empty ones do not
    count. One with a leading zero (``0177``) or of more than 15 digits is a column of
    codes, that is text. The settings ``text`` and ``numbers`` have the last word.

    Args:
        table (Table): The section ``items``.

    Returns:
        tuple: ``{our name: "token" or "float"}``, in order, and sentences about columns
        that would be of numbers but for a few values.

    Raises:
        UserError: If a value of ``numbers`` is not a number, or all values of a column
            are numbers, but some with the other decimal mark.
    """
    types = dict.fromkeys(table.columns, "token")
    fixed = {"item_id", "image", *table.settings["text"]}
    columns = [_Column(name, table) for name in types if name not in fixed]
    for row, values in table:
        for column in columns:
            if values[column.name]:
                column.see(row, values[column.name])
    types.update((column.name, column.kind()) for column in columns)
    return types, [note for column in columns for note in column.notes()]


class _Column:
    """What has been seen of a column's values."""

    def __init__(self, name, table):
        self.name, self.table = name, table
        self.named = name in table.settings["numbers"]
        mark = table.numbers.mark
        self._with_other_mark = Numbers("," if mark == "." else ".")
        self._numbers = self._codes = self._texts = 0
        self._other = self._text = None  # row and value of the first

    def see(self, row, text):
        number = self.table.numbers.read(text)
        if number is not None:
            self._numbers += 1
            self._codes += is_code(number)
        elif self._with_other_mark.read(text) is not None:
            self._other = self._other or (row, text)
        elif self.named:
            raise UserError(
                f"{self._place(row, text)} is not a number. Correct it, empty it, or "
                f"remove {self.name} from numbers."
            )
        else:
            self._texts += 1
            self._text = self._text or (row, text)

    def kind(self):
        if self._other and not self._texts:
            raise UserError(self._wrong_mark(*self._other))
        is_number = self._numbers and not self._codes and not self._texts
        return "float" if self.named or is_number else "token"

    def notes(self):
        if 0 < self._texts < self._numbers and not self._codes:
            yield (
                f"{self.name} is item text although most of its values are numbers: "
                f"{self._place(*self._text)} is none. If that is right, name it in text: "
                f"[{self.name}]; if not, in numbers."
            )

    def _place(self, row, text):
        column = self.table.columns[self.name]
        return f"{self.table.where(row)}: the {self.name} '{text}' (column '{column}')"

    def _wrong_mark(self, row, text):
        mark = self.table.numbers.mark
        name = {".": "point", ",": "comma"}
        other = "," if mark == "." else "."
        remedy = f'set decimal: "{other}" under items'
        if self.table.settings["decimal"] is None:
            remedy += ' (or decimal: "." if commas separate thousands)'
        else:
            remedy = f"correct it, or {remedy}"
        return (
            f"{self._place(row, text)} is not a number with a decimal {name[mark]}. If "
            f"it is a number, {remedy}; if not, name the column in text: [{self.name}]."
        )


class Pictures:
    """Checks pictures, and makes their paths relative to the dataset's folder.

    Args:
        table (Table): The section ``items``.
        output (str or Path): The dataset's folder.

    Attributes:
        readable (int): How many items have a picture that can be read.
        left_out (int): How many name one that cannot.
        problems (list of str): What is wrong with the first few of these.
    """

    def __init__(self, table: Table, output: str | os.PathLike):
        self.table, self.output = table, os.path.realpath(output)
        self.readable, self.left_out, self.problems = 0, 0, []
        # items without a picture often share one that says so
        self._problem = functools.lru_cache(maxsize=1 << 12)(_problem)

    def placed(self, rows) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the rows with the paths that belong into ``.item``.

        Raises:
            UserError: At a URL; at a picture that cannot be read if ``missing_image``
                is ``error``; if no picture at all can be read.
        """
        rows = iter(rows)
        # Reading pictures changes the warnings' filters, which threads have in common.
        with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
            while block := list(itertools.islice(rows, _PICTURES_A_BLOCK)):
                paths = [self._path(row, values["image"]) for row, values in block]
                problems = pool.map(self._problem, paths)
                for (row, values), path, problem in zip(block, paths, problems):
                    if problem:
                        self._leave_out(row, problem)
                    self.readable += bool(path) and not problem
                    values["image"] = "" if problem else self._relative(path, values)
                    yield row, values
        if self.left_out and not self.readable:
            raise UserError(
                f"{self.table.path}: none of {self.left_out:,} pictures can be read. "
                f"{self.problems[0]} Paths are relative to the mapping's folder, "
                f"{self.table.folder.resolve()}."
            )

    def _path(self, row, image):
        if _URL.match(image):
            raise UserError(
                f"{self.table.where(row)}: the image '{image}' is a URL, and pictures are "
                "read from files. Download them first, and put their paths, relative to "
                f"the mapping, into the column '{self.table.columns['image']}'."
            )
        # exports from Windows
        return image and str(self.table.folder / image.replace("\\", "/"))

    def _leave_out(self, row, problem):
        if self.table.settings["missing_image"] == "error":
            raise UserError(
                f"{self.table.where(row)}: {problem} Paths are relative to the "
                "mapping. Put the picture there, empty the value, or set missing_image: "
                "skip under items."
            )
        self.left_out += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(f"{self.table.where(row)}: {problem}")

    def _relative(self, path, values):
        if not path or os.path.isabs(values["image"].replace("\\", "/")):
            return path
        try:
            return os.path.relpath(os.path.abspath(path), self.output)
        except ValueError:  # on Windows: another drive
            return os.path.abspath(path)


def _problem(path):
    """Return what is wrong with a picture, "" if nothing is."""
    from recbole_whisperlite.encoder.pictures import PictureError, read_picture

    try:
        if path:
            read_picture(path)
    except PictureError as error:
        return str(error)
    return ""
