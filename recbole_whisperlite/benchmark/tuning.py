"""``--tune=N``: N trials per model, judged only by the validation metric."""

import sys
import warnings
from dataclasses import replace

import yaml
from sklearn.model_selection import ParameterSampler

from recbole_whisperlite.benchmark import runner
from recbole_whisperlite.benchmark.plan import Plan
from recbole_whisperlite.files import whole_file


def tune(plan: Plan) -> dict[str, dict]:
    """Try settings from the ranges of each row; keep the best on the validation split.

    The first trial uses the row's settings unchanged, the others are sampled from its
    ranges. All rows get the same number of trials (fewer only if the ranges have fewer
    combinations). The best settings are written to ``tuned.yaml`` in the output folder,
    which can be added to ``--config_files``.

    Args:
        plan (Plan): With ``trials`` above 0; trials run with the first of its seeds.

    Returns:
        dict: ``{row name: best settings}``, without rows that have no ranges or whose
        trials all failed.
    """
    jobs = [
        runner.Job(
            replace(row, settings={**row.settings, **settings}),
            plan.seeds[0],
            plan,
            plan.output / "tune" / row.name / str(number),
            units=False,
        )
        for row in plan.rows
        for number, settings in enumerate(_trials(row, plan))
    ]
    best = {}
    for outcome in runner.run_all(jobs, "tuning trials"):
        if outcome.error:
            trial = f"{outcome.job}, trial {outcome.job.folder.name}"
            print(f"tuning: {trial} failed: {outcome.error}", file=sys.stderr)
        score = None if outcome.error else _score(outcome.result)
        row = outcome.job.row
        if score is not None and score > best.get(row.name, (-float("inf"),))[0]:
            best[row.name] = score, row
    tuned = {
        name: {key: row.settings[key] for key in row.ranges if key in row.settings}
        for name, (_, row) in best.items()
    }
    text = yaml.safe_dump({"models": tuned}, sort_keys=False)
    with whole_file(plan.output / "tuned.yaml") as file:
        file.write_text(
            "# Chosen on the validation split, "
            f"{plan.trials} trials per model.\n{text}",
            "utf-8",
        )
    return tuned


def _trials(row, plan):
    if not row.ranges:
        return []
    with warnings.catch_warnings():
        # which says that the ranges have fewer combinations than there are trials
        warnings.simplefilter("ignore", UserWarning)
        drawn = ParameterSampler(
            row.ranges, plan.trials - 1, random_state=plan.seeds[0]
        )
        return [{}, *drawn]


def _score(result):
    """Return the validation metric with the sign that makes greater better, or None."""
    valid, settings = result["best_valid_result"], result["settings"]
    if not valid:
        return None
    score = valid[settings["valid_metric"].lower()]
    return score if settings["valid_metric_bigger"] else -score
