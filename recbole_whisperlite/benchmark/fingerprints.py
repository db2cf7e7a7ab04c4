"""One test set per table: runs with a different one are refused, with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.rank_file import read_ranks

if TYPE_CHECKING:
    from recbole_whisperlite.benchmark.runner import Outcome

#: Settings that affect the test set, and so are the likely reason for a difference.
SETTINGS = (
    "dataset data_path benchmark_filename eval_args known_at_test topk seed "
    "request_template "
    "USER_ID_FIELD ITEM_ID_FIELD TIME_FIELD REQUEST_ID_FIELD REQUEST_FIELD "
    "load_col unload_col user_inter_num_interval item_inter_num_interval val_interval "
    "filter_inter_by_user_or_item rm_dup_inter threshold field_separator"
).split()


@dataclass(frozen=True)
class TestSet:
    """A test set, shared by all models and by one or several seeds.

    Attributes:
        fingerprint (str): Fingerprint of the test phase.
        valid_fingerprint (str): Fingerprint of the validation phase.
        seeds (list of int): The seeds with this test set. With splits by time and full
            ranking all seeds share one; with random splits or sampled candidates each
            seed has its own.
        outcomes (dict): ``{(row name, seed): Outcome}`` of the runs that succeeded.
        arrays (dict): The part of the rank files that does not depend on the model: all
            arrays of :mod:`recbole_whisperlite.evaluation.rank_file` except ``rank``
            and ``top``.
    """

    fingerprint: str
    valid_fingerprint: str
    seeds: list[int]
    outcomes: dict[tuple[str, int], Outcome]
    arrays: dict[str, Any]


def same_test_set(outcomes: list[Outcome]) -> list[TestSet]:
    """Group runs by test set, after checking that no seed has two of them.

    Args:
        outcomes (list of Outcome): All runs; failed ones are left out.

    Returns:
        list of TestSet: In the order of the seeds; empty if the dataset has no
        requests.

    Raises:
        UserError: If two models had different test sets with the same seed; it names
            the runs that differ from the majority, and the differences.
    """
    good = [outcome for outcome in outcomes if outcome.error is None]
    if not any(outcome.job.units for outcome in good):
        return []
    by_test_set = {}
    for seed in dict.fromkeys(outcome.job.seed for outcome in good):
        of_seed = [outcome for outcome in good if outcome.job.seed == seed]
        marks = [_marks(outcome) for outcome in of_seed]
        usual = Counter(marks).most_common(1)[0][0]
        differing = [o for o, mark in zip(of_seed, marks) if mark != usual]
        if differing:
            other = of_seed[marks.index(usual)]
            told = "\n".join(f"  {o.job}: {difference(o, other)}" for o in differing)
            raise UserError(
                "Not all models had the same test set, so no table is written. These "
                f"runs differ from {other.job} (fingerprints {_told(usual)}):\n{told}\n"
                "Use the same data and evaluation settings for all models."
            )
        by_test_set.setdefault(usual, []).extend(of_seed)
    return [_test_set(mark, members) for mark, members in by_test_set.items()]


def _marks(outcome):
    fingerprint = outcome.result["fingerprint"]
    return fingerprint.get("valid"), fingerprint.get("test")


def _told(marks):
    return f"valid {marks[0]}, test {marks[1]}"


def _test_set(marks, outcomes):
    arrays = read_ranks(outcomes[0].unit_file)
    arrays = {name: arrays[name] for name in arrays if name not in ("rank", "top")}
    return TestSet(
        fingerprint=marks[1],
        valid_fingerprint=marks[0],
        seeds=list(dict.fromkeys(outcome.job.seed for outcome in outcomes)),
        outcomes={(o.job.row.name, o.job.seed): o for o in outcomes},
        arrays=arrays,
    )


def difference(outcome: Outcome, other: Outcome) -> str:
    """Describe how the test set of ``outcome`` differs from that of ``other``.

    Args:
        outcome, other (Outcome): Two runs with different fingerprints.

    Returns:
        str: The fingerprints, the numbers of missing and extra queries, positives and
        items, and the settings that differ.
    """
    parts = [f"fingerprints {_told(_marks(outcome))}"]
    mine, theirs = (read_ranks(one.unit_file) for one in (outcome, other))
    for name, of in (
        ("test queries", _query_set),
        ("positives", _positive_set),
        ("items of the catalogue", _item_set),
    ):
        missing, more = len(of(theirs) - of(mine)), len(of(mine) - of(theirs))
        if missing or more:
            parts.append(f"{missing} {name} are missing and {more} are extra")
    for name in SETTINGS:
        own, usual = (one.result["settings"].get(name) for one in (outcome, other))
        if own != usual:
            parts.append(f"{name} is {own}, not {usual}")
    return "; ".join(parts)


def _query_set(arrays):
    return set(zip(arrays["user"].tolist(), arrays["request"].tolist()))


def _positive_set(arrays):
    query = arrays["positive_unit"]
    return set(
        zip(
            arrays["user"][query].tolist(),
            arrays["request"][query].tolist(),
            arrays["tokens"][arrays["positive_item"]].tolist(),
        )
    )


def _item_set(arrays):
    return set(arrays["tokens"].tolist())
