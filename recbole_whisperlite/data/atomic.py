"""RecBole's atomic files, read and written so that free text survives.

RecBole reads them with quoting and missing-value detection on (``Dataset._load_feat``),
so a single ``"`` swallows rows and the request ``null`` disappears. Here a field is
whatever is between two tabs, and errors name the file and the line.
"""

import codecs
import contextlib
import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file

_NEWLINE = b"\n"
_BLOCK = 2**24  # bytes that are parsed at once
FIELD_TYPES = ("token", "token_seq", "float", "float_seq")


def read_header(
    path: str | os.PathLike, separator: str = "\t", encoding: str = "utf-8"
) -> dict[str, str]:
    """Read the first line of an atomic file.

    Args:
        path (str or Path): The file.
        separator (str): What separates fields (RecBole's ``field_separator``).
        encoding (str): Text encoding of the file.

    Returns:
        dict: ``{column name: type}`` in file order, types as in :data:`FIELD_TYPES`.

    Raises:
        UserError: If the file is missing, empty or badly encoded, or a field of its
            header is not ``name:type``.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: this file does not exist.")
    with open(path, "rb") as file:
        line = file.readline()
    return _parse_header(path, line.rstrip(b"\r\n"), separator, encoding)


def refuse_nul(path: str | os.PathLike) -> None:
    """Raise a UserError if a file has a NUL byte: what follows it in an id would be lost.

    Args:
        path (str or Path): The file.
    """
    line = 1
    with open(path, "rb") as file:
        while block := file.read(2**20):
            _refuse_nul(path, block, line)
            line += block.count(b"\n")


def _refuse_nul(path, content, line):
    found = content.find(b"\0")
    if found >= 0:
        raise UserError(
            f"{path}, line {line + content.count(_NEWLINE, 0, found)}: there is a NUL byte, at "
            "which ids end for pandas, so that different ones would be one. Remove it; a file "
            "in UTF-16 has many, and is to be saved as UTF-8."
        )


def _parse_header(path, line, separator, encoding):
    if not line:
        raise UserError(
            f"{path}, line 1: the file is empty. An atomic file starts with a header "
            f"such as 'user_id:token{separator}item_id:token'."
        )
    columns = {}
    for field in _decode(path, line, encoding).lstrip("\ufeff").split(separator):
        name, colon, kind = field.partition(":")
        if not colon or not name or kind not in FIELD_TYPES:
            raise UserError(
                f"{path}, line 1: the header field '{field}' is not 'name:type'; "
                f"types are {', '.join(FIELD_TYPES)}, fields are separated by "
                f"{separator!r}."
            )
        if name in columns:
            raise UserError(f"{path}, line 1: the column '{name}' appears twice.")
        columns[name] = kind
    return columns


def _decode(path, content, encoding):
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not valid "
            f"{encoding}. Save the file as UTF-8, or set 'encoding' to its encoding."
        ) from None


def read_atomic(
    path: str | os.PathLike, separator: str = "\t", encoding: str = "utf-8"
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read an atomic file as it is: every field is a string, nothing is interpreted.

    Args:
        path (str or Path): The file.
        separator (str): What separates fields (RecBole's ``field_separator``).
        encoding (str): Text encoding of the file.

    Returns:
        tuple: A :class:`pandas.DataFrame` of str, one row per line (row ``i`` is line
        ``i + 2``), and ``{column name: type}``.

    Raises:
        UserError: If the file is missing or empty, is not valid in its encoding, or a
            line has too many or too few fields; the message names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: this file does not exist.")
    content = path.read_bytes().replace(b"\r\n", b"\n")
    _refuse_nul(path, content, 1)
    columns = _parse_header(path, content.partition(b"\n")[0], separator, encoding)
    _decode(path, content, encoding)
    if not content.endswith(b"\n"):
        content += b"\n"
    _check_field_counts(path, content, separator, list(columns), encoding)
    frame = _parse(content, [*columns], separator, encoding)
    if len(frame) == 0:
        raise UserError(f"{path}: there is no line after the header.")
    return frame, columns


def _parse(content, columns, separator, encoding):
    """Return the fields of lines that have been checked, as str."""
    is_plain = codecs.lookup(encoding).name == "utf-8" and separator.isascii()
    if is_plain and b"\r" not in content:  # for pyarrow that ends a line, too
        with contextlib.suppress(pa.ArrowInvalid):  # of a line longer than a block
            return _parse_utf8(content, columns, separator)
    return pd.read_csv(
        io.BytesIO(content),
        sep=separator,
        header=None,
        skiprows=1,
        names=columns,
        dtype=str,
        encoding=encoding,
        engine="c",
        quoting=3,  # csv.QUOTE_NONE
        na_filter=False,
        skip_blank_lines=False,
        lineterminator="\n",
        index_col=False,
    )


def _parse_utf8(content, columns, separator):
    """The same by pyarrow: six times as fast, and equal values are one object."""
    table = csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(block_size=_BLOCK, skip_rows=1, column_names=columns),
        csv.ParseOptions(
            delimiter=separator,
            quote_char=False,
            escape_char=False,
            ignore_empty_lines=False,
        ),
        csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        ),
    )
    return table.to_pandas(split_blocks=True, self_destruct=True)


def _check_field_counts(path, content, separator, columns, encoding):
    """Raise a UserError for the first line that has not as many fields as the header.

    pandas pads short lines silently, so fields are counted in the bytes.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    separators = np.flatnonzero(data == separator.encode(encoding)[0])
    found = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    wrong = np.flatnonzero(found != len(columns))
    if len(wrong):
        line = wrong[0]
        start = ends[line - 1] + 1 if line else 0
        text = content[start : ends[line]].decode(encoding)
        raise UserError(
            f"{path}, line {line + 1}: {found[line]} fields where the header has "
            f"{len(columns)} ({', '.join(columns)}), separated by {separator!r}. "
            f"The line reads {text[:120]!r}."
        )


def write_atomic(
    path: str | os.PathLike,
    columns: dict[str, str],
    rows: Iterable[tuple],
    separator: str = "\t",
) -> int:
    """Write an atomic file, completely or not at all.

    Tabs and line breaks inside a value are replaced by spaces: they would end the field.

    Args:
        path (str or Path): The file; its folder is created if it does not exist.
        columns (dict): ``{column name: type}``, types as in :data:`FIELD_TYPES`.
        rows (iterable of tuple): The values of each line in column order; they are
            consumed one by one, so a generator can stream them.
        separator (str): What separates fields.

    Returns:
        int: The number of lines written, not counting the header.
    """
    breaks = str.maketrans({separator: " ", "\n": " ", "\r": " "})
    count = 0
    with whole_file(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            header = (f"{name}:{kind}" for name, kind in columns.items())
            file.write(separator.join(header) + "\n")
            for row in rows:
                file.write(
                    separator.join(str(value).translate(breaks) for value in row) + "\n"
                )
                count += 1
    return count
