"""Columns of atomic files: converted from strings to what RecBole's datasets hold."""

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from recbole_whisperlite.errors import UserError


def parse_column(
    values: pd.Series,
    ftype: FeatureType,
    seq_separator: str,
    seq_len: int | None = None,
) -> tuple[pd.Series | list[np.ndarray], int]:
    """Convert the strings of a column to what ``Dataset._load_feat`` makes of them.

    Args:
        values (pandas.Series): str, ``""`` where the value is missing.
        ftype (FeatureType): The type in the header.
        seq_separator (str): What separates the elements of a sequence.
        seq_len (int, optional): The length to which longer sequences are cut.

    Returns:
        tuple: The column (str or float64 with NaN where missing, or a list of arrays),
        and the length of its longest sequence (1 if it is not of sequences).

    Raises:
        ValueError: If a number cannot be parsed; its argument is the row.
    """
    missing = values == ""
    if ftype == FeatureType.TOKEN:
        return values.mask(missing), 1
    if ftype == FeatureType.FLOAT:
        numbers = pd.to_numeric(values.mask(missing), errors="coerce")
        _raise_at((numbers.isna() & ~missing).to_numpy())
        return numbers.astype(np.float64), 1
    parts = [[part for part in text.split(seq_separator) if part] for text in values]
    if ftype == FeatureType.FLOAT_SEQ:
        _raise_at(np.array([not all(map(_is_number, row)) for row in parts]))
    kind = str if ftype == FeatureType.TOKEN_SEQ else np.float64
    sequences = [np.array(row[:seq_len], dtype=kind) for row in parts]
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
