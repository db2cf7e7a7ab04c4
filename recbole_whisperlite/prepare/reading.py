"""Columns of a large parquet or csv file, streamed as text; dates among them.

Everything is text here: as a number, an id such as ``0108775015`` loses its zero.
"""

import csv
import datetime
import gzip
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from tqdm import tqdm

from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.prepare.records import as_text, check_file

_DELIMITER = {".csv": ",", ".tsv": "\t"}
_CSV_BLOCK_BYTES = 1 << 20
_PARQUET_BATCH_ROWS = 1 << 16
_PARQUET_BUFFER_BYTES = 1 << 20


def read_columns(path, names, numbers=False):
    """Stream some columns of a file, with a progress bar.

    Args:
        path (str or Path): A ``.parquet``, ``.csv`` or ``.tsv`` file (separated by
            commas or tabs, UTF-8, quoted values may hold line breaks); the latter two
            also gzipped, as ``.csv.gz``.
        names (list of str): The columns wanted.
        numbers (bool): Whether a column that parquet stores as numbers is written as
            text, a date with its clock time, and a list with commas between; where it
            is False, dates lose the time, and the others are errors.

    Yields:
        pyarrow.RecordBatch: The columns in the order of ``names``, each of type string.
        A missing value is ``""``, a date is ``YYYY-MM-DD``.

    Raises:
        UserError: If the file is missing, is neither parquet nor csv, lacks a column,
            stores one as numbers, or is damaged; file, line and column are named.
    """
    path, kind = Path(path), kind_of(path)
    if kind not in (*_DELIMITER, ".parquet"):
        raise UserError(
            f"{path}: give a file whose name ends in .parquet, .csv or .tsv, or in .csv.gz "
            "or .tsv.gz."
        )
    check_file(path)
    try:
        if kind == ".parquet":
            yield from _read_parquet(path, names, _any_text if numbers else _as_text)
        else:
            yield from _read_csv(path, names, _DELIMITER[kind])
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        row = re.search(r"Row #(\d+)", reason)  # Arrow counts from 1, with the header
        place = where(path, int(row[1]) - 2) if row else path
        raise UserError(
            f"{place}: this file cannot be read as {kind[1:]}. {reason}"
        ) from None


def kind_of(path):
    """Return what a file holds, by its name: ``.csv`` for ``a.CSV`` and ``a.csv.gz``."""
    path = Path(path)
    packed = path.suffix.lower() == ".gz"
    return Path(path.stem if packed else path).suffix.lower()


def _open(path, **how):
    """Open a text file, gzipped or not, as :func:`open` does."""
    packed = Path(path).suffix.lower() == ".gz"
    return (gzip.open if packed else open)(path, "rt", newline="", **how)


def where(path, row):
    """Name the place of a row as the user finds it in the file.

    Args:
        path (str or Path): A file that :func:`read_columns` has read, or any other
            whose lines are its rows, without a header.
        row (int): Number of the row, from 0, the header not counted.

    Returns:
        str: ``"file.csv, line 2"``, ``"file.parquet, row 1"`` or ``"file.dat, line 1"``
        for row 0.
    """
    kind = kind_of(path)
    if kind not in _DELIMITER:
        return f"{path}, {'row' if kind == '.parquet' else 'line'} {row + 1}"
    # Only errors come here, so there is time to count: a quoted value may hold line
    # breaks, and empty lines are no rows.
    with _open(path, encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file, delimiter=_DELIMITER[kind])
        start, rows = 1, 0
        for record in reader:
            rows += bool(record)
            if rows == row + 2:
                break
            start = reader.line_num + 1
    return f"{path}, line {start}"


def parse_days(column, path, name, first_row):
    """Turn a column of dates into day numbers.

    Args:
        column (pyarrow.StringArray): Dates ``YYYY-MM-DD``, shape ``[rows]``.
        path (str or Path): The file it stands in, for errors.
        name (str): The column's name, for errors.
        first_row (int): Number of its first row in the file, for errors.

    Returns:
        numpy.ndarray: :meth:`datetime.date.toordinal`, int32, shape ``[rows]``.

    Raises:
        UserError: If a value is not a date.
    """
    distinct = column.dictionary_encode()
    days = []
    for text in distinct.dictionary.to_pylist():
        try:
            days.append(datetime.date.fromisoformat(text).toordinal())
        except ValueError:
            row = first_row + pc.index(column, text).as_py()
            raise UserError(
                f"{where(path, row)}: {name} is '{text}'; a date looks like 2020-09-16."
            ) from None
    return np.array(days, dtype=np.int32)[distinct.indices.to_numpy()]


def _read_csv(path, names, delimiter):
    with _open(path, encoding="utf-8-sig", errors="replace") as file:
        found = next(csv.reader(file, delimiter=delimiter), [])
        _check_names(path, found, names)
    with pa.OSFile(str(path)) as file, tqdm(
        desc=path.name, total=file.size(), unit="B", unit_scale=True
    ) as bar:
        packed = path.suffix.lower() == ".gz"
        batches = pyarrow.csv.open_csv(
            pa.CompressedInputStream(file, "gzip") if packed else file,
            # Without threads Arrow's own errors carry the number of the row.
            read_options=pyarrow.csv.ReadOptions(
                block_size=_CSV_BLOCK_BYTES, use_threads=False
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
    # Pre-buffering would keep the whole file in memory until the end, and reading
    # without a buffer a whole row group, which may be the whole file.
    with pyarrow.parquet.ParquetFile(
        path, pre_buffer=False, buffer_size=_PARQUET_BUFFER_BYTES
    ) as file:
        _check_names(path, file.schema_arrow.names, names)
        with tqdm(
            desc=path.name, total=file.metadata.num_rows, unit=" rows", unit_scale=True
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


def _as_text(path, name, column):
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
            f"{path}: the column '{name}' is stored as {kind}. Store it as text: as a "
            "number, an id loses its leading zeros."
        )
    return column.cast(pa.string()).fill_null("")


def _any_text(path, name, column):
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type):
        values = (value and value.isoformat() for value in column.to_pylist())
        return pa.array(values, pa.string()).fill_null("")
    if (
        pa.types.is_floating(column.type)
        and pc.all(pc.equal(column, pc.round(column)), min_count=0).as_py()
    ):
        # integers, which became floats because some are missing
        column = pc.cast(column, pa.int64(), safe=False)
    if pa.types.is_nested(column.type):
        return pa.array(map(as_text, column.to_pylist()), pa.string())
    try:
        return column.cast(pa.string()).fill_null("")
    except pa.ArrowNotImplementedError:
        raise UserError(
            f"{path}: the column '{name}' is stored as {column.type}, which is neither "
            "text, numbers, dates nor lists of these."
        ) from None
