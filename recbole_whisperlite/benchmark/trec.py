"""The rankings of a table as TREC run files and qrels, for trec_eval and its kin.

``trec/qrels.txt`` holds the positives of each query, ``trec/<row>.<seed>.run.gz`` its
best K items of a run, best first. The score is K at rank 1 and falls by one a rank: what
ties there were are broken as in our ranking, so that every tool finds our figures. The tag
is row and seed. Where each seed has a test set of its own (random splits), its qrels are
``qrels.<seed>.txt``.

A query's id is that of its request, if all are unique and have no white space, otherwise
a number from 1, in the order of ``units.npz``. Item ids with white space are percent-encoded, together with all others.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from recbole_whisperlite.evaluation.queries import is_one_word, query_ids
from recbole_whisperlite.files import whole_file

FOLDER = "trec"
RUN, QRELS = ".run.gz", "qrels"


def write(folder: Path, benchmark: dict[str, Any]) -> list[Path]:
    """Write qrels and run files of all rows; remove those of an earlier table.

    Args:
        folder (Path): The output folder of the benchmark; the files are in its ``trec/``.
        benchmark (dict): From :func:`tables.assemble`.

    Returns:
        list of Path: The files; none if the dataset has no requests.
    """
    home, arrays = folder / FOLDER, benchmark["units"]
    content = {}
    for number, test_set in enumerate(benchmark["test_sets"]):
        own = {
            name.removeprefix(f"{number}/"): array
            for name, array in arrays.items()
            if name.startswith(f"{number}/")
        }
        ids, items = query_ids(own["request"]), item_ids(own["tokens"])
        alone = len(benchmark["test_sets"]) == 1
        seeds = "-".join(map(str, test_set["seeds"]))
        name = f"{QRELS}.txt" if alone else f"{QRELS}.{seeds}.txt"
        content[name] = _qrels(own, ids, items)
        for row in benchmark["rows"]:
            for seed in row["runs"]:
                top = own.get(f"top/{row['name']}/{seed}")
                if top is not None:
                    tag = "_".join(f"{row['name']}.{seed}".split())
                    run = _run(top, ids, items, tag)
                    content[f"{row['name']}.{seed}{RUN}"] = run
    for path in [*home.glob(f"*{RUN}"), *home.glob(f"{QRELS}*.txt")]:
        if path.name not in content:
            path.unlink()
    for name, lines in content.items():
        with whole_file(home / name) as file, open(file, "wb") as raw:
            if name.endswith(".gz"):
                # without name and time, so that the same ranking gives the same bytes
                with gzip.GzipFile("", "wb", 4, raw, mtime=0) as out:
                    out.writelines(line.encode() for line in lines)
            else:
                raw.writelines(line.encode() for line in lines)
    return [home / name for name in content]


def item_ids(tokens: np.ndarray) -> list[str]:
    """Return the id of each item, in the order of ``tokens``, of which the first is ""."""
    ids = tokens.tolist()
    if all(map(is_one_word, ids[1:])):
        return ids
    return [quote(id_, safe="") for id_ in ids]


def _qrels(arrays, ids, items) -> Iterator[str]:
    pairs = zip(arrays["positive_unit"].tolist(), arrays["positive_item"].tolist())
    return (f"{ids[query]} 0 {items[item]} 1\n" for query, item in pairs)


def _run(top, ids, items, tag) -> Iterator[str]:
    """Return the lines of each query."""
    k = top.shape[1]
    for id_, best in zip(ids, top.tolist()):
        yield "".join(
            f"{id_} Q0 {items[item]} {rank} {k + 1 - rank} {tag}\n"
            for rank, item in enumerate(best, start=1)
            if item  # 0 at the end: there were fewer candidates
        )
