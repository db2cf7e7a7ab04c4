"""The results: everything as json, the ranks as npz, tables as csv, Markdown and LaTeX.

``benchmark.json``::

    dataset, command, created, versions     what was run, when, with which packages
    composed_requests                       the template, if requests are composed from
                                            attributes of the target; else null
    request_kind                            review, tag, … as stated by the dataset, or
                                            null
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
        seeds, queries, positives, items}]  counts
    rows: [{                                best first; failed rows last
        name, model, inputs: [str],         null: not stated
        settings, tuned,                    from the yaml; chosen by --tune
        errors: {seed: str},                failed runs
        metrics: {name: {
            mean, deviation,                over seeds; deviation null for one seed
            low, high,                      95 % bootstrap interval over queries or null
            p, p_holm}},                    against the reference; null for itself
        cost: {train_seconds, prepare_seconds, encode_seconds, evaluate_seconds,
               parameters, peak_memory_mb, (peak_gpu_memory_mb)},  means over seeds
        runs: {seed: {test_result, best_valid_result, seconds, parameters,
                      peak_memory_mb, eval_step,
                      valid_curve: [{seconds, (metric): value}]}}}]
                                            one point every eval_step epochs
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

import csv
import io
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from recbole.evaluator.register import smaller_metrics

from recbole_whisperlite.benchmark import examples, statistics
from recbole_whisperlite.benchmark.inputs import inputs, told as told_inputs
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.rank_file import read_ranks
from recbole_whisperlite.evaluation.result_file import versions
from recbole_whisperlite.files import plain, whole_file

if TYPE_CHECKING:
    from recbole_whisperlite.benchmark.fingerprints import TestSet
    from recbole_whisperlite.benchmark.plan import Plan
    from recbole_whisperlite.benchmark.runner import Outcome

ALPHA = 0.05
SIGNIFICANCE = (
    "Two-sided paired t-test over queries (metrics averaged over seeds first) against "
    "the reference, Holm-corrected over the rows of each metric; 95 % percentile "
    f"bootstrap intervals over queries, {statistics.RESAMPLES} resamples."
)
COSTS = ("prepare", "encode", "train", "evaluate")
NO_REQUESTS = (
    "It has no requests, so each family is evaluated as in RecBole: general models "
    "once per user, sequential models once per interaction and without excluding seen "
    "items. Only rows of the same family can be compared, and there are no "
    "significance tests."
)
REVIEWS = (
    "Requests are reviews of the chosen item, written after it was chosen: they may "
    "name it."
)


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
    rows = [_row(row, outcomes, tuned) for row in plan.rows]
    results = [outcome.result for outcome in outcomes if outcome.result]
    benchmark = {
        "dataset": plan.dataset,
        "command": plan.command,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": results[0]["versions"] if results else versions(),
        "composed_requests": results[0]["composed_requests"] if results else None,
        "request_kind": results[0].get("request_kind") if results else None,
        "seeds": plan.seeds,
        "metrics": [],
        "main_metric": None,
        "smaller_is_better": [],
        "metrics_of_queries": [],
        "reference": None,
        "significance": SIGNIFICANCE,
        "tuning": tuning or {},
        "dataset_folder": None,
        "test_sets": [
            {
                "fingerprint": test_set.fingerprint,
                "valid_fingerprint": test_set.valid_fingerprint,
                "seeds": test_set.seeds,
                "queries": len(test_set.arrays["user"]),
                "positives": len(test_set.arrays["positive_unit"]),
                "items": len(test_set.arrays["tokens"]) - 1,
            }
            for test_set in test_sets
        ],
        "rows": rows,
        "examples": [],
        "items": {},
        "units": {},
    }
    if not results:
        return benchmark
    _add_metrics(benchmark, results)
    ranks = [_ranks(test_set) for test_set in test_sets]
    _add_statistics(benchmark, plan, test_sets, ranks)
    if not test_sets:
        return benchmark
    for number, test_set in enumerate(test_sets):
        benchmark["units"].update(_unit_arrays(number, test_set, ranks[number]))
    benchmark.update(examples.sample(test_sets[0], ranks[0], results[0]["settings"]))
    if any(item["image"] for item in benchmark["items"].values()):
        # relative if possible, so that the project can be moved as a whole
        folder = Path(results[0]["settings"]["data_path"]).absolute()
        here = Path.cwd()
        inside = folder.is_relative_to(here)
        folder = folder.relative_to(here) if inside else folder
        benchmark["dataset_folder"] = str(folder)
    return benchmark


def _row(row, outcomes, tuned):
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
        "errors": {str(o.job.seed): o.error for o in of_row if o.error},
        "metrics": {},
        "cost": {name: float(np.mean(figures)) for name, figures in cost.items()},
        "runs": {
            seed: {
                **{name: result[name] for name in kept},
                "eval_step": result["settings"]["eval_step"],
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


def _add_statistics(benchmark, plan, test_sets, ranks):
    """Fill in ``metrics`` of the rows, choose the reference, sort the rows."""
    rows = [row for row in benchmark["rows"] if row["runs"]]
    for row in rows:
        for name in benchmark["metrics"]:
            figures = [run["test_result"][name] for run in row["runs"].values()]
            mean, deviation = statistics.over_seeds(figures)
            row["metrics"][name] = {
                "mean": mean,
                "deviation": deviation,
                **dict.fromkeys(("low", "high", "p", "p_holm")),
            }
    main = benchmark["main_metric"]
    sign = 1 if main in benchmark["smaller_is_better"] else -1
    rows.sort(key=lambda row: sign * row["metrics"][main]["mean"])
    benchmark["rows"] = rows + [row for row in benchmark["rows"] if not row["runs"]]
    named = [row["name"] for row in rows]
    reference = plan.reference if plan.reference in named else named[0]
    benchmark["reference"] = reference

    if not test_sets:
        benchmark["metrics_of_queries"] = []
        return
    names = benchmark["metrics_of_queries"]
    values = {row["name"]: _of_queries(row, names, test_sets, ranks) for row in rows}
    intervals = statistics.bootstrap_interval(
        np.concatenate([*values.values()], axis=1)
    )
    low, high = intervals.reshape(2, len(rows), len(names))
    for number, row in enumerate(rows):
        for column, name in enumerate(names):
            row["metrics"][name].update(
                low=float(low[number, column]), high=float(high[number, column])
            )
    others = [row for row in rows if row["name"] != reference]
    for column, name in enumerate(names):
        p_values = [_p_value(values, row["name"], reference, column) for row in others]
        for row, p, corrected in zip(others, p_values, statistics.holm(p_values)):
            row["metrics"][name].update(p=p, p_holm=corrected)


def _of_queries(row, names, test_sets, ranks):
    """Return metrics of queries, mean over seeds, float64 ``[n_queries, n_metrics]``.

    The queries of several test sets are concatenated; for a test set on which the row
    failed, they are NaN.
    """
    parts = []
    for test_set, of_test_set in zip(test_sets, ranks):
        query = test_set.arrays["positive_unit"]
        n_queries = len(test_set.arrays["user"])
        runs = [
            rank for (name, _), (rank, _) in of_test_set.items() if name == row["name"]
        ]
        values = np.full((n_queries, len(names)), np.nan)
        for column, name in enumerate(names):
            metric, k = statistics.split_name(name)
            each = [
                statistics.metric_of_queries(metric, query, rank, n_queries, k)
                for rank in runs
            ]
            if each:
                values[:, column] = np.mean(each, axis=0)
        parts.append(values)
    return np.concatenate(parts)


def _p_value(values, name, reference, column):
    own, other = values[name][:, column], values[reference][:, column]
    both = ~np.isnan(own) & ~np.isnan(other)
    return statistics.paired_t_test(own[both], other[both])


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
    """Write ``benchmark.json .csv .md .tex`` and ``units.npz``.

    Args:
        folder (Path): The output folder.
        benchmark (dict): From :func:`assemble`.
    """
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **benchmark["units"])
    content = {name: benchmark[name] for name in benchmark if name != "units"}
    as_json = json.dumps(content, indent=1, default=plain)
    _replace(folder / "units.npz", arrays.getvalue())
    _replace(folder / "benchmark.csv", as_csv(benchmark).encode())
    _replace(folder / "benchmark.md", as_markdown(benchmark).encode())
    _replace(folder / "benchmark.tex", as_latex(benchmark).encode())
    _replace(folder / "benchmark.json", f"{as_json}\n".encode())


def _replace(path, content):
    with whole_file(path) as file:
        file.write_bytes(content)


def as_csv(benchmark: dict[str, Any]) -> str:
    """Return csv (RFC 4180) with a line per row and seed, and all metrics and costs."""
    names = benchmark["metrics"]
    out = io.StringIO()
    writer = csv.writer(out)
    costs = ["train_seconds", "parameters", "peak_memory_mb"]
    writer.writerow(["name", "model", "inputs", "seed", *names, *costs, "error"])
    for row in benchmark["rows"]:
        about = [row["name"], row["model"], told_inputs(row["inputs"])]
        for seed, run in row["runs"].items():
            figures = [run["test_result"][name] for name in names]
            spent = [run["seconds"]["train"], run["parameters"], run["peak_memory_mb"]]
            writer.writerow([*about, seed, *figures, *spent, ""])
        for seed, error in row["errors"].items():
            writer.writerow([*about, seed, *[""] * (len(names) + 3), error])
    return out.getvalue()


def best_and_second(benchmark: dict[str, Any], name: str) -> tuple[set[str], set[str]]:
    """Return the names of the rows with the best and the second best mean of a metric.

    Args:
        benchmark (dict): From :func:`assemble`.
        name (str): A metric.

    Returns:
        tuple: Two sets of row names; rows with equal means are in the same set.
    """
    means = {
        r["name"]: r["metrics"][name]["mean"] for r in benchmark["rows"] if r["runs"]
    }
    ordered = sorted(
        set(means.values()), reverse=name not in benchmark["smaller_is_better"]
    )
    return tuple(
        {row for row in means if index < len(ordered) and means[row] == ordered[index]}
        for index in (0, 1)
    )


def shown_name(name: str) -> str:
    """Return the name of a metric as papers write it: ``NDCG@10`` for ``ndcg@10``."""
    metric, k = statistics.split_name(name)
    upper = {"ndcg": "NDCG", "mrr": "MRR", "map": "MAP"}
    words = metric.replace("_", " ").capitalize()
    return upper.get(metric, words) + (f"@{k}" if k else "")


def _shown(benchmark):
    """Return the metrics that fit on a page: those at the main metric's k."""
    k = statistics.split_name(benchmark["main_metric"] or "")[1]
    return [n for n in benchmark["metrics"] if statistics.split_name(n)[1] in (k, None)]


