"""``show_examples``: requests of the test set with the items that a model puts first."""

import torch

from recbole_whisperlite.evaluation.dataloader import RequestFullSortEvalDataLoader


@torch.no_grad()
def show_examples(trainer, eval_data, number, k=5):
    """Print requests of the test phase with the model's best items.

    Args:
        trainer (Trainer): After the test evaluation.
        eval_data (AbstractDataLoader): The test dataloader; nothing is printed unless
            it ranks the full catalogue of a dataset with requests.
        number (int): How many requests, taken evenly from the phase.
        k (int): Items for each.
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
    print(f"\n{type(trainer.model).__name__} answers {len(chosen)} requests of the test:")
    for query, request, row in zip(
        chosen, interaction[dataset.request_text_field], scores.cpu()
    ):
        print(f"\nRequest: {_short(dataset.request_texts[request], 300)}")
        positives = set(queries.positives[query].indices)
        for rank, item in enumerate(row.topk(k).indices.tolist(), start=1):
            mark = "*" if item in positives else " "
            token = dataset.id2token(dataset.iid_field, item)
            print(f" {mark} {rank}. [{token}] {_short(item_texts[item], 150)}")
    print("\n* was chosen for this request (the test's answer)")


def _short(text, length):
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
