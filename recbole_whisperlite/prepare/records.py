"""Records of a file with one JSON object a line, plain or gzipped, streamed."""

import ast
import gzip
import json
import zlib
from pathlib import Path

from tqdm import tqdm

from recbole_whisperlite.errors import UserError, did_you_mean

_GZIP = b"\x1f\x8b"
_LINES_A_PROGRESS = 1 << 12


def read_records(path):
    """Stream the records of a file, with a progress bar.

    Lines that are Python literals instead of JSON, as in Amazon's metadata of 2014, are
    read too; empty lines are skipped.

    Args:
        path (str or Path): UTF-8, one object a line; gzipped or not, whatever its name.

    Yields:
        tuple: The number of the line, from 1, and the record, a dict.

    Raises:
        UserError: If the file is missing, empty or damaged, or a line holds no object;
            file and line are named.
    """
    path = check_file(path)
    number, empty = 0, True
    with open(path, "rb") as raw, tqdm(
        desc=path.name, total=path.stat().st_size, unit="B", unit_scale=True
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


def check_file(path):
    """Return ``path`` as a Path; raise a UserError if there is no file."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: this is a folder; a file is needed.")
    if not path.is_file():
        raise UserError(f"{path}: this file does not exist.")
    return path


def _parse(path, number, line):
    try:
        line = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {number}: byte 0x{line[error.start]:02x} is not valid UTF-8."
        ) from None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        try:
            record = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise UserError(
                f"{path}, line {number}: this is no JSON object ({error}). The line "
                f"begins {line[:80]!r}."
            ) from None
    if not isinstance(record, dict):
        raise UserError(
            f"{path}, line {number}: a JSON object {{…}} is needed; the line begins "
            f"{line[:80]!r}."
        )
    return record


def need(record, key, path, number):
    """Return a value that a record must have, as text.

    Args:
        record (dict): From :func:`read_records`.
        key (str): The value's name.
        path (str or Path): The file, for the error.
        number (int): The line, for the error.

    Returns:
        str: The value, not ``""``.

    Raises:
        UserError: If it is missing or empty, or an object or a list.
    """
    value = record.get(key)
    if isinstance(value, (dict, list, tuple, set)):
        raise UserError(
            f"{path}, line {number}: {key} is {value!r:.80}; a text or a number is needed."
        )
    text = as_text(value)
    if text:
        return text
    if key in record:
        raise UserError(f"{path}, line {number}: {key} is empty.")
    raise UserError(
        f"{path}, line {number}: there is no '{key}'.{did_you_mean(key, record)} "
        f"The record has {', '.join(map(str, record)) or 'nothing'}."
    )


def as_text(value, separator=", "):
    """Write a value as text: lists, also nested, with a separator; None as ``""``.

    >>> as_text([["Clothing", "Shoes"], "Boots", None])
    'Clothing, Shoes, Boots'
    """
    if isinstance(value, (list, tuple)):
        return separator.join(filter(None, (as_text(v, separator) for v in value)))
    if value is None:
        return ""
    # JSON can spell half a character, which no UTF-8 file can hold
    return str(value).encode("utf-8", "replace").decode("utf-8").strip()
