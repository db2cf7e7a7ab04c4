"""Files of requests: csv, parquet and JSON lines, read as a stream and checked."""

from __future__ import annotations

import csv
import hashlib
import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_whisperlite.errors import UserError, did_you_mean

#: What is read; other columns are ignored.
COLUMNS = ("id", "request", "user", "history", "exclude", "exclude_seen")
_BATCH = 4096
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Asked(NamedTuple):
    """One request of a file.

    Attributes:
        where (str): Its place in the file, for messages: ``"line 7"``.
        id (str): The column ``id``, otherwise its number, from 1.
        request (str): What is wanted.
        user (str or None): Who asks.
        history (list of str or None): Items to use instead of the user's history.
        exclude (list of str): Items to leave out.
        exclude_seen (bool or None): Whether to leave out the items of the history; None
            where the file does not say.
    """

    where: str
    id: str
    request: str
    user: str | None
    history: list[str] | None
    exclude: list[str]
    exclude_seen: bool | None


class RequestsFile:
    """A file of requests.

    Args:
        path (str or Path): A ``.csv``, ``.parquet`` or ``.jsonl`` file.

    Raises:
        UserError: If there is no such file, or it is of another kind.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in _READERS:
            raise UserError(
                f"{path}: a file of requests is a .csv, .parquet or .jsonl file."
            )
        if not self.path.is_file():
            raise UserError(f"There is no file {path}.")
        self._read = _READERS[suffix]

    def __iter__(self) -> Iterator[Asked]:
        """Yield the requests in the order of the file.

        Raises:
            UserError: At the first that is malformed; the message says where it is.
        """
        try:
            for number, (where, row) in enumerate(self._read(self.path), start=1):
                yield self._asked(where, row, number)
        except UnicodeDecodeError as error:
            self._refuse(f"this is not UTF-8 ({error.reason})")
        except OSError as error:
            self._refuse(error.strerror or error)

    def check(self, unique_ids: bool) -> int:
        """Read the whole file, so that a mistake at its end is found before the work.

        Args:
            unique_ids (bool): Whether ids must be unique and without spaces.

        Returns:
            int: How many requests there are.

        Raises:
            UserError: If one is malformed, or there is none.
        """
        n, digests = 0, array("Q")
        for asked in self:
            n += 1
            if unique_ids:
                if asked.id.split() != [asked.id]:
                    self._refuse(
                        f"the id '{asked.id}' has spaces, which separate the columns of "
                        "a run file",
                        asked.where,
                    )
                # 8 bytes an id, so that memory stays bounded
                digest = hashlib.blake2b(asked.id.encode(), digest_size=8).digest()
                digests.append(int.from_bytes(digest, "little"))
        if not n:
            raise UserError(f"{self.path} has no requests.")
        if unique_ids:
            self._check_unique(np.frombuffer(digests, dtype=np.uint64))
        return n

    def _check_unique(self, digests):
        order = np.argsort(digests, kind="stable")
        equal = np.flatnonzero(digests[order][1:] == digests[order][:-1])
        if len(equal):
            first, second = (int(order[each]) for each in (equal[0], equal[0] + 1))
            both = [asked for n, asked in enumerate(self) if n in (first, second)]
            self._refuse(
                f"the id '{both[1].id}' is that of {both[0].where}, too, and in a run "
                "file each request needs its own",
                both[1].where,
            )

    def digest(self) -> str:
        """Return the hash of the file."""
        with open(self.path, "rb") as file:
            digest = hashlib.blake2b(digest_size=20)
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest()

    def ignored(self) -> list[str]:
        """Return the columns of the first row that are not read, with what was meant."""
        for _, row in self._read(self.path):
            names = [name for name in row if name not in COLUMNS]
            return [f"{name}{did_you_mean(name, COLUMNS)}" for name in names]
        return []

    def _refuse(self, what, where=None):
        raise UserError(f"{self.path}{', ' + where if where else ''}: {what}.")

    def _asked(self, where, row, number):
        if "request" not in row:
            names = ", ".join(f"'{name}'" for name in row) or "nothing"
            self._refuse(f"there is no 'request' here, only {names}", where)
        request = row["request"]
        if request is None:
            request = ""
        if not isinstance(request, str):
            self._refuse(f"a request is a text, not {request!r}", where)
        values = {}
        for name, read, kind in _FIELDS:
            try:
                values[name] = read(row.get(name))
            except (TypeError, ValueError):
                self._refuse(f"{name} must be {kind}, not {row[name]!r}", where)
        values["id"] = values["id"] or str(number)
        values["exclude"] = values["exclude"] or []
        return Asked(where=where, request=request, **values)


def _name(value):
    """Return an id as text, None where there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers with gaps, as pandas writes them
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TypeError
    return value


def _names(value):
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError
    names = [_name(each) for each in value]
    if None in names:
        raise TypeError
    return names


def _flag(value):
    if value is None or isinstance(value, bool):
        return value
    raise TypeError


_FIELDS = (
    ("id", _name, "a text or a whole number"),
    ("user", _name, "the id of a user"),
    ("history", _names, "a list of item ids"),
    ("exclude", _names, "a list of item ids"),
    ("exclude_seen", _flag, "true or false"),
)


def _read_csv(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        line = 1  # where the record begins: it may go on over several lines
        try:
            header = [name.strip() for name in next(reader, [])]
            if "request" not in header:
                names = ", ".join(f"'{name}'" for name in header) or "nothing"
                raise UserError(
                    f"{path}: there is no column 'request' in the first line, only "
                    f"{names}."
                )
            if len({*header}) < len(header):
                raise UserError(f"{path}: two columns have the same name.")
            line = reader.line_num + 1
            for cells in reader:
                if cells:
                    if len(cells) != len(header):
                        raise UserError(
                            f"{path}, line {line}: there are {len(cells)} values for "
                            f"{len(header)} columns. A text with commas or quotes needs "
                            "quotes around it."
                        )
                    yield f"line {line}", _of_csv(dict(zip(header, cells)))
                line = reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"{path}, line {line}: {error}.") from None


def _of_csv(row):
    for name in ("history", "exclude"):
        if name in row:
            row[name] = row[name].split() or None
    if "exclude_seen" in row:
        text = row["exclude_seen"].strip().lower()
        row["exclude_seen"] = _FLAGS.get(text, text or None)
    return row


def _read_jsonl(path):
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"line {number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}, {where}: this is not UTF-8 ({error.reason})."
                ) from None
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{path}, {where}: this is not JSON: {error}."
                ) from None
            if not isinstance(row, dict):
                raise UserError(
                    f"{path}, {where}: a line is an object such as "
                    '{"request": "red dress"}, not ' + f"{row!r:.60}."
                )
            yield where, row


def _read_parquet(path):
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if "request" not in names:
                raise UserError(
                    f"{path}: there is no column 'request', only "
                    f"{', '.join(map(repr, names)) or 'nothing'}."
                )
            used = [name for name in names if name in COLUMNS]
            ignored = dict.fromkeys(name for name in names if name not in COLUMNS)
            number = 0
            for batch in file.iter_batches(_BATCH, columns=used):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row if number > 1 else {**ignored, **row}
    except pa.ArrowException as error:
        raise UserError(
            f"{path}: this cannot be read as parquet: {' '.join(str(error).split())}"
        ) from None


_READERS = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
