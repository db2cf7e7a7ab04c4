"""The results: everything as json, the ranks as npz, and the tables of ``formats``.

``benchmark.json``::

    dataset, command, created, versions     what was run, when, with which packages
    composed_requests                       the template, if requests are composed from
                                            attributes of the target; else null
    request_kind                            review, tag, … as stated by the dataset, or
                                            null
    known_at_test, new_items, folds         settings of the evaluation; null if the dataset
                                            has no requests
    seeds                                   [int]
    metrics                                 [name], e.g. "ndcg@10", in table order
    main_metric                             name; rows are sorted by it, and the best is
                                            the default reference
    smaller_is_better                       [name]
    metrics_of_queries                      [name]; those with statistics over queries
    reference                               row that the others are tested against
    significance                            how p values and intervals were computed
    dataset_folder                          folder of the pictures (``items.image``)
    tuning: {row name: {                    rows with ranges, if --tune was given
        trials, pruned, failed: int,        pruned and failed ones are among trials
        all: bool,                          no further combination
        users}}                             share of the users
    test_sets: [{                           one, or one per seed (random splits);
                                            none if the dataset has no requests
        fingerprint, valid_fingerprint,
        seeds, queries, users, positives,
        items}]                             counts
    rows: [{                                best first; failed rows last
        name, model, inputs: [str],         null: not stated
        settings, tuned,                    from the yaml; chosen by --tune
        trials,                             of tuning in this benchmark; 0 for none
        note,                               from the yaml, or null
        errors: {seed: str},                failed runs
        metrics: {name: {
            mean, deviation,                over seeds; deviation null for one seed
            low, high,                      95 % bootstrap interval over queries or null
            difference: {mean, low, high,   of the means, row less reference, with its
                relative, relative_low,     paired interval; relative: divided by the
                relative_high},             reference's mean. Null for the reference
            p, p_holm}},                    against the reference; null for itself
        cost: {train_seconds, prepare_seconds, encode_seconds, evaluate_seconds,
               parameters, peak_memory_mb, (peak_gpu_memory_mb)},  means over seeds
        runs: {seed: {test_result, best_valid_result, seconds, parameters,
                      peak_memory_mb, eval_step, version,
                      revision: {commit, dirty},      null if not in a checkout
                      valid_curve: [{seconds, (metric): value}]}}}]
                                            one point every eval_step epochs
    slices: {metric, kinds: {kind: [        see :mod:`recbole_whisperlite.benchmark.slices`
        {label, queries, positives,
         means, low, high: {row name: …}}]}}
    examples: [{user, request_id, request,  sample requests of the first test set
        positives: [item], top: {row name: [item], best first}}]
    items: {item: {title, text, image}}     items of the examples; title: the first text
                                            column; image: null, or relative to
                                            dataset_folder

Seeds are strings where they are keys. ``units.npz`` contains, for test set number e,
the arrays of a ``unit_file`` (see :mod:`recbole_whisperlite.evaluation.rank_file`) that
all models share as ``e/user``, ``e/request``, …, and for each row and seed
``e/rank/<row>/<seed>`` and ``e/top/<row>/<seed>``.
"""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from recbole.evaluator.register import smaller_metrics

from recbole_whisperlite.benchmark import examples, formats, slices, statistics
from recbole_whisperlite.benchmark.inputs import inputs
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.rank_file import read_ranks
from recbole_whisperlite.evaluation.result_file import versions
from recbole_whisperlite.files import plain, whole_file

if TYPE_CHECKING:
    from recbole_whisperlite.benchmark.fingerprints import TestSet
    from recbole_whisperlite.benchmark.plan import Plan
    from recbole_whisperlite.benchmark.runner import Outcome

SIGNIFICANCE = (
    "Two-sided paired t-test over queries (metrics averaged over seeds first) against "
    "the reference, Holm-corrected over the rows of each metric; 95 % percentile "
    f"bootstrap intervals over queries, {statistics.RESAMPLES} resamples. Where users "
    "have several queries, both treat a user's queries as one cluster."
)
COSTS = ("prepare", "encode", "train", "evaluate")


