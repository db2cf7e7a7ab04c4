r"""
recbole_whisperlite.trainer
###########################
"""

import numpy as np

from recbole.trainer import Trainer
from recbole.utils import init_seed


class WhisperLiteTrainer(Trainer):
    r"""WhisperLiteTrainer makes an epoch depend on its number alone, not on the run so far.

    RecBole's checkpoints hold no state of the random number generators, so a resumed run
    shuffles, samples negatives and drops out differently from the run it continues. Here
    every epoch starts from generators seeded with (seed, epoch): a resumed run gives the
    metrics of an uninterrupted one.
    """

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        # SeedSequence mixes: epoch 1 of seed 2020 has nothing in common with epoch 0 of
        # seed 2021. Processes of a distributed run differ in their dropout.
        entropy = [self.config["seed"], epoch_idx, self.config["local_rank"] or 0]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        init_seed(seed, self.config["reproducibility"])
        train_data.generator.manual_seed(seed)  # shuffles
        return super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)

    def fit(self, train_data, valid_data=None, *args, **kwargs):
        # The checkpoint holds the best score but not the result it is part of, which is
        # returned if no later epoch is better.
        if self.start_epoch > 0 and valid_data:
            self.eval_collector.data_collect(train_data)
            _, self.best_valid_result = self._valid_epoch(valid_data)
        return super().fit(train_data, valid_data, *args, **kwargs)
