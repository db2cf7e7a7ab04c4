"""The tables of a benchmark as csv, Markdown and LaTeX, with all that must be said below.

Markdown and LaTeX show the metrics at the main metric's k, and of the main metric the
differences from the reference and the slice by how often the wanted product was chosen
in training.

=====================  =============================================================
file                   what
=====================  =============================================================
``benchmark.md .tex``  the table, differences, the slice, notes
``benchmark.csv``      a line per row and seed: metrics, costs, provenance
``differences.csv``    a line per row and metric of queries: means, differences from the
                       reference, intervals, p values
``slices.csv``         a line per row and slice, of every kind
=====================  =============================================================
"""

from __future__ import annotations

import csv
import io
from typing import Any

from recbole_whisperlite.benchmark import statistics
from recbole_whisperlite.benchmark.inputs import told as told_inputs
from recbole_whisperlite.benchmark.notes import (
    ALPHA,
    notes,
    told_revision,
    told_rows,
)
from recbole_whisperlite.benchmark.slices import CHOSEN

# How the best and the second best figure are shown.
_MARKDOWN_MARKS = "**{}**", "<u>{}</u>"
_LATEX_MARKS = r"\textbf{{{}}}", r"\underline{{{}}}"


def files(benchmark: dict[str, Any]) -> dict[str, str]:
    """Return the files with tables, ``{name: text}``.

    Args:
        benchmark (dict): From :func:`tables.assemble`.
    """
    return {
        "benchmark.csv": as_csv(benchmark),
        "benchmark.md": as_markdown(benchmark),
        "benchmark.tex": as_latex(benchmark),
        "differences.csv": differences_csv(benchmark),
        "slices.csv": slices_csv(benchmark),
    }


# ----------------------------------------------------------------------------- csv


def as_csv(benchmark: dict[str, Any]) -> str:
    """Return csv (RFC 4180) with a line per row and seed, and all metrics and costs."""
    names = benchmark["metrics"]
    costs = ["train_seconds", "parameters", "peak_memory_mb"]
    about = ["version", "revision", "trials", "note"]
    lines = [["name", "model", "inputs", "seed", *names, *costs, *about, "error"]]
    for row in benchmark["rows"]:
        first = [row["name"], row["model"], told_inputs(row["inputs"])]
        last = [row["trials"], row["note"] or ""]
        for seed, run in row["runs"].items():
            figures = [run["test_result"][name] for name in names]
            spent = [run["seconds"]["train"], run["parameters"], run["peak_memory_mb"]]
            source = [run["version"], told_revision(run["revision"])]
            lines.append([*first, seed, *figures, *spent, *source, *last, ""])
        for seed, error in row["errors"].items():
            blank = [""] * (len(names) + len(costs) + 2)
            lines.append([*first, seed, *blank, *last, error])
    return _csv(lines)


def differences_csv(benchmark: dict[str, Any]) -> str:
    """Return csv with a line per row and metric of queries: effect sizes and p values."""
    parts = "mean low high relative relative_low relative_high".split()
    shown = ["difference", *(f"difference_{part}" for part in parts[1:3]), *parts[3:]]
    lines = [["name", "metric", "mean", "low", "high", *shown, "p", "p_holm"]]
    for row in benchmark["rows"]:
        for name in benchmark["metrics_of_queries"] if row["runs"] else ():
            cell = row["metrics"][name]
            gap = cell["difference"] or dict.fromkeys(parts)
            figures = [cell["mean"], cell["low"], cell["high"]]
            figures += [gap[part] for part in parts] + [cell["p"], cell["p_holm"]]
            told = ["" if figure is None else figure for figure in figures]
            lines.append([row["name"], name, *told])
    return _csv(lines)


