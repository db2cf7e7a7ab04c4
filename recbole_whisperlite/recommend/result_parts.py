"""The results of a file of requests: parts that survive a stop, then one whole file."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from recbole_whisperlite.clip import output
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file

#: What every result has; parts of the score come after them, as ``<name>_score``.
COLUMNS = {
    "id": pa.string(),
    "request": pa.string(),
    "user": pa.string(),
    "rank": pa.int32(),
    "item": pa.string(),
    "score": pa.float32(),
}
FORMATS = ("csv", "parquet", "jsonl", "trec")
_MANIFEST = "manifest.json"


def format_of(path: str | Path, given: str | None) -> str:
    """Return the format of the output.

    Raises:
        UserError: If neither its name nor ``given`` says it.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if given is None and suffix not in ("csv", "parquet", "jsonl"):
        raise UserError(
            f"--output {path}: the name must end in .csv, .parquet or .jsonl, or --format "
            f"say what it is: {', '.join(FORMATS)}."
        )
    return given or suffix


class ResultParts:
    """A hidden folder beside the output, with a parquet file for each chunk of requests.

    Only one process at a time has it. To be used in a ``with`` statement.

    Args:
        path (str or Path): The output.
        manifest (dict): What decides the results, as JSON can hold it. Parts of a run
            with another one are thrown away.

    Attributes:
        n_done (int): How many parts an earlier run has left.
        discarded (list of str): The entries of the manifest on account of which the
            parts of an earlier run were thrown away.

    Raises:
        UserError: If another process is writing this output.
    """

    def __init__(self, path: str | Path, manifest: dict):
        self.path, self.manifest = Path(path), manifest
        self.folder = self.path.with_name(f".{self.path.name}.parts")
        self._lock = FileLock(self.folder.with_name(f"{self.folder.name}.lock"))
        self.n_done, self.discarded = 0, []

    def __enter__(self):
        with output.refusals(self.path):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:  # an OSError, too
                raise UserError(
                    f"{self.path}: another process is writing this. Wait for it, or stop "
                    "it."
                ) from None
        try:
            with output.refusals(self.path):
                self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_):
        self._lock.release()
        if not self.folder.exists():
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def _open(self):
        if self.folder.is_dir():
            try:
                before = json.loads((self.folder / _MANIFEST).read_text("utf-8"))
                names = dict.fromkeys([*self.manifest, *before])
            except (OSError, ValueError, TypeError):
                before, names = {}, ["manifest"]
            none = object()
            self.discarded = [
                name
                for name in names
                if before.get(name, none) != self.manifest.get(name, none)
            ]
            if self.discarded:
                shutil.rmtree(self.folder)
        self.folder.mkdir(exist_ok=True)
        with whole_file(self.folder / _MANIFEST) as file:
            file.write_text(json.dumps(self.manifest), "utf-8")
        while self._is_whole(self.n_done):
            self.n_done += 1

    def _part(self, number):
        return self.folder / f"{number:08}.parquet"

    def _is_whole(self, number):
        """Return whether a part is there and was not cut off by a power failure."""
        try:
            pq.read_metadata(self._part(number))
        except (OSError, pa.ArrowException):
            return False
        return True

    def add(self, table: pa.Table, counts: dict[str, int]) -> None:
        """Write the next part.

        Args:
            table (pyarrow.Table): The columns of :data:`COLUMNS`, and parts of scores.
            counts (dict): Numbers that :meth:`finish` adds up.

        Raises:
            UserError: If it cannot be written.
        """
        text = {name: str(value) for name, value in counts.items()}
        with output.writing(self._part(self.n_done)) as file:
            pq.write_table(table.replace_schema_metadata(text), file)
        self.n_done += 1

    def finish(self, format: str, tag: str) -> dict[str, int]:
        """Write the output from the parts, whole or not at all, and remove them.

        Args:
            format (str): One of :data:`FORMATS`.
            tag (str): The name of the run in a run file.

        Returns:
            dict: The sums of the counts, and the number of rows as ``rows``.

        Raises:
            UserError: If it cannot be written.
        """
        counts, names = {"rows": 0}, dict.fromkeys(COLUMNS)
        for number in range(self.n_done):
            of_part = pq.read_metadata(self._part(number))
            counts["rows"] += of_part.num_rows
            schema = of_part.schema.to_arrow_schema()
            for name, value in (schema.metadata or {}).items():
                if name != b"ARROW:schema":
                    name = name.decode()
                    counts[name] = counts.get(name, 0) + int(value)
            names.update(dict.fromkeys(schema.names))
        schema = pa.schema([(name, COLUMNS.get(name, pa.float32())) for name in names])
        with output.writing(self.path) as file:
            _WRITERS[format](file, schema, self._tables(schema), tag)
        shutil.rmtree(self.folder)
        return counts

    def _tables(self, schema) -> Iterator[pa.Table]:
        """Yield the parts; a part of the score that plays no part is 0."""
        for number in range(self.n_done):
            table = pq.read_table(self._part(number)).replace_schema_metadata(None)
            for name in schema.names:
                if name not in table.column_names:
                    zeros = pa.array(np.zeros(len(table), dtype=np.float32))
                    table = table.append_column(name, zeros)
            yield table.select(schema.names)


def _columns(table):
    """Return the columns as lists; numbers as the shortest text that is that float32."""
    columns = []
    for column in table.columns:
        if column.type == pa.float32():
            column = pc.cast(column, pa.string())
        columns.append(column.to_pylist())
    return columns


def _write_csv(path, schema, tables, tag):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(schema.names)
        for table in tables:
            writer.writerows(zip(*_columns(table)))


def _write_jsonl(path, schema, tables, tag):
    floats = [name for name in schema.names if schema.field(name).type == pa.float32()]
    with open(path, "w", encoding="utf-8") as file:
        for table in tables:
            for values in zip(*_columns(table)):
                row = dict(zip(schema.names, values))
                row.update((name, float(row[name])) for name in floats)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_parquet(path, schema, tables, tag):
    with pq.ParquetWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(table)


def _write_trec(path, schema, tables, tag):
    with open(path, "w", encoding="utf-8") as file:
        for table in tables:
            table = table.combine_chunks()
            ranks, scores = table["rank"].to_numpy(), table["score"].to_numpy()
            scores = pc.cast(pa.array(falling(ranks, scores)), pa.string())
            ids, items = table["id"].to_pylist(), table["item"].to_pylist()
            for id_, item, rank, score in zip(ids, items, ranks, scores.to_pylist()):
                if item.split() != [item]:
                    raise UserError(
                        f"The item '{item}' has spaces in its id, which separate the "
                        "columns of a run file. Write a .csv, .parquet or .jsonl file."
                    )
                file.write(f"{id_} Q0 {item} {rank} {score} {tag}\n")


def falling(ranks: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return scores that fall with the rank, where equal ones did not.

    Tools that read run files sort by score alone, and break ties by the id of the item.

    Args:
        ranks (numpy.ndarray): From 1 for each request, int ``[n]``.
        scores (numpy.ndarray): float32 ``[n]``, never rising with the rank.

    Returns:
        numpy.ndarray: float32 ``[n]``; an equal score is the next smaller float32.
    """
    scores = scores.astype(np.float32)
    while True:
        tied = 1 + np.flatnonzero((ranks[1:] > 1) & (scores[1:] >= scores[:-1]))
        if not len(tied):
            return scores
        scores[tied] = np.nextafter(scores[tied - 1], np.float32(-np.inf))


_WRITERS = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "jsonl": _write_jsonl,
    "trec": _write_trec,
}
