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

    def rows(self, ids: Iterable[str], what: str) -> np.ndarray:
        """Return the rows of items, int64 ``[len(ids)]``.

        Args:
            ids (iterable of str): Their ids.
            what (str): What error messages call the argument.

        Raises:
            UserError: If one is not in the catalogue.
        """
        if isinstance(ids, str):
            ids = [ids]
        try:
            ids = [id_of(each) for each in ids]
        except (TypeError, ValueError):
            raise UserError(
                f"{what} must be item ids, such as {self._examples()}, not {ids!r}."
            ) from None
        rows = np.array([self.row_of.get(id_, -1) for id_ in ids], dtype=np.int64)
        for id_, row in zip(ids, rows):
            if row < 0:
                close = ""
                if len(self) <= _MOST_TO_GUESS:
                    close = did_you_mean(id_, self.row_of)
                raise UserError(
                    f"{what}: there is no item '{id_}' in the catalogue.{close} Ids are "
                    f"such as {self._examples()}."
                )
        return rows

    def row(self, id_: str, what: str = "item") -> int:
        """Return the row of an item, see :meth:`rows`."""
        if is_list(id_):
            raise UserError(f"{what} must be one item id, not {id_!r}.")
        return int(self.rows([id_], what)[0])

    def _examples(self):
        some = ", ".join(f"'{id_}'" for id_ in self.ids(range(min(3, len(self)))))
        return some or "none, as the catalogue is empty"

    def ids(self, rows: np.ndarray) -> list[str]:
        """Return the ids of rows."""
        return self.table[self.id_field].take(_indices(rows)).to_pylist()

    def texts(self, rows: np.ndarray) -> list[str]:
        """Return the texts of rows."""
        return self.table[TEXT].take(_indices(rows)).to_pylist()

    def columns_of(
        self, rows: np.ndarray, columns: Iterable[str] | None = None
    ) -> list[dict[str, object]]:
        """Return columns of rows by name, all by default: numbers for ``float``, texts for
        others."""
        names = list(self.types if columns is None else columns)
        return self.table.select(names).take(_indices(rows)).to_pylist()

    def pictures(self, rows: np.ndarray) -> list[str | None]:
        """Return the paths of the pictures of rows, None where there is none."""
        if IMAGE_FIELD not in self.table.column_names:
            return [None] * len(rows)
        names = self.table[IMAGE_FIELD].take(_indices(rows)).to_pylist()
        return [self._path(name) if name else None for name in names]

    def _path(self, name):
        return os.path.join(self.picture_folder or "", name)

    def where(self, conditions: Mapping[str, object]) -> np.ndarray:
        """Return which items meet all conditions, bool ``[n_items]``.

        Args:
            conditions (dict): By column: a value; a list of values, of which one must be
                met; or, for numbers, a pair ``(least, most)``, of which either may be
                None. In a column of several values, one of them must be met. Where an
                item has no value, it meets the condition ``""`` if the column holds text,
                and none if it holds numbers.

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
                raise UserError(f"where: {self._no_column(column)}")
            if self.types[column].startswith("float"):
                met &= self._meets_number(column, condition)
            else:
                met &= self._meets_text(column, condition)
        return met

    def _no_column(self, column):
        return (
            f"there is no column '{column}'.{did_you_mean(column, self.types)} The "
            f"columns are {', '.join(self.types)}."
        )

    def _meets_text(self, column, condition):
        if isinstance(condition, tuple):
            raise UserError(
                f"where: {column} holds text ({self.types[column]}), so it has no range. "
                "Give a value, or a list of values in square brackets."
            )
        wanted = condition if is_several(condition) else [condition]
        try:
            wanted = {id_of(each) for each in wanted}
        except (TypeError, ValueError):
            raise UserError(
                f"where: {column} holds text ({self.types[column]}); give a value, or a "
                f"list of values in square brackets, not {condition!r}."
            ) from None
        if self.types[column].endswith("_seq"):
            return self._any(column, lambda value: value in wanted)
        values = pa.array(sorted(wanted), pa.string())
        met = pc.is_in(self.table[column].fill_null(""), value_set=values)
        return met.to_numpy().astype(bool)

    def _meets_number(self, column, condition):
        is_range = isinstance(condition, tuple)
        given = condition if is_several(condition) else [condition]
        try:
            numbers = [_number(each, is_range) for each in given]
            if is_range and len(numbers) != 2:
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise UserError(
                f"where: {column} is a number; give one, a list of them in square "
                "brackets, or a pair (least, most) of which either may be None, not "
                f"{condition!r}."
            ) from None
        if is_range:
            least = -np.inf if numbers[0] is None else numbers[0]
            most = np.inf if numbers[1] is None else numbers[1]
        if self.types[column] == "float":
            # NaN where there is no value, which meets nothing
            values = self.table[column].to_numpy().astype(np.float64)
            if is_range:
                return (least <= values) & (values <= most)
            return np.isin(values, numbers)
        if is_range:
            return self._any(column, lambda value: least <= float(value) <= most)
        return self._any(column, lambda value: float(value) in numbers)

    def _any(self, column, met):
        """Return whether one of the values of a ``_seq`` column is met, ``[n_items]``."""
        cells = self.table[column].fill_null("").combine_chunks().dictionary_encode()
        each = (cell.split(self.seq_separator) for cell in cells.dictionary.to_pylist())
        if self.types[column] == "float_seq":
            each = (filter(is_written_number, values) for values in each)
        distinct = np.array([any(map(met, values)) for values in each], dtype=bool)
        return distinct[cells.indices.to_numpy()]

    def with_items(self, frame: pd.DataFrame) -> Catalogue:
        """Return the catalogue with items added at the end.

        Args:
            frame (pandas.DataFrame): Of objects; with the column of ids and some column
                of the text. Others are empty where they are absent.

        Raises:
            UserError: If a column is unknown or missing, an id empty, known or twice, a
                text empty, or a number none.
        """
        names = list(frame.columns)
        unknown = [name for name in names if name not in self.types]
        if unknown:
            raise UserError(f"add_items: {self._no_column(unknown[0])}")
        if self.id_field not in names or len({*names}) < len(names):
            raise UserError(
                f"add_items: there must be a column '{self.id_field}', and no column "
                f"twice; the columns are {', '.join(names) or 'none'}."
            )
        columns = {}
        for column, kind in self.types.items():
            given = [None] * len(frame)
            if column in names:
                given = frame[column].where(frame[column].notna(), None).tolist()
            columns[column] = [
                self._value(column, kind, row, value) for row, value in enumerate(given)
            ]
        ids, known = columns[self.id_field], {*self.row_of}
        for row, id_ in enumerate(ids):
            if not id_:
                raise UserError(f"add_items, row {row}: the {self.id_field} is empty.")
            if id_ in known:
                where = "in the catalogue" if id_ in self.row_of else "in the frame"
                raise UserError(
                    f"add_items, row {row}: the item '{id_}' is already {where}. To "
                    "replace an item, remove it first."
                )
            known.add(id_)
        texts = zip(*(columns[field] for field in self.text_fields))
        columns[TEXT] = [join_fields(map(_text, values)) for values in texts]
        for row, text in enumerate(columns[TEXT]):
            if not text:
                raise UserError(
                    f"add_items, row {row}: the item '{ids[row]}' has no text; fill one "
                    f"of {', '.join(self.text_fields)}."
                )
        added = pa.table(columns, schema=self.table.schema)
        return self._like(pa.concat_tables([self.table, added]).combine_chunks())

    def _value(self, column, kind, row, value):
        try:
            if is_several(value):
                if not kind.endswith("_seq"):
                    raise TypeError
                values = [id_of(each) for each in value]
                if not is_list(value):
                    values.sort()
                return self.seq_separator.join(filter(None, values))
            missing = value is None or isinstance(value, str) and not value
            if kind != "float":
                return "" if missing else id_of(value)
            return None if missing else _number(value)
        except (TypeError, ValueError, OverflowError):
            accepted = "text or a whole number"
            if kind == "float":
                accepted = "a number"
            elif kind.endswith("_seq"):
                accepted = "a list of values, or text"
            raise UserError(
                f"add_items, row {row}: {column} must be {accepted}, not {value!r}."
            ) from None

    def keep_items(self, rows: np.ndarray) -> Catalogue:
        """Return the catalogue of some items only, in the order given."""
        return self._like(self.table.take(_indices(rows)))

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


def id_of(value: object) -> str:
    """Return an id as text: 7, 7.0 of pandas and '7' are the same.

    Raises:
        TypeError: If it is neither text nor a number.
    """
    if isinstance(value, str):
        value.encode()  # half a surrogate pair could not be written
        return str(value)
    if isinstance(value, (bool, np.bool_)) or value != value:
        raise TypeError
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    if isinstance(value, (int, float, np.number)):
        return str(value)
    raise TypeError


def is_list(value: object) -> bool:
    """Return whether a value is several in an order: a list, a tuple, or an array or
    Series of one dimension."""
    if isinstance(value, (list, tuple)):
        return True
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) == 1


def is_several(value: object) -> bool:
    """Return whether a value is several, in an order or not."""
    return is_list(value) or isinstance(value, (set, frozenset))


def _number(value, may_be_none=False):
    if value is None and may_be_none:
        return None
    if isinstance(value, (bool, np.bool_)) or not np.isfinite(number := float(value)):
        raise ValueError
    return number


def is_written_number(text: str) -> bool:
    """Return whether a text is a finite number."""
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _text(value):
    if isinstance(value, float):
        return f"{value:g}"
    return value or ""


def _indices(rows):
    return pa.array(rows, pa.int64())
