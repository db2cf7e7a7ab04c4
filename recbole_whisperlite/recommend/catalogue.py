"""The item table of an exported model: ids, texts, pictures, and columns to filter by."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recbole_whisperlite.data.texts import IMAGE_FIELD, join_fields
from recbole_whisperlite.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

#: The column of the item text; atomic files cannot have one of this name.
TEXT = "item text:"
# Guessing what was meant takes a comparison with every id.
_MOST_TO_GUESS = 20_000


class Catalogue:
    """The items by row. Immutable: a change returns another catalogue.

    Args:
        table (pyarrow.Table): The columns of ``.item``, numbers for ``float``, str for
            others, and :data:`TEXT`.
        id_field (str): The column of ids.
        text_fields (list of str): The columns that make up the text of an item.
        types (dict): ``{column: atomic type}`` of the columns of ``.item``.
        picture_folder (str or None): To which the paths of pictures are relative.
        seq_separator (str): Between the values of a ``_seq`` column.
    """

    def __init__(
        self,
        table: pa.Table,
        id_field: str,
        text_fields: list[str],
        types: dict[str, str],
        picture_folder: str | None,
        seq_separator: str = " ",
    ):
        self.table, self.id_field = table, id_field
        self.text_fields, self.types = text_fields, types
        self.picture_folder, self.seq_separator = picture_folder, seq_separator

    def __len__(self):
        return self.table.num_rows

    @functools.cached_property
    def row_of(self) -> dict[str, int]:
        """dict: The row of each id."""
        ids = self.table[self.id_field].to_pylist()
        return {id_: row for row, id_ in enumerate(ids)}

    def rows(self, ids: Iterable[str], what: str, gone: np.ndarray) -> np.ndarray:
        """Return the rows of items, int64 ``[len(ids)]``.

        Args:
            ids (iterable of str): Their ids.
            what (str): What error messages call the argument.
            gone (numpy.ndarray): Which items were removed, bool ``[n_items]``.

        Raises:
            UserError: If one is not in the catalogue.
        """
        if isinstance(ids, str):
            ids = [ids]
        try:
            ids = [_id(each) for each in ids]
        except TypeError:
            raise UserError(
                f"{what} must be item ids, such as {self._examples()}, not {ids!r}."
            ) from None
        rows = np.array([self.row_of.get(id_, -1) for id_ in ids], dtype=np.int64)
        for id_, row in zip(ids, rows):
            if row < 0 or gone[row]:
                close = ""
                if len(self) <= _MOST_TO_GUESS:
                    close = did_you_mean(id_, self.row_of)
                removed = " (it was removed)" if row >= 0 else ""
                raise UserError(
                    f"{what}: there is no item '{id_}' in the catalogue{removed}.{close} "
                    f"Ids are such as {self._examples()}."
                )
        return rows

    def _examples(self):
        return ", ".join(f"'{id_}'" for id_ in self.ids(np.arange(min(3, len(self)))))

    def ids(self, rows: np.ndarray) -> list[str]:
        """Return the ids of rows."""
        return self.table[self.id_field].take(pa.array(rows)).to_pylist()

    def texts(self, rows: np.ndarray) -> list[str]:
        """Return the texts of rows."""
        return self.table[TEXT].take(pa.array(rows)).to_pylist()

    def pictures(self, rows: np.ndarray) -> list[str | None]:
        """Return the paths of the pictures of rows, None where there is none."""
        if IMAGE_FIELD not in self.table.column_names:
            return [None] * len(rows)
        names = self.table[IMAGE_FIELD].take(pa.array(rows)).to_pylist()
        return [self._path(name) if name else None for name in names]

    def _path(self, name):
        return os.path.join(self.picture_folder or "", name)

    def where(self, conditions: Mapping[str, object]) -> np.ndarray:
        """Return which items meet all conditions, bool ``[n_items]``.

        Args:
            conditions (dict): By column: a value; a list of values, of which one must be
                met; or, for numbers, a pair ``(least, most)``, of which either may be
                None. In a column of several values, one of them must be met.

        Raises:
            UserError: If there is no such column, or it has values of another type.
        """
        if not isinstance(conditions, Mapping):
            raise UserError(
                "where must be conditions by column, such as {'category': 'shoes', "
                f"'price': (0, 50)}}, not {conditions!r}."
            )
        met = np.ones(len(self), dtype=bool)
        for column, condition in conditions.items():
            if column not in self.types:
                raise UserError(
                    f"where: there is no column '{column}'."
                    f"{did_you_mean(column, self.types)} The columns are "
                    f"{', '.join(self.types)}."
                )
            met &= self._meets(column, condition)
        return met

    def _meets(self, column, condition):
        values = self.table[column]
        is_number = self.types[column] == "float"
        if isinstance(condition, tuple):
            return self._in_range(column, values, condition)
        if not isinstance(condition, (list, set, frozenset)):
            condition = [condition]
        if is_number:
            if not all(_is_number(each) for each in condition):
                raise UserError(
                    f"where: {column} is a number; give one, a list of them or a pair "
                    f"(least, most), not {condition!r}."
                )
            met = pc.is_in(values, value_set=pa.array(list(condition), pa.float64()))
            return _flags(met)
        try:
            wanted = {_id(each) for each in condition}
        except TypeError:
            raise UserError(
                f"where: {column} holds text; give a value or a list of values, not "
                f"{condition!r}."
            ) from None
        if self.types[column].endswith("_seq"):
            separator = self.seq_separator
            each = values.fill_null("").to_pylist()
            return np.array([bool(wanted & {*v.split(separator)}) for v in each], bool)
        return _flags(pc.is_in(values, value_set=pa.array(sorted(wanted), pa.string())))

    def _in_range(self, column, values, pair):
        if self.types[column] != "float":
            raise UserError(
                f"where: {column} holds no numbers ({self.types[column]}), so it has no "
                "range. Give a value, or a list of values in square brackets."
            )
        fine = len(pair) == 2 and all(each is None or _is_number(each) for each in pair)
        if not fine:
            raise UserError(
                f"where: the range of {column} must be a pair (least, most) of numbers, "
                f"either may be None, not {pair!r}."
            )
        met = np.isfinite(numbers := values.to_numpy().astype(np.float64))
        least, most = pair
        with np.errstate(invalid="ignore"):
            if least is not None:
                met &= numbers >= least
            if most is not None:
                met &= numbers <= most
        return met

    def with_items(self, frame: pd.DataFrame, gone: np.ndarray) -> Catalogue:
        """Return the catalogue with items added at the end.

        Args:
            frame (pandas.DataFrame): With the column of ids and some column of the text;
                others are empty where they are absent.
            gone (numpy.ndarray): Which items were removed, bool ``[n_items]``; their
                ids are free.

        Raises:
            UserError: If a column is unknown or missing, an id empty, known or twice, a
                text empty, or a number none.
        """
        columns, n_before = {}, len(self)
        unknown = [column for column in frame.columns if column not in self.types]
        if unknown:
            raise UserError(
                f"add_items: there is no column '{unknown[0]}'."
                f"{did_you_mean(unknown[0], self.types)} The columns are "
                f"{', '.join(self.types)}."
            )
        if self.id_field not in frame:
            raise UserError(
                f"add_items: there is no column '{self.id_field}'; the columns are "
                f"{', '.join(map(str, frame.columns)) or 'none'}."
            )
        for column, kind in self.types.items():
            given = frame[column].tolist() if column in frame else [None] * len(frame)
            columns[column] = [self._value(column, kind, value) for value in given]
        ids = columns[self.id_field]
        known = set()
        for number, id_ in enumerate(ids):
            if not id_:
                raise UserError(
                    f"add_items, row {number}: the {self.id_field} is empty."
                )
            if id_ in known or (id_ in self.row_of and not gone[self.row_of[id_]]):
                where = "twice in the frame" if id_ in known else "in the catalogue"
                raise UserError(
                    f"add_items, row {number}: the item '{id_}' is already {where}. To "
                    "replace an item, remove it first."
                )
            known.add(id_)
        texts = zip(*(columns[field] for field in self.text_fields))
        columns[TEXT] = [join_fields(_text(v) for v in values) for values in texts]
        for number, text in enumerate(columns[TEXT]):
            if not text:
                raise UserError(
                    f"add_items, row {number}: the item '{ids[number]}' has no text; fill "
                    f"one of {', '.join(self.text_fields)}."
                )
        added = pa.table(columns, schema=self.table.schema)
        table = pa.concat_tables([self.table, added]).combine_chunks()
        other = self._like(table)
        other.__dict__["row_of"] = {
            **self.row_of,
            **{id_: n_before + number for number, id_ in enumerate(ids)},
        }
        return other

    def _value(self, column, kind, value):
        missing = value is None or value != value or value == ""
        if kind == "float":
            if missing:
                return None
            try:
                return float(value)
            except (TypeError, ValueError):
                raise UserError(
                    f"add_items: the {column} '{value}' is not a number."
                ) from None
        if missing:
            return ""
        if isinstance(value, (list, tuple, set)):
            return self.seq_separator.join(map(str, value))
        return _id(value)

    def keep_items(self, rows: np.ndarray) -> Catalogue:
        """Return the catalogue of some items only, in the order given."""
        return self._like(self.table.take(pa.array(rows)))

    def _like(self, table):
        return Catalogue(
            table,
            self.id_field,
            self.text_fields,
            self.types,
            self.picture_folder,
            self.seq_separator,
        )

    def settings(self, folder: Path) -> dict:
        """Return all but the table, as JSON can hold it; for a model in ``folder``."""
        pictures = self.picture_folder
        if pictures is not None:
            pictures = os.path.relpath(pictures, folder)
        return {
            "id_field": self.id_field,
            "text_fields": self.text_fields,
            "types": self.types,
            "pictures": pictures,
            "seq_separator": self.seq_separator,
        }


def _id(value):
    """Return an id as text: 7, 7.0 of pandas and '7' are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)) or value is None:
        raise TypeError
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    if isinstance(value, (int, float, np.number)):
        return str(value)
    raise TypeError


def _text(value):
    if isinstance(value, float):
        return f"{value:g}"
    return value or ""


def _is_number(value):
    is_bool = isinstance(value, (bool, np.bool_))
    return isinstance(value, (int, float, np.number)) and not is_bool


def _flags(mask):
    return mask.fill_null(False).to_numpy().astype(bool)