def _figure(row, name, plus_minus):
    cell = row["metrics"][name]
    text = f"{cell['mean']:.4f}"
    if cell["deviation"] is not None:
        text += f"{plus_minus}{cell['deviation']:.4f}"
    return text


def differs(row: dict[str, Any], name: str) -> bool:
    """Return whether a row differs significantly from the reference in a metric."""
    p = row["metrics"][name]["p_holm"]
    return p is not None and p < ALPHA


def notes(benchmark: dict[str, Any]) -> list[str]:
    """Return the notes below a table, a list of sentences."""
    told = []
    for test_set in benchmark["test_sets"]:
        told.append(
            f"Dataset {benchmark['dataset']}: {test_set['queries']} test queries, "
            f"{test_set['items']} items, fingerprint {test_set['fingerprint']}, "
            f"seeds {', '.join(map(str, test_set['seeds']))}."
        )
    if not benchmark["test_sets"]:
        told.append(f"Dataset {benchmark['dataset']}. {NO_REQUESTS}")
    if benchmark["composed_requests"]:
        told.append(
            "Requests are composed from attributes of the chosen item "
            f"({benchmark['composed_requests']}), so they reveal attributes of the "
            "target."
        )
    if benchmark.get("request_kind") == "review":
        told.append(REVIEWS)
    if len(benchmark["seeds"]) > 1:
        told.append("Mean ± standard deviation over seeds.")
    if benchmark.get("tuning"):
        told.append(_tuning(benchmark))
    if benchmark["reference"] and benchmark["test_sets"]:
        told.append(
            f"* differs from {benchmark['reference']} with p < {ALPHA}. "
            f"{benchmark['significance']}"
        )
    if any(row["inputs"] is None for row in benchmark["rows"]):
        told.append("Inputs not stated: the model's class has no attribute inputs.")
    return told


