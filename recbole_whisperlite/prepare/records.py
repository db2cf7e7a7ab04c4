"""Stream the records of a file with one JSON object per line, plain or gzipped."""

import ast
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from recbole_whisperlite.errors import UserError, did_you_mean

_GZIP = b"\x1f\x8b"
_LINES_A_PROGRESS = 1 << 12


def read_records(path: str | Path) -> Iterator[tuple[int, dict]]:
    """Stream the records of a file, with a progress bar.

    Lines that are Python literals instead of JSON, as in Amazon's metadata of 2014, are
    read too; empty lines are skipped.

    Args:
        path (str or Path): UTF-8, one object per line; gzipped or not, whatever its
            name.

    Yields:
        tuple: The number of the line, from 1, and the record, a dict.

    Raises:
        UserError: If the file is missing, empty or damaged, or a line is not an object;
            the message names file and line.
    """
    path = check_file(path)
    number, empty = 0, True
    with open(path, "rb") as raw, tqdm(
        desc=path.name,
        total=path.stat().st_size,
        unit="B",
        unit_scale=True,
        disable=None,
    ) as bar:
        packed = raw.peek(2)[:2] == _GZIP
        try:
            for number, line in enumerate(
                gzip.GzipFile(fileobj=raw) if packed else raw, start=1
            ):
                if line.strip():
                    empty = False
                    yield number, _parse(path, number, line)
                if number % _LINES_A_PROGRESS == 0:
                    bar.update(raw.tell() - bar.n)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(
                f"{path}, line {number + 1}: the gzip file is damaged from here on "
                f"({error}). Download it again."
            ) from None
        bar.update(raw.tell() - bar.n)
    if empty:
        raise UserError(f"{path}: the file is empty.")


def check_file(path: str | Path) -> Path:
    """Return ``path`` as a Path; raise a UserError if it is not a file."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: this is a folder, not a file.")
    if not path.is_file():
        raise UserError(f"{path}: this file does not exist.")
    return path


def _parse(path, number, line):
    try:
        line = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {number}: byte 0x{line[error.start]:02x} is not valid UTF-8, "
            "which JSON is written in. Convert the file."
        ) from None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        try:
            record = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise UserError(
                f"{path}, line {number}: this is not a JSON object ({error}). The line "
                f"begins {line[:80]!r}."
            ) from None
    if not isinstance(record, dict):
        raise UserError(
            f"{path}, line {number}: this is not a JSON object {{…}}. The line begins "
            f"{line[:80]!r}."
        )
    return record


def need(record: dict, key: str, path: str | Path, number: int) -> str:
    """Return a required value of a record, as text.

    Args:
        record (dict): From :func:`read_records`.
        key (str): The value's key.
        path (str or Path): The file, for the error.
        number (int): The line number, for the error.

    Returns:
        str: The value, not ``""``.

    Raises:
        UserError: If it is missing, empty, an object or a list.
    """
    value = record.get(key)
    if isinstance(value, (dict, list, tuple, set)):
        raise UserError(
            f"{path}, line {number}: {key} is {value!r:.80}, not a text or a number."
        )
    text = as_text(value)
    if text:
        return text
    if key in record:
        raise UserError(f"{path}, line {number}: {key} is empty.")
    raise UserError(
        f"{path}, line {number}: there is no '{key}'.{did_you_mean(key, record)} "
        f"The record has {', '.join(map(str, record)) or 'no keys'}."
    )


def as_text(value: Any, separator: str = ", ") -> str:
    """Return a value as text: (nested) lists joined by ``separator``, None as ``""``.

    >>> as_text([["Clothing", "Shoes"], "Boots", None])
    'Clothing, Shoes, Boots'
    """
    if isinstance(value, (list, tuple)):
        return separator.join(filter(None, (as_text(v, separator) for v in value)))
    if value is None:
        return ""
    # JSON can escape half a surrogate pair, which UTF-8 cannot encode
    return str(value).encode("utf-8", "replace").decode("utf-8").strip()
