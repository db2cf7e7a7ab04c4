"""The report of a study: ``report.html``, ``answers.csv``, and tables in Markdown."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from markupsafe import Markup

from recbole_whisperlite.benchmark.notes import ALPHA
from recbole_whisperlite.benchmark.report.styles import styles
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import check_folder, whole_file
from recbole_whisperlite.serve.study import analysis, answers, templates
from recbole_whisperlite.serve.study.analysis import Checked, Findings
from recbole_whisperlite.serve.study.answers import Judged
from recbole_whisperlite.serve.study.plan import Key, Plan, read_key, read_plan

ANSWERS_CSV = "answers.csv"
_COLUMNS = (
    *("time", "rater", "excluded", "page", "place", "kind", "request", "user", "k"),
    *("models", "item", "value", "label", "expected"),
)
#: What holds for every report.
NOTES = (
    "Means are over requests: of each request the mean over raters, of each rater the "
    "mean over the products of the list.",
    "[low, high]: 95 % interval over requests by Student's t, as the test (requests of one "
    "user are taken together, where the file names users). It holds for requests like "
    "those of the file and for these raters: that others might judge otherwise is not in "
    "it.",
    "p: paired t-test over requests, of raters who judged both lists, corrected by Holm "
    "over all pairs of models and all k.",
    "alpha: Krippendorff's, for ordinal values; a unit is one product of one list. 1 is "
    "agreement, 0 what chance makes.",
)


def write(folder: str | Path, output: str | Path | None = None) -> str:
    """Write the page, and the raw answers as csv beside it.

    Args:
        folder (str or Path): The study.
        output (str or Path, optional): The page; by default ``report.html`` in it.

    Returns:
        str: The tables in Markdown.

    Raises:
        UserError: If there is no such study, it is damaged, nobody has answered yet, or
            the page cannot be written.
    """
    plan = read_plan(folder)
    key = read_key(folder, plan)
    output = Path(output) if output else Path(folder, "report.html")
    if output.suffix.lower() not in (".html", ".htm") or output.is_dir():
        raise UserError(f"--output {output}: the report is a page, give an .html file.")
    check_folder(output.parent, "--output")
    said = answers.read(folder, plan)
    if not said:
        raise UserError(
            f"{folder} has no answers yet. Start recbole-whisperlite study serve {folder}, "
            "and give each rater their link."
        )
    checked = analysis.check(plan, said)
    given = analysis.judgements(plan, said)
    everybody = analysis.find(plan, key, given)
    kept = [
        number
        for number, rater in enumerate(checked)
        if rater.n_judged and not rater.is_excluded
    ]
    findings = analysis.find(plan, key, given, kept)
    page = _page(plan, key, findings, everybody, checked)
    with whole_file(output) as file:
        file.write_text(page, "utf-8")
    with whole_file(output.with_name(ANSWERS_CSV)) as file:
        _write_csv(file, plan, key, said, checked)
    return as_markdown(plan, findings, everybody, checked)


def _write_csv(
    path: Path,
    plan: Plan,
    key: Key,
    said: Mapping[tuple[int, int], Judged],
    checked: list[Checked],
):
    """Write a line for each entry that a rater judged: the last answer to each page."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, _COLUMNS, restval="")
        rows.writeheader()
        for (rater, place), judged in sorted(said.items()):
            page = plan.raters[rater].pages[place]
            shown, products = plan.lists[page.shown], iter(page.products)
            about = {
                "time": datetime.fromtimestamp(judged.time, timezone.utc).isoformat(),
                "rater": plan.raters[rater].name,
                "excluded": int(checked[rater].is_excluded),
                "page": place + 1,
                "request": plan.requests[shown.request],
                "user": key.users[shown.request] or "",
                "k": shown.k,
                "models": "; ".join(key.made_by[page.shown]),
            }
            for entry, number in enumerate(judged.options):
                option = plan.scale.options[number]
                row = {
                    **about,
                    "place": entry + 1,
                    "value": f"{option.value:g}",
                    "label": option.label,
                }
                if page.check and entry == page.check.place:
                    expected = plan.scale.options[page.check.option]
                    row.update(kind="check", expected=f"{expected.value:g}")
                else:
                    item = plan.products[next(products)].item
                    row.update(kind="product", item=item)
                rows.writerow(row)


def as_markdown(
    plan: Plan, findings: Findings, everybody: Findings, checked: list[Checked]
) -> str:
    """Return the tables in Markdown, with what must be said below."""
    lines = [f"# {_escaped(plan.scale.title)}", "", *told(plan, findings, checked)]
    for title, found in _versions(findings, everybody):
        if title:
            lines += ["", f"## {title}"]
        lines += ["", *_table_of_means(found)]
        if found.pairs:
            lines += ["", *_table_of_pairs(found)]
        lines += ["", _told_alphas(found)]
    return "\n".join([*lines, "", *(f"- {note}" for note in NOTES), ""])


