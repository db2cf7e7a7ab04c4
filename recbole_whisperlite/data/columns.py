"""Columns of atomic files: converted from strings to what RecBole's datasets hold."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_whisperlite.errors import UserError

# The settings that name a column by its role, what they name by default, and the type that
# the column must have. As tokens, times would count in the order of their first appearance,
# and ids that are numbers or sequences end in a traceback.
_ROLES = {
    "USER_ID_FIELD": ("user_id", "token"),
    "ITEM_ID_FIELD": ("item_id", "token"),
    "REQUEST_ID_FIELD": ("request_id", "token"),
    "TIME_FIELD": ("timestamp", "float"),
    "RATING_FIELD": ("rating", "float"),
    "LABEL_FIELD": ("label", "float"),
}
_ADVICE = {
    "float": " Numbers are compared by size, such as seconds since 1970; anything else would "
    "count in the order in which it appears."
}
# The files in which every line is about a user or an item.
_KEYS = {"user": "USER_ID_FIELD", "item": "ITEM_ID_FIELD"}


def check_roles(
    path: str | os.PathLike, columns: dict[str, str], settings: Mapping
) -> None:
    """Raise a UserError if a column is not of the type that its role needs, or if the one
    that says what each line is about is missing.

    Args:
        path (str or Path): The atomic file; its suffix says what its lines are about.
        columns (dict): ``{column name: type}`` of its header.
        settings (Mapping): Those of RecBole that name columns, such as ``TIME_FIELD``;
            where one is missing, its default counts.
    """
    names = {role: settings.get(role, name) for role, (name, _) in _ROLES.items()}
    key = names.get(_KEYS.get(Path(path).suffix[1:]))
    if key and key not in columns:
        raise UserError(
            f"{path}, line 1: there is no column '{key}'; the columns are "
            f"{', '.join(columns)}. Add it: it says what each line is about."
        )
    for role, (_, kind) in _ROLES.items():
        field = names[role]
        if columns.get(field, kind) != kind:
            raise UserError(
                f"{path}, line 1: the column {field}:{columns[field]} is to be {field}:"
                f"{kind}, as it is the {role}.{_ADVICE.get(kind, '')} Change its type, or "
                f"set {role} to another column."
            )


def read_column(
    path: str | os.PathLike,
    values: pd.Series,
    field: str,
    kind: str,
    seq_separator: str,
    seq_len: int | None = None,
) -> tuple[pd.Series | list[np.ndarray], int]:
    """Convert a column of a file as :func:`parse_column` does.

    Args:
        path (str or Path): The file, for the message.
        values (pandas.Series), kind (str), seq_separator (str), seq_len (int, optional): As
            for :func:`parse_column`; row 0 is line 2 of the file.
        field (str): The column's name.

    Raises:
        UserError: If a number cannot be parsed; the message names file and line.
    """
    try:
        return parse_column(values, kind, seq_separator, seq_len)
    except ValueError as error:
        row = error.args[0]
        raise UserError(
            f"{path}, line {row + 2}: the {field} '{values[row]}' is not a number, but "
            f"the header says {field}:{kind}."
        ) from None


def parse_column(
    values: pd.Series,
    kind: str,
    seq_separator: str,
    seq_len: int | None = None,
) -> tuple[pd.Series | list[np.ndarray], int]:
    """Convert the strings of a column to what ``Dataset._load_feat`` makes of them.

    Args:
        values (pandas.Series): str, ``""`` where the value is missing.
        kind (str): The type in the header, one of ``atomic.FIELD_TYPES``.
        seq_separator (str): What separates the elements of a sequence.
        seq_len (int, optional): The length to which longer sequences are cut.

    Returns:
        tuple: The column (str or float64 with NaN where missing, or a list of arrays),
        and the length of its longest sequence (1 if it is not of sequences).

    Raises:
        ValueError: If a number cannot be parsed; its argument is the row.
    """
    missing = values == ""
    if kind == "token":
        return values.mask(missing), 1
    if kind == "float":
        numbers = pd.to_numeric(values.mask(missing), errors="coerce")
        _raise_at((numbers.isna() & ~missing).to_numpy())
        return numbers.astype(np.float64), 1
    parts = [[part for part in text.split(seq_separator) if part] for text in values]
    if kind == "float_seq":
        _raise_at(np.array([not all(map(_is_number, row)) for row in parts]))
    dtype = str if kind == "token_seq" else np.float64
    sequences = [np.array(row[:seq_len], dtype=dtype) for row in parts]
    return sequences, max(map(len, sequences))


def check_filled(path: str, values: pd.Series, field: str) -> None:
    """Raise a UserError that names the first line whose ``field`` is empty.

    Args:
        path (str): The file, for the message.
        values (pandas.Series): str, row 0 is line 2 of the file.
        field (str): The column's name.
    """
    empty = (values == "").to_numpy()
    if empty.any():
        raise UserError(f"{path}, line {empty.argmax() + 2}: the {field} is empty.")


def _raise_at(wrong):
    if wrong.any():
        raise ValueError(int(wrong.argmax()))


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
