"""Optuna's sampler, kept from trying anything twice. Imports Optuna."""

import numpy as np
from optuna.samplers import TPESampler

from recbole_whisperlite.evaluation.pruning import STARTUP_TRIALS


class Untried(TPESampler):
    """Tree-structured Parzen estimator over a grid; a repetition is replaced at random.

    Args:
        grid (dict): ``{setting: CategoricalDistribution}``.
        tried (list of dict): ``{setting: choice}`` of all trials so far; the grid has
            more combinations than these.
        seed (list of int): Seed of the run and number of the trial. A trial is drawn the
            same way whether or not the tuning was interrupted before it.
    """

    def __init__(self, grid: dict, tried: list[dict], seed: list[int]):
        rng = np.random.default_rng(seed)
        super().__init__(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            seed=int(rng.integers(2**31)),
        )
        self._grid, self._tried, self._draws = grid, tried, rng

    def infer_relative_search_space(self, study, trial):
        return self._grid

    def sample_relative(self, study, trial, search_space):
        drawn = super().sample_relative(study, trial, search_space)
        while drawn.keys() != self._grid.keys() or drawn in self._tried:
            drawn = {
                name: one.choices[self._draws.integers(len(one.choices))]
                for name, one in self._grid.items()
            }
        return drawn
