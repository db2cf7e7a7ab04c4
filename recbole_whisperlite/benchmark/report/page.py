"""Renders the page: computes the values that its template shows.

The template escapes all texts, because requests and item texts are written by users and
must never run as code. In addition, the page's content security policy allows only its
own two scripts and loads nothing from elsewhere.
"""

import base64
import hashlib
import shlex
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from recbole_whisperlite.benchmark import formats, slices, statistics
from recbole_whisperlite.benchmark.inputs import told
from recbole_whisperlite.benchmark.notes import (
    ALPHA,
    told_protocol,
    told_rows,
    told_sources,
    told_tuning,
)
from recbole_whisperlite.benchmark.report.curves import by_k
from recbole_whisperlite.benchmark.report.pictures import embedded, outside
from recbole_whisperlite.benchmark.report.plots import SHORTEST, plots, told_interval
from recbole_whisperlite.benchmark.report.styles import styles

COSTS = (
    ("train_seconds", "training s", "{:,.2f}"),
    ("prepare_seconds", "preparation s", "{:,.2f}"),
    ("encode_seconds", "encoding s", "{:,.2f}"),
    ("evaluate_seconds", "evaluation s", "{:,.2f}"),
    ("parameters", "parameters", "{:,.0f}"),
    ("peak_memory_mb", "memory MB", "{:,.0f}"),
    ("peak_gpu_memory_mb", "GPU MB", "{:,.0f}"),
)
#: Logarithmic axes have no 0, so models without training are drawn at their left end.
SHORTEST_TOLD = f"Times below {SHORTEST} s are drawn at {SHORTEST} s."


def render(benchmark: dict[str, Any]) -> str:
    """Return the page.

    Args:
        benchmark (dict): ``benchmark.json`` with the arrays of ``units.npz`` under
            ``units``.

    Returns:
        str: HTML that refers to nothing outside itself.
    """
    environment = Environment(
        loader=PackageLoader("recbole_whisperlite.benchmark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = styles(benchmark["rows"])
    metric = slices.metric_of(benchmark)
    sliced = slices.by_kind(benchmark, metric) if metric else {}
    drawn = plots(benchmark, style, by_k(benchmark), sliced, metric)
    source = environment.loader.get_source
    scripts = [get_plotlyjs()] if drawn else []
    scripts.append(source(environment, "page.js")[0])
    # browsers normalise line ends before they check the digests
    scripts = [script.replace("\r\n", "\n") for script in scripts]
    pictures = embedded(benchmark["items"], benchmark["dataset_folder"])
    return environment.get_template("page.html").render(
        benchmark=benchmark,
        command=shlex.join(["recbole-whisperlite", "benchmark", *benchmark["command"]]),
        costs=[
            cost
            for cost in COSTS
            if any(cost[0] in r["cost"] for r in benchmark["rows"])
        ],
        examples=_examples(benchmark),
        kinds=slices.KINDS,
        lost_pictures=not pictures
        and any(about["image"] for about in benchmark["items"].values()),
        metrics=_metrics(benchmark),
        n_outside=len(outside(benchmark["items"], benchmark["dataset_folder"])),
        pictures=pictures,
        plots=drawn,
        policy=_policy(scripts),
        rows=_rows(benchmark),
        row_notes=[line for line in told_rows(benchmark) if ", failed: " not in line],
        protocol=[*told_protocol(benchmark), *filter(None, [told_tuning(benchmark)])],
        sources=told_sources(benchmark),
        has_trials=any(row.get("trials") for row in benchmark["rows"]),
        has_gaps=any(
            cell.get("difference")
            for row in benchmark["rows"]
            for cell in row["metrics"].values()
        ),
        scripts=[Markup(script) for script in scripts],
        shortest=SHORTEST_TOLD,
        shown_name=formats.shown_name,
        slice_metric=metric,
        sliced=sliced,
        style=style,
        stylesheet=Markup(source(environment, "page.css")[0]),
        alpha=ALPHA,
        summary=_summary(benchmark),
        told_interval=told_interval,
    )


def _policy(scripts):
    digests = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    )
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; "
        "img-src data: blob:"
    )


def _metrics(benchmark):
    """Return the columns of the table, ordered by k."""
    return [
        {
            "name": name,
            "shown": formats.shown_name(name),
            "k": statistics.split_name(name)[1],
            "smaller": name in benchmark["smaller_is_better"],
        }
        for name in benchmark["metrics"]
    ]


def _rows(benchmark):
    """Return the rows of the table, with what each metric's cell shows."""
    marks = {
        name: formats.best_and_second(benchmark, name) for name in benchmark["metrics"]
    }
    return [
        {
            **row,
            "told_inputs": told(row["inputs"]),
            "cells": {
                name: {
                    "difference": None,  # not in tables of version 0.1
                    **cell,
                    "best": row["name"] in marks[name][0],
                    "second": row["name"] in marks[name][1],
                    "differs": formats.differs(row, name),
                }
                for name, cell in row["metrics"].items()
            },
        }
        for row in benchmark["rows"]
    ]


def _summary(benchmark):
    """Return one or two sentences on which row is best; None if no row has a result."""
    rows = [row for row in benchmark["rows"] if row["runs"]]
    if not rows:
        return None
    main, reference = benchmark["main_metric"], benchmark["reference"]
    best = rows[0]
    told = (
        f"{best['name']} is best: {formats.shown_name(main)} "
        f"{best['metrics'][main]['mean']:.4f}."
    )
    tested = [row for row in rows if row["metrics"][main]["p_holm"] is not None]
    if tested:
        own = next(row for row in rows if row["name"] == reference)
        sign = -1 if main in benchmark["smaller_is_better"] else 1
        differing = [row for row in tested if formats.differs(row, main)]
        better = sum(
            sign * (row["metrics"][main]["mean"] - own["metrics"][main]["mean"]) > 0
            for row in differing
        )
        told += (
            f" Of the {len(tested)} row{'s' if len(tested) > 1 else ''} compared with "
            f"{reference}, {better or 'none'} {'are' if better > 1 else 'is'} "
            f"significantly better and {len(differing) - better or 'none'} "
            "significantly worse."
        )
    return told


def _examples(benchmark):
    """Return the sample requests, with the rows in the order of the table."""
    names = [row["name"] for row in benchmark["rows"]]
    return [
        {
            **example,
            "top": [
                (name, example["top"][name]) for name in names if name in example["top"]
            ],
            "found": sum(
                bool(set(best) & set(example["positives"]))
                for best in example["top"].values()
            ),
        }
        for example in benchmark["examples"]
    ]
