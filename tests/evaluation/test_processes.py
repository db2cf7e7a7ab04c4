"""Evaluation by several processes is that of one."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data.distributed import DistributedSampler

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.processes import each_once, gathered


def sampler(n, rank, processes):
    made = DistributedSampler(range(n), processes, rank, shuffle=False)
    each_once(made)
    return made


@pytest.mark.parametrize("n, processes", [(41, 2), (7, 3), (6, 3), (2, 2)])
def test_each_query_is_evaluated_by_one_process(n, processes):
    parts = [list(sampler(n, rank, processes)) for rank in range(processes)]
    assert sorted(sum(parts, [])) == list(range(n))


def test_more_processes_than_queries_are_refused():
    with pytest.raises(UserError, match="2 queries to evaluate, fewer than the 3"):
        sampler(2, 0, 3)


def gather(rank, processes, folder):
    init = f"file://{folder}/init"
    dist.init_process_group("gloo", init, rank=rank, world_size=processes)
    rows = torch.tensor([[n, n * n] for n in sampler(5, rank, processes)])
    torch.save(gathered(rows), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_rows_of_all_processes_come_in_the_order_of_the_queries(tmp_path):
    # forked, so that nothing is imported twice
    mp.start_processes(gather, (2, str(tmp_path)), nprocs=2, start_method="fork")
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.tolist() == [[n, n * n] for n in range(5)]
