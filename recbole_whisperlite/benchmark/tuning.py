"""``--tune=N``: N trials per row with Optuna, judged only by the validation metric."""

import hashlib
import json
import math
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from recbole_whisperlite.benchmark import data, memory, runner
from recbole_whisperlite.benchmark.plan import Plan
from recbole_whisperlite.benchmark.tuning_data import sample_users
from recbole_whisperlite.cluster.tasks import Task, WorkerDied, Workers
from recbole_whisperlite.config.datasets import RECBOLE
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation import pruning
from recbole_whisperlite.files import whole_file

#: The file with the studies of all rows, in ``tune/`` of the output folder.
JOURNAL = "study.journal"


@dataclass(frozen=True)
class Tuned:
    """What the tuning of a row came to.

    Attributes:
        settings (dict or None): The best settings; None if all trials failed.
        trials (int): How many were tried, pruned and failed ones included.
        pruned (int): How many of them were ended early.
        failed (int): How many of them failed.
        all (bool): Whether the ranges have no further combination.
        users (float): The share of the users it was tuned on.
    """

    settings: dict | None
    trials: int
    pruned: int
    failed: int
    all: bool
    users: float

    def facts(self) -> dict[str, Any]:
        """Return what tables say of it."""
        names = ("trials", "pruned", "failed", "all", "users")
        return {name: getattr(self, name) for name in names}


def tune(plan: Plan, workers: Workers | None = None) -> dict[str, Tuned]:
    """Try settings from the ranges of each row; keep the best on the validation split.

    The first trial has the row's settings unchanged, the others are drawn from its ranges
    by Optuna, none twice. All rows get the same number of trials, or all combinations if
    there are fewer. Optuna's studies are in the file :data:`JOURNAL`: trials that have
    finished or were pruned are not run again, one that was interrupted or failed is. The
    best settings are written to ``tuned.yaml`` in the output folder, which can be added to
    ``--config_files``.

    Args:
        plan (Plan): With ``trials`` above 0; trials run with the first of its seeds.
        workers (Workers, optional): Of a cluster. A row is a task: which settings a trial
            has depends on the trials of its row before it, so that these stay one after
            another, and what is tried is what one process tries.

    Returns:
        dict: ``{row name: Tuned}``, without rows that have no ranges.

    Raises:
        UserError: If Optuna is not installed, its file is damaged, a setting with a range
            is also on the command line, or the users cannot be sampled.
    """
    pruning.import_optuna()
    rows = [row for row in plan.rows if row.ranges]
    for row in rows:
        for key in row.ranges:
            if any(flag.startswith(f"--{key}=") for flag in plan.flags):
                raise UserError(
                    f"models: {row.name}: tune: {key} has a range, but --{key} on the "
                    "command line sets it for all rows and all trials. Remove one."
                )
    tuned = dict(zip((row.name for row in rows), _each(rows, plan, workers)))
    found = {
        name: one.settings for name, one in tuned.items() if one.settings is not None
    }
    counts = [f"# {name}: {_counted(one)}\n" for name, one in tuned.items()]
    text = yaml.safe_dump({"models": found}, sort_keys=False)
    with whole_file(plan.output / "tuned.yaml") as file:
        file.write_text(
            "# Chosen on the validation split, "
            f"{plan.trials} trials per model.\n{''.join(counts)}{text}",
            "utf-8",
        )
    return tuned


def _each(rows, plan, workers):
    """Return what the tuning of each row came to."""
    (plan.output / "tune").mkdir(parents=True, exist_ok=True)
    if workers is None:
        return [_tune_row(row, plan) for row in rows]
    tasks = [Task(row.name, (row, plan), memory.of_run(plan, row)) for row in rows]
    for task in tasks:
        workers.check(task.name, task.memory)
    tuned = []
    for one in workers.map(_tune_row, tasks, "tuning", len(rows), "row"):
        if isinstance(one, WorkerDied):
            raise one
        tuned.append(one)
    return tuned


def _counted(one):
    told = f"{one.trials} trials" + (", all there are" if one.all else "")
    told += f", {one.pruned} pruned" if one.pruned else ""
    told += f", {one.failed} failed" if one.failed else ""
    return told + (f", on {one.users:.0%} of the users" if one.users < 1 else "")


