"""Ending a tuning trial that goes badly: after each validation it asks the study.

Only runs that have the setting ``tuning_trial`` do so; the tuning of a benchmark sets it
(:mod:`recbole_whisperlite.benchmark.tuning`). Optuna is imported by these runs alone.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    import optuna

#: Trials that must have ended before others are compared with them, and validations that
#: each trial gets.
STARTUP_TRIALS, WARMUP_VALIDATIONS = 4, 5
#: The attribute of a trial that says in one sentence why it was ended.
PRUNED = "pruned"


class Pruned(UserError):
    """Ends a trial of the tuning."""


def open_study(
    path: Path, name: str, sampler: optuna.samplers.BaseSampler | None = None
) -> optuna.Study:
    """Open the study of a row, or create it.

    Args:
        path (Path): The journal, a file that holds the studies of all rows.
        name (str): The name of the study.
        sampler (optuna.samplers.BaseSampler, optional): Chooses the settings of a trial.

    Raises:
        UserError: If optuna is not installed, or the journal cannot be read.
    """
    optuna = import_optuna()
    from optuna.storages.journal import JournalFileBackend

    try:
        return optuna.create_study(
            study_name=name,
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(path))),
            sampler=sampler,
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_VALIDATIONS
            ),
            direction="maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: this is not a journal of Optuna, or it is damaged ({error}). "
            "Delete it to tune anew; finished trials are kept."
        ) from error


def import_optuna():
    """Import Optuna without its log.

    Raises:
        UserError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "Tuning needs Optuna, which is not installed: "
            "pip install 'recbole-whisperlite[tune]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def signed(score: float, bigger: bool) -> float:
    """Return a validation metric with the sign that makes greater better."""
    return score if bigger else -score


def report(trial: dict, number: int, score: float) -> None:
    """Tell the study of a validation, and end the run if it is below the median.

    Args:
        trial (dict): The setting ``tuning_trial``: ``journal``, ``study`` and ``number``
            of the trial.
        number (int): The number of the validation, from 0.
        score (float): The validation metric, greater is better.

    Raises:
        Pruned: If the best score so far is below the median that the earlier trials had
            after as many validations.
    """
    optuna = import_optuna()
    study = open_study(Path(trial["journal"]), trial["study"])
    frozen = study.get_trials(deepcopy=False)[trial["number"]]
    if number in frozen.intermediate_values:
        return  # from an attempt that was interrupted
    running = optuna.trial.Trial(study, frozen._trial_id)
    running.report(score, number)
    if running.should_prune():
        told = (
            f"pruned after validation {number + 1}, when it was below the median of "
            "the earlier trials"
        )
        running.set_user_attr(PRUNED, told)
        raise Pruned(told)