def assemble(
    plan: Plan,
    outcomes: list[Outcome],
    test_sets: list[TestSet],
    tuned: dict[str, dict],
    tuning: dict[str, dict] | None = None,
) -> dict[str, Any]:
    """Assemble the contents of ``benchmark.json`` and ``units.npz``.

    Args:
        plan (Plan): The benchmark.
        outcomes (list of Outcome): The outcomes of its jobs.
        test_sets (list of TestSet): From :func:`fingerprints.same_test_set`.
        tuned (dict): ``{row name: settings chosen by tuning}``.
        tuning (dict): ``{row name: how it was tuned}``; None if nothing was.

    Returns:
        dict: As described above, with the arrays of ``units.npz`` under ``units``.

    Raises:
        UserError: If the models have no metric in common.
    """
    tuning = tuning or {}
    rows = [_row(row, outcomes, tuned, tuning) for row in plan.rows]
    results = [outcome.result for outcome in outcomes if outcome.result]
    benchmark = {
        "dataset": plan.dataset,
        "command": plan.command,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": results[0]["versions"] if results else versions(),
        "composed_requests": results[0]["composed_requests"] if results else None,
        "request_kind": results[0].get("request_kind") if results else None,
        **_protocol(results),
        "seeds": plan.seeds,
        "metrics": [],
        "main_metric": None,
        "smaller_is_better": [],
        "metrics_of_queries": [],
        "reference": None,
        "significance": SIGNIFICANCE,
        "tuning": tuning,
        "dataset_folder": None,
        "test_sets": [
            {
                "fingerprint": test_set.fingerprint,
                "valid_fingerprint": test_set.valid_fingerprint,
                "seeds": test_set.seeds,
                "queries": len(test_set.arrays["user"]),
                "users": len(np.unique(test_set.arrays["user"])),
                "positives": len(test_set.arrays["positive_unit"]),
                "items": len(test_set.arrays["tokens"]) - 1,
            }
            for test_set in test_sets
        ],
        "rows": rows,
        "slices": {"metric": None, "kinds": {}},
        "examples": [],
        "items": {},
        "units": {},
    }
    if not results:
        return benchmark
    _add_metrics(benchmark, results)
    ranks = [_ranks(test_set) for test_set in test_sets]
    for number, test_set in enumerate(test_sets):
        benchmark["units"].update(_unit_arrays(number, test_set, ranks[number]))
    _add_statistics(benchmark, plan)
    if not test_sets:
        return benchmark
    benchmark["slices"] = slices.as_json(benchmark)
    benchmark.update(examples.sample(test_sets[0], ranks[0], results[0]["settings"]))
    if any(item["image"] for item in benchmark["items"].values()):
        # relative if possible, so that the project can be moved as a whole
        folder = Path(results[0]["settings"]["data_path"]).absolute()
        here = Path.cwd()
        inside = folder.is_relative_to(here)
        folder = folder.relative_to(here) if inside else folder
        benchmark["dataset_folder"] = str(folder)
    return benchmark


def _protocol(results):
    """Return settings of the evaluation that a reader must know; null without requests."""
    names = ("known_at_test", "new_items", "folds")
    known = results[0].get("known_at_test") if results else None
    if known is None:  # no requests, or a result of version 0.1
        return dict.fromkeys(names)
    settings = results[0]["settings"]
    return {
        "known_at_test": known,
        **{name: settings.get(name) for name in names[1:]},
    }


def _row(row, outcomes, tuned, tuning):
    of_row = [outcome for outcome in outcomes if outcome.job.row.name == row.name]
    results = {str(o.job.seed): o.result for o in of_row if o.result}
    kept = (
        "test_result best_valid_result seconds parameters peak_memory_mb valid_curve"
    ).split()
    cost = {}
    for result in results.values():
        for name in COSTS:
            cost.setdefault(f"{name}_seconds", []).append(result["seconds"][name])
        for name in ("parameters", "peak_memory_mb", "peak_gpu_memory_mb"):
            if name in result:
                cost.setdefault(name, []).append(result[name])
    settings = next(iter(results.values()))["settings"] if results else {}
    return {
        "name": row.name,
        "model": row.model,
        "inputs": inputs(row, settings),
        "settings": row.settings,
        "tuned": tuned.get(row.name),
        "trials": tuning.get(row.name, {}).get("trials", 0),
        "note": row.note,
        "errors": {str(o.job.seed): o.error for o in of_row if o.error},
        "metrics": {},
        "cost": {name: float(np.mean(figures)) for name, figures in cost.items()},
        "runs": {
            seed: {
                **{name: result[name] for name in kept},
                "eval_step": result["settings"]["eval_step"],
                "version": result["versions"]["recbole-whisperlite"],
                "revision": result.get("revision"),  # not in results of version 0.1
            }
            for seed, result in results.items()
        },
    }


def _add_metrics(benchmark, results):
    names = [
        name
        for name in results[0]["test_result"]
        if all(name in result["test_result"] for result in results)
    ]
    if not names:
        raise UserError(
            "The models have no metric in common: set metrics and topk for all of them."
        )
    main = results[0]["settings"]["valid_metric"].lower()
    benchmark["metrics"] = names
    benchmark["main_metric"] = main if main in names else names[0]
    smaller = {*smaller_metrics, "violation_share"}
    smaller = [n for n in names if statistics.split_name(n)[0] in smaller]
    benchmark["smaller_is_better"] = smaller
    benchmark["metrics_of_queries"] = [
        n for n in names if statistics.is_of_queries(statistics.split_name(n)[0])
    ]