def _tuning(benchmark):
    """Return how many trials each row had; rows that had the same are told together."""
    alike = {}
    for row in benchmark["rows"]:
        of_row = benchmark["tuning"].get(row["name"])
        if of_row is None:
            how = "none, as there are no ranges"
        else:
            how = f"{of_row['trials']} trials"
            how += ", all combinations" if of_row["all"] else ""
            how += f", {of_row['failed']} failed" if of_row["failed"] else ""
            if of_row["users"] < 1:
                how += f", on {of_row['users']:.0%} of the users"
        alike.setdefault(how, []).append(row["name"])
    told = "; ".join(f"{how} ({', '.join(names)})" for how, names in alike.items())
    return f"Tuning on validation: {told}."


def as_markdown(benchmark: dict[str, Any]) -> str:
    """Return a GitHub table: best bold, second best underlined, * significant."""
    names = _shown(benchmark)
    marks = {name: best_and_second(benchmark, name) for name in names}
    head = ["model", "inputs", *names, "training s"]
    lines = [head, ["---", "---"] + ["---:"] * (len(names) + 1)]
    for row in benchmark["rows"]:
        cells = [row["name"], told_inputs(row["inputs"])]
        for name in names if row["runs"] else ():
            cell = _figure(row, name, " ± ")
            if row["name"] in marks[name][0]:
                cell = f"**{cell}**"
            elif row["name"] in marks[name][1]:
                cell = f"<u>{cell}</u>"
            cells.append(cell + r"\*" * differs(row, name))
        if row["runs"]:
            cells.append(f"{row['cost']['train_seconds']:.1f}")
        else:
            cells += ["failed", *[""] * len(names)]
        lines.append(cells)
    table = "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |"
        for line in lines
    )
    errors = "".join(
        f"- {row['name']}, seed {seed}, failed: {error}\n"
        for row in benchmark["rows"]
        for seed, error in row["errors"].items()
    )
    told = " ".join(notes(benchmark)).replace("* differs", r"\* differs")
    return f"{table}\n\n{told}\n" + (f"\n{errors}" if errors else "")


