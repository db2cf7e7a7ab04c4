"""Columns of a large parquet or csv file, dates included, streamed as text.

Everything is text here: as a number, an id such as ``0108775015`` loses its zero.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import functools
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.prepare.records import as_text, check_file

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITER = {".csv": ",", ".tsv": "\t"}
_CSV_BLOCK_BYTES = 1 << 20
_PARQUET_BATCH_ROWS = 1 << 16
_PARQUET_BUFFER_BYTES = 1 << 20


def read_columns(
    path: str | Path,
    names: list[str],
    decimal: str | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
) -> Iterator[pa.RecordBatch]:
    """Stream some columns of a file, with a progress bar.

    Args:
        path (str or Path): A ``.parquet``, ``.csv`` or ``.tsv`` file (comma- or
            tab-separated, quoted values may contain line breaks); the latter two
            also gzipped, such as ``.csv.gz``.
        names (list of str): The columns to read.
        decimal (str, optional): Convert parquet's numbers to text with this decimal
            mark, keep the time of day of its timestamps and join its lists with commas.
            If None, timestamps lose the time of day, and numbers and lists are errors.
        separator (str, optional): What separates the columns of a csv or tsv file, if
            it is not what the name says.
        encoding (str): Of a csv or tsv file.

    Yields:
        pyarrow.RecordBatch: The columns in the order of ``names``, each of type string.
        A missing value is ``""``, a date is ``YYYY-MM-DD``.

    Raises:
        UserError: If the file is missing, is neither parquet nor csv, lacks a column,
            stores one in a type that is not accepted, or is damaged; the message names
            file, line and column.
    """
    import pyarrow as pa

    path, kind = Path(path), kind_of(path)
    if kind not in (*_DELIMITER, ".parquet"):
        raise UserError(
            f"{path}: give a file whose name ends in .parquet, .csv, .tsv, .csv.gz or "
            ".tsv.gz."
        )
    check_file(path)
    try:
        if kind == ".parquet":
            to_text = functools.partial(_any_text, decimal) if decimal else _as_text
            yield from _read_parquet(path, names, to_text)
        else:
            yield from _read_csv(path, names, separator or _DELIMITER[kind], encoding)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        row = re.search(
            r"Row #(\d+)", reason
        )  # Arrow counts from 1 and includes the header
        place = where(path, int(row[1]) - 2, separator, encoding) if row else path
        hint = ". Put values that hold the separator in double quotes."
        raise UserError(
            f"{place}: this file cannot be read as {kind[1:]}. {reason}"
            f"{hint if 'columns, got' in reason else ''}"
        ) from None


def kind_of(path: str | Path) -> str:
    """Return a file's format by its name: ``.csv`` for ``a.CSV`` and ``a.csv.gz``."""
    path = Path(path)
    packed = path.suffix.lower() == ".gz"
    return Path(path.stem if packed else path).suffix.lower()


def unpacked(path: str | Path, mode: str = "rb", **how: str) -> IO:
    """Open a file, gzipped or not, as :func:`open` does."""
    packed = Path(path).suffix.lower() == ".gz"
    return (gzip.open if packed else open)(path, mode, **how)


def read_header(
    path: str | Path, separator: str | None = None, encoding: str = "utf-8"
) -> list[str]:
    """Return the names of the columns of a csv or tsv file, [] if it is empty.

    Args:
        path (str or Path): The file.
        separator (str, optional): As in :func:`read_columns`.
        encoding (str): As in :func:`read_columns`.
    """
    with _rows(path, separator or _DELIMITER[kind_of(path)], encoding) as rows:
        names = next(filter(None, rows), [])
    return [name.removeprefix("\ufeff") for name in names[:1]] + names[1:]


@contextlib.contextmanager
def _rows(path, separator, encoding):
    """Yield Python's reader of a csv file, which can say where its rows are."""
    csv.field_size_limit(1 << 30)  # a value is as long as a quote is open
    how = {"encoding": encoding, "errors": "replace", "newline": ""}
    with unpacked(path, "rt", **how) as file:
        # up to Python 3.10 the reader refuses NUL
        yield csv.reader(
            (line.replace("\0", " ") for line in file), delimiter=separator
        )


def where(
    path: str | Path, row: int, separator: str | None = None, encoding: str = "utf-8"
) -> str:
    """Return a row's position in its file, for error messages.

    Args:
        path (str or Path): A file that :func:`read_columns` has read, or any other file
            without a header that has one row per line.
        row (int): Index of the row, from 0, the header not counted.
        separator (str, optional): As in :func:`read_columns`.
        encoding (str): As in :func:`read_columns`.

    Returns:
        str: For row 0, ``"file.csv, line 2"``, ``"file.parquet, row 1"`` or
        ``"file.dat, line 1"``.
    """
    kind = kind_of(path)
    if kind not in _DELIMITER:
        return f"{path}, {'row' if kind == '.parquet' else 'line'} {row + 1}"
    # Only errors get here, so counting may be slow: a quoted value may contain line
    # breaks, and empty lines are not rows.
    with _rows(path, separator or _DELIMITER[kind], encoding) as reader:
        start, rows = 1, 0
        for record in reader:
            rows += bool(record)
            if rows == row + 2:
                break
            start = reader.line_num + 1
    return f"{path}, line {start}"


