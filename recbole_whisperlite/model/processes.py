r"""
recbole_whisperlite.model.processes
###################################
Training by several processes: together they compute the loss of each batch

Every process reads the same batches, with the same negatives, as one process would. It
computes what its own rows add to the loss, each against all items of the batch, and the
parts are added. So N processes that have B / N rows each have the loss of one that has B,
and its gradient, whatever remains for a last batch.

open_clip sends embeddings from process to process, since only one has the picture. Here
all have the frozen vectors of all items: what goes through a small tower again is sooner
there than what is sent.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist

from recbole.data.dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction

if TYPE_CHECKING:
    from recbole_whisperlite.model.whisperlite import WhisperLite


def of_whole_batches(train_data: AbstractDataLoader) -> AbstractDataLoader:
    r"""Return a dataloader that gives each process the batches that one process would have.

    They are the same in all processes if all seed its generator, and numpy, alike.

    Args:
        train_data (AbstractDataLoader): Gives each process rows of its own
    """
    config = copy.copy(train_data.config)
    config.final_config_dict = {**config.final_config_dict, "single_spec": True}
    made = type(train_data)(
        config, train_data._dataset, train_data._sampler, shuffle=train_data.shuffle
    )
    # to RecBole's trainer, which would tell the sampler of another kind the epoch
    made.shuffle = False
    return made


class SharedLoss:
    r"""SharedLoss is the loss of a batch, to which each process adds the part of its rows.

    Its gradient is such that the mean over the processes, which DistributedDataParallel
    takes, is that of the whole loss. What a batch draws at random is the same in all
    processes; in their towers' dropout they differ.

    Args:
        - model(WhisperLite): Of this process
        - entropy(sequence of int): What the randomness of an epoch depends on
    """

    def __init__(self, model: WhisperLite, entropy: Sequence[int]):
        self.model, self.entropy = model, entropy
        self.n_batches = 0

    def __call__(self, interaction: Interaction) -> torch.FloatTensor:
        r"""Return the loss of the whole batch, a scalar.

        Args:
            interaction (Interaction): The whole batch
        """
        batch = self.model.prepare_batch(interaction)
        with self._own_randomness():
            own = slice(dist.get_rank(), None, dist.get_world_size())
            part = self.model.part_of_loss(batch, own)
        self.n_batches += 1
        return _SumOfParts.apply(part)

    @contextlib.contextmanager
    def _own_randomness(self) -> Iterator[None]:
        r"""Draw otherwise than the other processes, and leave the generators as they were."""
        device = self.model.logit_scale.device
        entropy = [*self.entropy, self.n_batches, dist.get_rank()]
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            seed = np.random.SeedSequence(entropy).generate_state(1)[0]
            torch.manual_seed(int(seed))
            yield


class _SumOfParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, part):
        whole = part.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx, gradient):
        return gradient * dist.get_world_size()