def slices_csv(benchmark: dict[str, Any]) -> str:
    """Return csv with a line per row and slice."""
    head = "name metric kind slice queries positives mean low high"
    lines = [head.split()]
    for kind, parts in benchmark["slices"]["kinds"].items():
        for part in parts:
            about = [part["label"], part["queries"], part["positives"]]
            for name in part["means"]:
                figures = [part[key][name] for key in ("means", "low", "high")]
                told = ["" if figure is None else figure for figure in figures]
                metric = benchmark["slices"]["metric"]
                lines.append([name, metric, kind, *about, *told])
    return _csv(lines)


def _csv(lines):
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue()


# --------------------------------------------------------------------- what is marked


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
    return _first_two(means, name in benchmark["smaller_is_better"])


def _first_two(means, smaller_is_better):
    ordered = sorted(set(means.values()), reverse=not smaller_is_better)
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


def differs(row: dict[str, Any], name: str) -> bool:
    """Return whether a row differs significantly from the reference in a metric."""
    p = row["metrics"][name]["p_holm"]
    return p is not None and p < ALPHA


# --------------------------------------------------------------- Markdown and LaTeX


def _figure(row, name, plus_minus):
    cell = row["metrics"][name]
    text = f"{cell['mean']:.4f}"
    if cell["deviation"] is not None:
        text += f"{plus_minus}{cell['deviation']:.4f}"
    return text


def _has_trials(benchmark):
    return any(row["trials"] for row in benchmark["rows"])


def _gaps(benchmark, minus, percent):
    """Return the cells of the table of differences in the main metric, or no lines."""
    main, lines = benchmark["main_metric"], []
    for row in benchmark["rows"]:
        cell = row["metrics"].get(main, {})
        gap = cell.get("difference")
        if gap is None:
            continue
        relative = gap["relative"]
        cells = [
            row["name"],
            f"{gap['mean']:+.4f}",
            f"[{gap['low']:+.4f}, {gap['high']:+.4f}]",
            "" if relative is None else f"{100 * relative:+.1f} {percent}",
            _p(cell["p_holm"]),
        ]
        lines.append([cells[0], *(text.replace("-", minus) for text in cells[1:])])
    return lines


def _p(p):
    return f"{p:.3f}" if p >= 0.001 else "< .001"


def _chosen(benchmark, best, second):
    """Return head and lines of the slice by training count; None if there is none."""
    parts = benchmark["slices"]["kinds"].get(CHOSEN.name)
    if not parts:
        return None
    head = [(part["label"], f"{part['positives']:,}") for part in parts]
    smaller = benchmark["slices"]["metric"] in benchmark["smaller_is_better"]
    marks = []
    for part in parts:
        known = {n: mean for n, mean in part["means"].items() if mean is not None}
        marks.append(_first_two(known, smaller))
    lines = []
    for row in benchmark["rows"]:
        if not row["runs"]:
            continue
        cells = [row["name"]]
        for part, mark in zip(parts, marks):
            mean = part["means"][row["name"]]
            text = "–" if mean is None else f"{mean:.4f}"
            cells.append(_marked(text, row, mark, best, second))
        lines.append(cells)
    return head, lines


def _marked(text, row, first_and_second, best, second):
    """Return the text of a cell, in the format of the best or the second best if it is."""
    for names, form in zip(first_and_second, (best, second)):
        if row["name"] in names:
            return form.format(text)
    return text