def _tune_row(row, plan):
    import optuna

    from recbole_whisperlite.benchmark.untried import Untried

    folder = plan.output / "tune"
    # as text: Optuna stores numbers and texts only, and a value may be a list
    grid = {
        key: optuna.distributions.CategoricalDistribution(
            [*dict.fromkeys(map(_text, values))]
        )
        for key, values in row.ranges.items()
    }
    unchanged = _unchanged(row, plan, grid)
    combinations = math.prod(len(one.choices) for one in grid.values())
    combinations += not unchanged  # the row as it stands is none of them
    wanted = min(plan.trials, combinations)
    study = pruning.open_study(folder / JOURNAL, _study_name(row, plan))
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(unchanged)
    of_trials, on = _on_sample(row, plan, folder)
    failed = set()
    for number in range(wanted):
        trials = study.get_trials(deepcopy=False)
        if number < len(trials) and trials[number].state.is_finished():
            continue
        if number < len(trials) and trials[number].state.name == "RUNNING":
            # a command before this one was interrupted, or the trial failed
            trial = optuna.trial.Trial(study, trials[number]._trial_id)
        else:
            tried = [one.params for one in trials]
            tried += [one.system_attrs.get("fixed_params") for one in trials]
            study.sampler = Untried(grid, tried, [plan.seeds[0], number])
            trial = study.ask(grid if number or unchanged else None)
        job = runner.Job(
            replace(on, settings={**on.settings, **_settings(row, number, trial)}),
            plan.seeds[0],
            of_trials,
            folder / row.name / str(number),
            units=False,
            trial={
                "journal": str((folder / JOURNAL).absolute()),
                "study": study.study_name,
                "number": number,
            },
        )
        title = f"tuning, trial {number + 1} of {wanted}"
        (outcome,) = runner.run_all([job], title)
        ended = _tell(study, trial, outcome)
        if ended:
            print(f"tuning: {job}, trial {number} {ended}", file=sys.stderr)
        if ended and ended.startswith("failed"):
            failed.add(number)
    return _summary(study, row, plan, wanted, failed, wanted == combinations)


def _tell(study, trial, outcome):
    """Tell the study how a trial ended; return what its user has to be told, or None."""
    import optuna

    frozen = study.get_trials(deepcopy=False)[trial.number]
    if outcome.error and pruning.PRUNED in frozen.user_attrs:
        study.tell(trial.number, state=optuna.trial.TrialState.PRUNED)
        return f"was {frozen.user_attrs[pruning.PRUNED]}"
    # one that failed stays open, so that the next command tries it again
    if outcome.error:
        return f"failed: {outcome.error}"
    score = _score(outcome.result)
    if score is None or not math.isfinite(score):
        return f"failed: its validation metric is {score}"
    study.tell(trial.number, score)


def _summary(study, row, plan, wanted, failed, all_there_are):
    """Return the best of the first ``wanted`` trials, among those that finished."""
    trials = study.get_trials(deepcopy=False)[:wanted]
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = max(complete, key=lambda trial: trial.value, default=None)
    settings = (
        None
        if best is None
        else {
            key: value
            for key, value in {
                **row.settings,
                **_settings(row, best.number, best),
            }.items()
            if key in row.ranges
        }
    )
    return Tuned(
        settings=settings,
        trials=len(trials),
        pruned=sum(trial.state.name == "PRUNED" for trial in trials),
        failed=len(failed),
        all=all_there_are,
        users=row.tune_users,
    )


def _settings(row, number, trial):
    """Return the settings of a trial, none for the first: it has those of its row."""
    if number == 0:
        return {}
    chosen = {key: json.loads(value) for key, value in trial.params.items()}
    return {key: chosen[key] for key in row.ranges}


def _unchanged(row, plan, grid):
    """Return which combination the row itself is, ``{}`` if none."""
    of_recbole = {}
    for name in ("overall", f"model/{row.model}"):
        path = RECBOLE / "properties" / f"{name}.yaml"
        if path.is_file():
            of_recbole.update(yaml.safe_load(path.read_text("utf-8")) or {})
    known = {**of_recbole, **data.settings_of(plan, row)}
    own = {key: _text(known[key]) for key in grid if key in known}
    is_one = all(own.get(key) in one.choices for key, one in grid.items())
    return own if is_one else {}


def _text(value):
    """Return a value as text, in which 1e-3 and 0.001 are one value."""
    # yaml reads 1e-3, without a dot, as a text
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+e[-+]?\d+", value, re.I):
        value = float(value)
    return json.dumps(value, sort_keys=True)


def _study_name(row, plan):
    """Return a name that changes with whatever the outcome of a trial depends on."""
    job = runner.Job(row, plan.seeds[0], plan, Path(), units=False)
    about = [job.request(), row.ranges, row.tune_users]
    text = json.dumps(about, sort_keys=True, default=str)
    return f"{row.name} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _on_sample(row, plan, folder):
    """Return the plan and the row of the trials, which may be on a sample of the users."""
    if row.tune_users == 1:
        return plan, row
    home = folder / "users" / f"{row.tune_users}-{plan.seeds[0]}"
    path = str(sample_users(plan, row, row.tune_users, home).absolute())
    flags = [flag for flag in plan.flags if not flag.startswith("--data_path=")]
    settings = {**row.settings, "data_path": path}
    return replace(plan, flags=flags), replace(row, settings=settings)


def _score(result):
    """Return the validation metric with the sign that makes greater better, or None."""
    valid, settings = result["best_valid_result"], result["settings"]
    if not valid:
        return None
    score = valid[settings["valid_metric"].lower()]
    return pruning.signed(score, settings["valid_metric_bigger"])
