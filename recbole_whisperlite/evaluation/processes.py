"""Evaluation by several processes: each query counts once, and the result is that of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from torch.utils.data.distributed import DistributedSampler


def each_once(sampler: DistributedSampler) -> None:
    """Give each index to one process.

    torch gives some to two, so that all processes have as many, and those would count
    twice.

    Args:
        sampler (DistributedSampler): Of a dataloader; it is changed.

    Raises:
        UserError: If there are fewer queries than processes.
    """
    n, step = len(sampler.dataset), sampler.num_replicas
    if n < step:
        raise UserError(
            f"There are {n} queries to evaluate, fewer than the {step} processes. Set "
            f"nproc to {max(n, 1)} or less."
        )
    sampler.total_size = n
    sampler.num_samples = len(range(sampler.rank, n, step))


def of_each_process(rows: torch.Tensor) -> list[torch.Tensor]:
    """Return the tensors that all processes give, on the CPU, in the order of their ranks.

    Args:
        rows (torch.Tensor): That of this process; the others' may have another length.
    """
    found = [None] * dist.get_world_size()
    dist.all_gather_object(found, rows.cpu())
    return found


def gathered(rows: torch.Tensor) -> torch.Tensor:
    """Return the rows of all processes, in the order of the queries.

    Args:
        rows (torch.Tensor): Of the queries of this process, of which each has one in turn,
            shape ``[n, …]``.
    """
    found = of_each_process(rows)
    result = rows.new_empty(sum(map(len, found)), *rows.shape[1:], device="cpu")
    for rank, each in enumerate(found):
        result[rank :: len(found)] = each
    return result