def _versions(findings, everybody):
    """Return what is shown: without excluded raters, and with them, if there are some."""
    if findings.raters == everybody.raters:
        return [("", findings)]
    versions = [("With all raters", everybody)]
    if findings.raters:
        versions.insert(0, ("Without the excluded raters", findings))
    return versions


def _table_of_means(findings):
    lines = [
        f"| model | {' | '.join(f'k = {k}' for k in findings.ks)} |",
        f"|---|{'---:|' * len(findings.ks)}",
    ]
    for model in findings.models:
        cells = [findings.cells[model, k] for k in findings.ks]
        figures = [f"{number(c.mean)} {interval(c)}".strip() for c in cells]
        lines.append(f"| {_escaped(model)} | {' | '.join(figures)} |")
    return lines


def _table_of_pairs(findings):
    lines = [
        "| k | model | other | difference | p (Holm) | requests |",
        *(["|---:|---|---|---:|---:|---:|"]),
    ]
    for pair in findings.pairs:
        difference = f"{number(pair.mean, '+.2f')} {interval(pair, '+.2f')}".strip()
        lines.append(
            f"| {pair.k} | {_escaped(pair.model)} | {_escaped(pair.other)} | {difference} "
            f"| {number(pair.p_holm, '.2g')} | {pair.n_requests} |"
        )
    return lines


def _told_alphas(findings):
    told_ks = ", ".join(f"k = {k}: {number(findings.alphas[k])}" for k in findings.ks)
    return f"Krippendorff's alpha: {number(findings.alphas[None])} ({told_ks})."


def _escaped(text):
    return " ".join(text.split()).replace("|", r"\|")


def told(plan: Plan, findings: Findings, checked: list[Checked]) -> list[str]:
    """Return sentences on how many raters there are, and who is left out."""
    judging = [rater for rater in checked if rater.n_judged]
    done = sum(rater.n_judged == rater.n_pages for rater in judging)
    n_judged = sum(rater.n_judged for rater in judging)
    lines = [
        f"{_count(len(judging), 'rater')} of {len(checked)} judged "
        f"{_count(n_judged, 'list')} for {_count(len(plan.requests), 'request')}; {done} "
        "judged all of theirs."
    ]
    excluded = [rater for rater in judging if rater.is_excluded]
    n_checks = sum(rater.n_checks for rater in judging)
    if n_checks:
        n_failed = sum(rater.n_failed for rater in judging)
        lines.append(
            f"Of {_count(n_checks, 'attention check')}, {n_failed or 'none'} "
            f"{'was' if n_failed == 1 else 'were'} failed."
        )
    if excluded:
        names = ", ".join(
            f"{rater.name} ({rater.n_failed} of {rater.n_checks})" for rater in excluded
        )
        lines.append(f"Left out, as half of the checks or more were failed: {names}.")
        if not findings.raters:
            lines.append("Nobody is left, so figures are those of all raters.")
    return lines


def summary(findings: Findings) -> list[str]:
    """Return a sentence for each pair of models: for which k they differ."""
    lines = []
    for model, other in dict.fromkeys((p.model, p.other) for p in findings.pairs):
        of_both = [p for p in findings.pairs if (p.model, p.other) == (model, other)]
        above = [p for p in of_both if p.p_holm < ALPHA and p.mean > 0]
        below = [p for p in of_both if p.p_holm < ALPHA and p.mean < 0]
        said = [
            f"{word} {other} for k = {', '.join(str(p.k) for p in differing)}"
            for word, differing in (("above", above), ("below", below))
            if differing
        ]
        if said:
            lines.append(f"{model} is judged {' and '.join(said)}.")
        elif all(math.isnan(p.p) for p in of_both):
            lines.append(f"Too few answers compare {model} with {other}.")
        else:
            lines.append(f"{model} and {other} do not differ significantly.")
    return lines


def number(value: float, form: str = ".2f") -> str:
    """Return a figure, a dash where there is none."""
    return "–" if math.isnan(value) else format(value, form)


def interval(of, form: str = ".2f") -> str:
    """Return the interval of a cell or a pair, nothing where there is none."""
    if math.isnan(of.low):
        return ""
    return f"[{of.low:{form}}, {of.high:{form}}]"


def _count(n, what):
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _page(plan, key, findings, everybody, checked):
    return templates.render(
        "report.html",
        alpha=ALPHA,
        checked=checked,
        interval=interval,
        key=key,
        notes=NOTES,
        number=number,
        plan=plan,
        style=styles([{"name": m.name, "model": m.kind} for m in key.models]),
        stylesheet=Markup(templates.stylesheet("report.css")),
        summary=summary,
        told=told(plan, findings, checked),
        versions=_versions(findings, everybody),
    )
