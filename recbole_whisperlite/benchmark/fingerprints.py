"""One table, one test set: rows with other fingerprints are refused, with the reason."""

from collections import Counter
from dataclasses import dataclass

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.rank_file import read_ranks

#: Settings that shape the test set, and so are the likely reason for different ones.
SETTINGS = (
    "dataset data_path benchmark_filename eval_args seed request_template "
    "USER_ID_FIELD ITEM_ID_FIELD TIME_FIELD REQUEST_ID_FIELD REQUEST_FIELD "
    "load_col unload_col user_inter_num_interval item_inter_num_interval val_interval "
    "filter_inter_by_user_or_item rm_dup_inter threshold field_separator"
).split()


@dataclass(frozen=True)
class TestSet:
    """What one or several seeds have in common.

    Attributes:
        fingerprint (str): Of the test phase.
        valid_fingerprint (str): Of the validation phase.
        seeds (list of int): The seeds with this test set. Splits by time and full
            ranking give one for all seeds; random splits and sampled candidates one each.
        outcomes (dict): ``{(row name, seed): Outcome}`` of the runs that succeeded.
        units (dict): What all rank files say alike: all arrays of
            :mod:`recbole_whisperlite.evaluation.rank_file` but ``rank`` and ``top``.
    """

    fingerprint: str
    valid_fingerprint: str
    seeds: list
    outcomes: dict
    units: dict


def same_test_set(outcomes):
    """Group runs by test set, after a check that no seed has two of them.

    Args:
        outcomes (list of Outcome): All runs; failed ones are left out.

    Returns:
        list of TestSet: In order of seeds; empty where the dataset has no requests.

    Raises:
        UserError: If two models had different test sets with the same seed; it names
            those that differ from the majority, and in what.
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
                f"Not all models had the same test set, so no table is written. Unlike "
                f"{other.job} (fingerprints {_told(usual)}) are:\n{told}\nGive all "
                "models the same data and evaluation settings."
            )
        by_test_set.setdefault(usual, []).extend(of_seed)
    return [_test_set(mark, members) for mark, members in by_test_set.items()]


def _marks(outcome):
    fingerprint = outcome.result["fingerprint"]
    return fingerprint.get("valid"), fingerprint.get("test")


def _told(marks):
    return f"valid {marks[0]}, test {marks[1]}"


def _test_set(marks, outcomes):
    units = read_ranks(outcomes[0].unit_file)
    units = {name: units[name] for name in units if name not in ("rank", "top")}
    return TestSet(
        fingerprint=marks[1],
        valid_fingerprint=marks[0],
        seeds=list(dict.fromkeys(outcome.job.seed for outcome in outcomes)),
        outcomes={(o.job.row.name, o.job.seed): o for o in outcomes},
        units=units,
    )


def difference(outcome, other):
    """Say in what the test set of ``outcome`` differs from that of ``other``.

    Args:
        outcome, other (Outcome): Two runs with different fingerprints.

    Returns:
        str: Fingerprints, counts of what is not in both, and settings that differ.
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
            parts.append(f"{missing} {name} are missing and {more} are there instead")
    for name in SETTINGS:
        own, usual = (one.result["settings"].get(name) for one in (outcome, other))
        if own != usual:
            parts.append(f"{name} is {own}, not {usual}")
    return "; ".join(parts)


def _query_set(units):
    return set(zip(units["user"].tolist(), units["request"].tolist()))


def _positive_set(units):
    unit = units["positive_unit"]
    return set(
        zip(
            units["user"][unit].tolist(),
            units["request"][unit].tolist(),
            units["tokens"][units["positive_item"]].tolist(),
        )
    )


def _item_set(units):
    return set(units["tokens"].tolist())