def _ranks(test_set):
    """Return ``{(row name, seed): (rank, top)}`` as in a ``unit_file``."""
    ranks = {}
    for key, outcome in test_set.outcomes.items():
        arrays = read_ranks(outcome.unit_file)
        ranks[key] = arrays["rank"], arrays["top"]
    return ranks


def _add_statistics(benchmark, plan):
    """Fill in ``metrics`` of the rows, choose the reference, sort the rows."""
    rows = [row for row in benchmark["rows"] if row["runs"]]
    for row in rows:
        for name in benchmark["metrics"]:
            figures = [run["test_result"][name] for run in row["runs"].values()]
            mean, deviation = statistics.over_seeds(figures)
            row["metrics"][name] = {
                "mean": mean,
                "deviation": deviation,
                **dict.fromkeys(("low", "high", "difference", "p", "p_holm")),
            }
    main = benchmark["main_metric"]
    sign = 1 if main in benchmark["smaller_is_better"] else -1
    rows.sort(key=lambda row: sign * row["metrics"][main]["mean"])
    benchmark["rows"] = rows + [row for row in benchmark["rows"] if not row["runs"]]
    named = [row["name"] for row in rows]
    reference = plan.reference if plan.reference in named else named[0]
    benchmark["reference"] = reference

    test_sets = range(len(benchmark["test_sets"]))
    if not test_sets:
        benchmark["metrics_of_queries"] = []
    names = benchmark["metrics_of_queries"]
    if not names:
        return
    arrays = benchmark["units"]
    user = slices.clusters(arrays, test_sets)
    values = {row["name"]: _of_queries(arrays, test_sets, row, names) for row in rows}
    for row in rows:
        low, high = statistics.bootstrap_interval(values[row["name"]], user)
        for column, name in enumerate(names):
            row["metrics"][name].update(
                low=float(low[column]), high=float(high[column])
            )
    others = [row for row in rows if row["name"] != reference]
    for row in others:
        pair = values[row["name"]], values[reference]
        found = statistics.paired_difference(*pair, user)
        for column, name in enumerate(names):
            row["metrics"][name]["difference"] = _difference(found, column)
    for column, name in enumerate(names):
        p_values = [
            _p_value(values[row["name"]], values[reference], column, user)
            for row in others
        ]
        for row, p, corrected in zip(others, p_values, statistics.holm(p_values)):
            row["metrics"][name].update(p=p, p_holm=corrected)


def _of_queries(arrays, test_sets, row, names):
    """Return metrics of queries, mean over seeds, float64 ``[n_queries, n_metrics]``.

    The queries of several test sets are concatenated; for a test set on which the row
    failed, they are NaN.
    """
    columns = [
        np.concatenate([slices.values_of(arrays, n, row, name) for n in test_sets])
        for name in names
    ]
    return np.stack(columns, axis=1)


def _difference(found, column):
    figures = {name: float(values[column]) for name, values in vars(found).items()}
    if np.isnan(figures["mean"]):  # no query that both rows have
        return None
    # json has no NaN: a reference of 0
    return {
        name: figure if np.isfinite(figure) else None
        for name, figure in figures.items()
    }


def _p_value(values, reference, column, user):
    own, other = values[:, column], reference[:, column]
    both = ~np.isnan(own) & ~np.isnan(other)
    return statistics.paired_t_test(own[both], other[both], user[both])


def _unit_arrays(number, test_set, ranks):
    arrays = {f"{number}/{name}": array for name, array in test_set.arrays.items()}
    texts = json.dumps(test_set.arrays["texts"]).encode()
    arrays[f"{number}/texts"] = np.frombuffer(texts, dtype=np.uint8)
    for (row, seed), (rank, top) in ranks.items():
        arrays[f"{number}/rank/{row}/{seed}"] = rank
        arrays[f"{number}/top/{row}/{seed}"] = top
    return arrays


# --------------------------------------------------------------------------- files


def write(folder: Path, benchmark: dict[str, Any]) -> None:
    """Write ``benchmark.json .csv .md .tex``, two more csv, and ``units.npz``.

    Args:
        folder (Path): The output folder.
        benchmark (dict): From :func:`assemble`.
    """
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **benchmark["units"])
    content = {name: benchmark[name] for name in benchmark if name != "units"}
    as_json = json.dumps(content, indent=1, default=plain)
    _replace(folder / "units.npz", arrays.getvalue())
    for name, text in formats.files(benchmark).items():
        _replace(folder / name, text.encode())
    _replace(folder / "benchmark.json", f"{as_json}\n".encode())


def _replace(path, content):
    with whole_file(path) as file:
        file.write_bytes(content)
