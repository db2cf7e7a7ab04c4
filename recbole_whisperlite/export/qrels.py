"""The test set of a checkpoint as files that other tools read: requests and qrels."""

from __future__ import annotations

import json
import os
from pathlib import Path

from recbole_whisperlite.clip import output as checks
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.dataloader import RequestFullSortEvalDataLoader
from recbole_whisperlite.evaluation.queries import is_one_word, query_ids
from recbole_whisperlite.export.model import load

REQUESTS, QRELS = "requests.jsonl", "qrels.txt"


def export_qrels(
    checkpoint: str | os.PathLike,
    folder: str | os.PathLike,
    data_path: str | os.PathLike | None = None,
    own_code_allowed: bool = False,
) -> int:
    """Write the test set of a checkpoint as ``requests.jsonl`` and ``qrels.txt``.

    Each line of the requests is a query as the model got it in its test: ``id``,
    ``request``, ``user``, ``history`` (the items that were known of the user, oldest first,
    all of them even if the model looks at the latest only), ``exclude`` (the items that were no candidates) and ``exclude_seen``, false,
    as an item of the history may be a candidate. Ids are those of the requests if these
    are unique and have no spaces, otherwise numbers from 1.

    Args:
        checkpoint (str or Path): Written by RecBole's trainer; its dataset must be where
            it was.
        folder (str or Path): Where to; created if it does not exist.
        data_path (str or Path, optional): The folder that contains the dataset's folder,
            if it moved.
        own_code_allowed (bool): Whether a ``module:Class`` that the checkpoint names may
            be imported.

    Returns:
        int: The number of queries.

    Raises:
        UserError: If the checkpoint cannot be loaded, its test has no requests or
            samples its candidates, an item id has spaces, or a file cannot be written.
    """
    folder = Path(folder)
    paths = folder / REQUESTS, folder / QRELS
    checks.check_writable(*paths, read=[checkpoint])
    config, *_, test_data = load(checkpoint, data_path, own_code_allowed)
    if not isinstance(test_data, RequestFullSortEvalDataLoader):
        raise UserError(
            f"The test of {checkpoint} does not rank the catalogue for requests: "
            f"eval_args has mode: {config['eval_args']['mode']}, or the dataset "
            f"'{config['dataset']}' has no requests. Train with mode: full on a dataset "
            "with requests."
        )
    dataset, queries = test_data._dataset, test_data.queries
    items = [str(item) for item in dataset.field2id_token[dataset.iid_field]]
    users = dataset.field2id_token[dataset.uid_field]
    known, (begin, length) = dataset.all_chosen_items, queries.known
    text_of = dataset.inter_feat[dataset.request_text_field].numpy()[queries.row]
    ids = query_ids(dataset.field2id_token[dataset.request_field][queries.request])
    with checks.writing(paths[0]) as requests, checks.writing(paths[1]) as qrels:
        with open(requests, "w", encoding="utf-8") as asked:
            with open(qrels, "w", encoding="utf-8") as judged:
                for query, id_ in enumerate(ids):
                    history = known[begin[query] : begin[query] + length[query]]
                    row = {
                        "id": id_,
                        "request": dataset.request_texts[text_of[query]],
                        "user": str(users[queries.user[query]]),
                        "history": [items[item] for item in history],
                        "exclude": [items[i] for i in queries.excluded[query].indices],
                        "exclude_seen": False,
                    }
                    asked.write(json.dumps(row, ensure_ascii=False) + "\n")
                    for item in queries.positives[query].indices:
                        judged.write(f"{id_} 0 {_without_spaces(items[item])} 1\n")
    return len(ids)


def _without_spaces(item):
    if not is_one_word(item):
        raise UserError(
            f"The item '{item}' has spaces in its id, which separate the columns of a "
            "file of judgements."
        )
    return item
