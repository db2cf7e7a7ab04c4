"""What must be said below a table: data, statistics, source, and of single rows."""

from __future__ import annotations

from typing import Any

ALPHA = 0.05
SLICED = (
    "By how often the wanted product was chosen in training: each positive counts in the "
    "slice of its own product, as if it were its query's only one; n positives."
)
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
KNOWN = {
    "before_request": (
        "At test, all interactions of the user before the request are known, those of "
        "validation included."
    ),
    "train": "At test, the user's interactions of the training part alone are known.",
}


def told_revision(revision: dict[str, Any] | None) -> str:
    """Return a revision as text: seven digits, ``+`` if files differed from it."""
    if revision is None:
        return "unknown"
    return revision["commit"][:7] + "+" * revision["dirty"]


def sources(benchmark: dict[str, Any]) -> dict[str, list[str]]:
    """Return which rows were run with which source.

    Args:
        benchmark (dict): ``benchmark.json``.

    Returns:
        dict: ``{version and revision as text: row names}``; several if the rows do not
        come from one revision, and none if no run recorded it.
    """
    found = {}
    for row in benchmark["rows"]:
        for run in row["runs"].values():
            if "version" in run:
                told = f"{run['version']}, revision {told_revision(run['revision'])}"
                of_source = found.setdefault(told, [])
                of_source.extend({row["name"]} - {*of_source})
    return found


def told_sources(benchmark: dict[str, Any]) -> str | None:
    """Return a sentence on version and revision of the rows; None if nothing is known."""
    found = sources(benchmark)
    if not found:
        return None
    if len(found) == 1:
        told = f"All rows: version {next(iter(found))}."
    else:
        each = (f"version {told} ({', '.join(names)})" for told, names in found.items())
        told = f"The rows are not of one revision: {'; '.join(each)}."
    if any(source.endswith("+") for source in found):
        told += " A plus sign: with changes that were not committed."
    return told


def told_rows(benchmark: dict[str, Any]) -> list[str]:
    """Return what must be said of single rows: fewer seeds, notes, failed runs."""
    told = []
    for row in benchmark["rows"]:
        name, seeds = row["name"], list(row["runs"])
        fewer = row["runs"] and len(seeds) + len(row["errors"]) < len(
            benchmark["seeds"]
        )
        parts = [f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)} only."] * bool(fewer)
        parts += [row["note"].strip()] if row.get("note") else []
        if parts:
            told.append(f"{name}: {' '.join(parts)}")
        for seed, error in row["errors"].items():
            told.append(f"{name}, seed {seed}, failed: {error}")
    return told


def told_protocol(benchmark: dict[str, Any]) -> list[str]:
    """Return what is particular to the evaluation: what is known of users, new products,
    folds. Tables of version 0.1 do not say what is known."""
    told = []
    if benchmark.get("known_at_test") in KNOWN:
        told.append(KNOWN[benchmark["known_at_test"]])
    if benchmark.get("new_items"):
        told.append(
            f"{benchmark['new_items']:.3g} of the items, drawn by seed, are in no "
            "training part (new_items)."
        )
    if (benchmark.get("folds") or 1) > 1:
        told.append(
            f"Rolling evaluation in {benchmark['folds']} folds: each seed tests another "
            "stretch of the requests (folds)."
        )
    return told


def told_tuning(benchmark: dict[str, Any]) -> str | None:
    """Return how many trials each row had, rows that had the same told together; None if
    there was no tuning."""
    if not benchmark.get("tuning"):
        return None
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
    told += told_protocol(benchmark)
    if len(benchmark["seeds"]) > 1:
        told.append("Mean ± standard deviation over seeds.")
    if told_tuning(benchmark):
        told.append(told_tuning(benchmark))
    if benchmark["reference"] and benchmark["test_sets"]:
        told.append(
            f"* differs from {benchmark['reference']} with p < {ALPHA}. "
            f"{benchmark['significance']}"
        )
    if benchmark["reference"] and benchmark["slices"]["kinds"]:
        told.append(SLICED)
    if told_sources(benchmark):
        told.append(told_sources(benchmark))
    if any(row["inputs"] is None for row in benchmark["rows"]):
        told.append("Inputs not stated: the model's class has no attribute inputs.")
    return told