def parse_days(
    column: pa.StringArray, path: str | Path, name: str, first_row: int
) -> np.ndarray:
    """Turn a column of dates into day numbers.

    Args:
        column (pyarrow.StringArray): Dates ``YYYY-MM-DD``, shape ``[rows]``.
        path (str or Path): The column's file, for errors.
        name (str): The column's name, for errors.
        first_row (int): Index in the file of the column's first row, for errors.

    Returns:
        numpy.ndarray: :meth:`datetime.date.toordinal`, int32, shape ``[rows]``.

    Raises:
        UserError: If a value is not a date.
    """
    import pyarrow.compute as pc

    distinct = column.dictionary_encode()
    days = []
    for text in distinct.dictionary.to_pylist():
        try:
            days.append(datetime.date.fromisoformat(text).toordinal())
        except ValueError:
            row = first_row + pc.index(column, text).as_py()
            raise UserError(
                f"{where(path, row)}: {name} is '{text}', not a date such as "
                "2020-09-16."
            ) from None
    return np.array(days, dtype=np.int32)[distinct.indices.to_numpy()]


def _read_csv(path, names, delimiter, encoding):
    import pyarrow as pa
    import pyarrow.csv

    _check_names(path, read_header(path, delimiter, encoding), names)
    with pa.OSFile(str(path)) as file, tqdm(
        desc=path.name, total=file.size(), unit="B", unit_scale=True, disable=None
    ) as bar:
        packed = path.suffix.lower() == ".gz"
        batches = pyarrow.csv.open_csv(
            pa.CompressedInputStream(file, "gzip") if packed else file,
            # Only without threads do Arrow's errors give the number of the row.
            read_options=pyarrow.csv.ReadOptions(
                block_size=_CSV_BLOCK_BYTES,
                use_threads=False,
                # the name by which Arrow reads the file itself
                encoding="utf8" if encoding == "utf-8" else encoding,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string())
            ),
        )
        for batch in batches:
            yield batch
            bar.update(file.tell() - bar.n)


def _read_parquet(path, names, to_text):
    import pyarrow as pa
    import pyarrow.parquet

    # Pre-buffering would keep the whole file in memory until the end; reading without a
    # buffer, a whole row group, which may be the whole file.
    with pyarrow.parquet.ParquetFile(
        path, pre_buffer=False, buffer_size=_PARQUET_BUFFER_BYTES
    ) as file:
        _check_names(path, file.schema_arrow.names, names)
        with tqdm(
            desc=path.name,
            total=file.metadata.num_rows,
            unit=" rows",
            unit_scale=True,
            disable=None,
        ) as bar:
            batches = file.iter_batches(
                _PARQUET_BATCH_ROWS, columns=names, use_threads=False
            )
            for batch in batches:
                yield pa.RecordBatch.from_pydict(
                    {name: to_text(path, name, batch[name]) for name in names}
                )
                bar.update(len(batch))


def _check_names(path, found, needed):
    missing = [name for name in needed if name not in found]
    if missing:
        raise UserError(
            f"{path}: there is no column '{missing[0]}'."
            f"{did_you_mean(missing[0], found)} "
            f"Needed: {', '.join(needed)}. Found: {', '.join(found) or 'none'}."
        )
    for name in needed:
        if found.count(name) > 1:
            raise UserError(
                f"{path}: there are {found.count(name)} columns '{name}'. Rename all "
                "but one."
            )


def _as_text(path, name, column):
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        column = column.cast(pa.date32())
    elif not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    ):
        raise UserError(
            f"{path}: the column '{name}' is stored as {kind}. Store it as text: as "
            "numbers, ids lose their leading zeros."
        )
    return column.cast(pa.string()).fill_null("")


def _any_text(decimal, path, name, column):
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type):
        values = (value and value.isoformat() for value in column.to_pylist())
        return pa.array(values, pa.string()).fill_null("")
    if column.type == pa.float16():  # few functions know it
        column = column.cast(pa.float32())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.and_(
            pc.equal(column, pc.round(column)), pc.less(pc.abs(column), 2.0**53)
        )
        if pc.all(whole, min_count=0).as_py():
            # integers that became floats because some are missing
            column = pc.cast(column, pa.int64(), safe=False)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        text = column.cast(pa.string()).fill_null("")
        return pc.replace_substring(text, ".", decimal)
    if pa.types.is_nested(column.type):
        return pa.array(map(as_text, column.to_pylist()), pa.string())
    try:
        return column.cast(pa.string()).fill_null("")
    except pa.ArrowNotImplementedError:
        raise UserError(
            f"{path}: the column '{name}' is stored as {column.type}, which is neither "
            "text, numbers, dates nor lists of these."
        ) from None