def as_markdown(benchmark: dict[str, Any]) -> str:
    """Return GitHub tables: best bold, second best underlined, * significant."""
    names = _shown(benchmark)
    marks = {name: best_and_second(benchmark, name) for name in names}
    trials = ["trials"] * _has_trials(benchmark)
    head = ["model", "inputs", *names, *trials, "training s"]
    lines = []
    for row in benchmark["rows"]:
        cells = [row["name"], told_inputs(row["inputs"])]
        for name in names if row["runs"] else ():
            figure = _figure(row, name, " ± ")
            cell = _marked(figure, row, marks[name], *_MARKDOWN_MARKS)
            cells.append(cell + r"\*" * differs(row, name))
        if row["runs"]:
            cells += [str(row["trials"])] * len(trials)
            cells.append(f"{row['cost']['train_seconds']:.1f}")
        else:
            cells += ["failed", *[""] * (len(names) + len(trials))]
        lines.append(cells)
    told = " ".join(notes(benchmark)).replace("* differs", r"\* differs")
    parts = [_markdown(head, lines, 2), told]
    parts.append("\n".join(f"- {line}" for line in told_rows(benchmark)))
    gaps = _gaps(benchmark, "−", "%")
    if gaps:
        main, reference = benchmark["main_metric"], benchmark["reference"]
        parts.append(f"### Difference from {reference} in {main}")
        parts.append(
            _markdown(
                ["model", "difference", "95 % interval", "relative", "p"], gaps, 1
            )
        )
    chosen = _chosen(benchmark, *_MARKDOWN_MARKS)
    if chosen:
        head = ["model", *(f"{label} (n = {n})" for label, n in chosen[0])]
        parts.append(f"### {benchmark['slices']['metric']} by {CHOSEN.axis}")
        parts.append(_markdown(head, chosen[1], 1))
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown(head, lines, n_left):
    rule = ["---"] * n_left + ["---:"] * (len(head) - n_left)
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |"
        for line in [head, rule, *lines]
    )


def as_latex(benchmark: dict[str, Any]) -> str:
    """Return booktabs tables: best bold, second best underlined, * significant."""
    names = _shown(benchmark)
    marks = {name: best_and_second(benchmark, name) for name in names}
    trials = ["Trials"] * _has_trials(benchmark)
    head = ["Model", "Inputs", *(_tex(shown_name(n)) for n in names), *trials]
    lines = []
    for row in benchmark["rows"]:
        cells = [_tex(row["name"]), _tex(told_inputs(row["inputs"]))]
        for name in names if row["runs"] else ():
            figure = _figure(row, name, " $\\pm$ ")
            cell = _marked(figure, row, marks[name], *_LATEX_MARKS)
            cells.append(cell + "$^{*}$" * differs(row, name))
        if row["runs"]:
            cells += [str(row["trials"])] * len(trials)
        else:
            width = max(len(names) + len(trials), 1)
            cells.append(f"\\multicolumn{{{width}}}{{l}}{{failed}}")
        lines.append(cells)
    caption = _tex(" ".join([*notes(benchmark), *map(_sentence, told_rows(benchmark))]))
    parts = ["% \\usepackage{booktabs}", _latex(caption, head, lines, 2)]
    main = benchmark["main_metric"]
    gaps = _gaps(benchmark, "$-$", r"\%")
    if gaps:
        reference = _tex(benchmark["reference"])
        caption = f"Difference from {reference} in {_tex(shown_name(main))}."
        head = ["Model", "Difference", r"95 \% interval", "Relative", "$p$ (Holm)"]
        lines = [[_tex(name), *cells[:-1], _tex(cells[-1])] for name, *cells in gaps]
        parts.append(_latex(caption, head, lines, 1))
    chosen = _chosen(benchmark, *_LATEX_MARKS)
    if chosen:
        metric = _tex(shown_name(benchmark["slices"]["metric"]))
        head = [_range(label) + f" ($n = {n}$)" for label, n in chosen[0]]
        lines = [[_tex(name), *cells] for name, *cells in chosen[1]]
        caption = f"{metric} by {CHOSEN.axis}."
        parts.append(_latex(caption, ["Model", *head], lines, 1))
    return "\n".join(parts)


def _range(label):
    return label.replace("–", "--")


def _sentence(line):
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _latex(caption, head, lines, n_left):
    columns = "l" * n_left + "r" * max(len(head) - n_left, 1)
    content = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{caption}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        " & ".join(head) + " \\\\",
        "\\midrule",
        *(" & ".join(line) + " \\\\" for line in lines),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(content) + "\n"


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
