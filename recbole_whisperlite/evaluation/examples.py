"""``show_examples``: requests of the test set with a model's best items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from recbole_whisperlite.evaluation.dataloader import RequestFullSortEvalDataLoader

if TYPE_CHECKING:
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.trainer import Trainer


@torch.no_grad()
def show_examples(
    trainer: Trainer, eval_data: AbstractDataLoader, number: int, k: int = 5
) -> None:
    """Print requests of the test set with the model's best items.

    Args:
        trainer (Trainer): After the test evaluation.
        eval_data (AbstractDataLoader): The test dataloader; nothing is printed unless
            it ranks the full catalogue of a dataset with requests.
        number (int): How many requests; they are spread evenly over the test set.
        k (int): How many items for each request.
    """
    if not isinstance(eval_data, RequestFullSortEvalDataLoader):
        return
    dataset, queries = eval_data._dataset, eval_data.queries
    step = max(len(queries) // number, 1)
    chosen = list(range(0, len(queries), step))[:number]
    trainer.model.eval()
    interaction, scores, *_ = trainer._full_sort_batch_eval(
        eval_data.collate_fn(chosen)
    )
    item_texts = dataset.item_texts
    name = type(trainer.model).__name__
    print(f"\nBest items of {name} for {len(chosen)} requests of the test set:")
    best = interaction.ties.to(scores.device).best(scores, k)[1]
    for query, request, row in zip(
        chosen, interaction[dataset.request_text_field], best
    ):
        print(f"\nRequest: {_short(dataset.request_texts[request], 300)}")
        positives = set(queries.positives[query].indices)
        for rank, item in enumerate(row.tolist(), start=1):
            mark = "*" if item in positives else " "
            token = dataset.id2token(dataset.iid_field, item)
            print(f" {mark} {rank}. [{token}] {_short(item_texts[item], 150)}")
    print("\n* chosen for this request (a positive of the test set)")


def _short(text, length):
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