def as_latex(benchmark: dict[str, Any]) -> str:
    """Return a booktabs table: best bold, second best underlined, * significant."""
    names = _shown(benchmark)
    marks = {name: best_and_second(benchmark, name) for name in names}
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_tex(' '.join(notes(benchmark)))}}}",
        f"\\begin{{tabular}}{{ll{'r' * max(len(names), 1)}}}",
        "\\toprule",
        " & ".join(["Model", "Inputs", *(_tex(shown_name(n)) for n in names)])
        + " \\\\",
        "\\midrule",
    ]
    for row in benchmark["rows"]:
        cells = [_tex(row["name"]), _tex(told_inputs(row["inputs"]))]
        for name in names if row["runs"] else ():
            cell = _figure(row, name, " $\\pm$ ")
            if row["name"] in marks[name][0]:
                cell = f"\\textbf{{{cell}}}"
            elif row["name"] in marks[name][1]:
                cell = f"\\underline{{{cell}}}"
            cells.append(cell + "$^{*}$" * differs(row, name))
        if not row["runs"]:
            cells.append(f"\\multicolumn{{{max(len(names), 1)}}}{{l}}{{failed}}")
        lines.append(" & ".join(cells) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


_TEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "<": "$<$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _tex(text):
    return "".join(_TEX.get(sign, sign) for sign in text)
