"""A folder of requests as a dataset of RecBole3.0: the parser, and the split by request."""

from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from recbole3.dataset import (
    ITEM_ID,
    LABEL,
    SEEN_ITEM_IDS,
    TIMESTAMP,
    USER_ID,
    BaseDatasetParser,
    BaseTaskDataset,
    DatasetConfig,
    ParsedData,
)

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.data.columns import check_filled, check_roles, read_column
from recbole_whisperlite.data.folder import (
    origin,
    revealed,
    texts_of_items,
    texts_of_requests,
)
from recbole_whisperlite.data.phases import events, unasked_phases
from recbole_whisperlite.data.requests import BUILT_IN
from recbole_whisperlite.data.texts import TextFile, text_fields
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.paths import PROPERTIES

#: Columns of the interactions: the id of the request, "" for none, and its text.
REQUEST_ID, REQUEST = "request_id", "request"
#: Columns of the item table: the id in the files, and the text of the item, which has the
#: name that RecBole3.0's own datasets give it.
ITEM_TOKEN, ITEM_TEXT = "item_token", "metadata_text"
#: Column of validation and test rows: all items chosen for the row's query, on the query's
#: first row; () on its other rows, as a query is asked once.
POSITIVE_ITEM_IDS = "positive_item_ids"


@dataclass(slots=True)
class RequestFolderConfig(DatasetConfig):
    """Where the folder is.

    Args:
        path (str): The dataset's own folder, with ``<name>.inter``, ``.request``, ``.item``.
        item_text_fields (str or list of str, optional): Columns of ``.item`` that make up
            the text; by default as in RecBole 1.
    """

    name: str = "request_folder"
    path: str = field(default="dataset/stylist-mini", metadata={"help": "The folder."})
    item_text_fields: Any = field(default=None, metadata={"help": "Columns of .item."})


class RequestFolderParser(BaseDatasetParser):
    """Reads ``<name>.inter``, ``.request`` and ``.item``, as RecBole 1's datasets here do.

    Raises:
        UserError: If a file or column is missing, or a value is wrong; the message names
            file and line.
    """

    config_cls = RequestFolderConfig

    @property
    def data_dir(self) -> Path:
        return Path(self.config.path)

    def parse(self) -> ParsedData:
        """Return interactions in order of time, rows of a request together, and items.

        All rows of a request have the time at which it was made, the earliest of them.
        """
        folder = self.data_dir
        name = folder.resolve().name
        if not folder.is_dir() and name in BUILT_IN:
            # imported only to build: drawing needs Pillow and a vocabulary
            from recbole_whisperlite import stylist_mini

            stylist_mini.build(folder)
        paths = {
            suffix: folder / f"{name}.{suffix}"
            for suffix in ("inter", "request", "item")
        }
        for path in paths.values():
            if not path.is_file():
                raise UserError(
                    f"{path}: this file does not exist. dataset.path is to be a folder "
                    f"with {name}.inter, {name}.request and {name}.item."
                )
        files = {suffix: _read(path) for suffix, path in paths.items()}
        inter = _interactions(paths["inter"], *files["inter"])
        item_file = TextFile(paths["item"], "item_id", *files["item"])
        request_file = TextFile(paths["request"], REQUEST_ID, *files["request"])
        request_file.require(REQUEST)
        columns = text_fields(item_file, "item_id", self._item_text_fields(name))
        texts = texts_of_items(item_file, columns, inter[ITEM_ID], paths["inter"])
        asked = inter[REQUEST_ID][inter[REQUEST_ID] != ""]
        requests = texts_of_requests(request_file, REQUEST, asked, paths["inter"])
        for sentence in revealed(name, *origin(paths["request"])):
            getLogger(__name__).warning(sentence)
        inter[REQUEST] = inter[REQUEST_ID].map(requests).fillna("")
        items = pd.DataFrame({ITEM_ID: list(texts), ITEM_TOKEN: list(texts)})
        items[ITEM_TEXT] = list(texts.values())
        return ParsedData(interactions=_in_time(inter), item_table=items)

    def _item_text_fields(self, name):
        preset = PROPERTIES / "dataset" / f"{name}.yaml"
        if self.config.item_text_fields or not preset.is_file():
            return self.config.item_text_fields
        return yaml.safe_load(preset.read_text("utf-8")).get("item_text_fields")


class RequestFolderDataset(BaseTaskDataset):
    """Splits whole requests, and lets each history end where its request begins.

    RecBole3.0's ``split`` has its meaning, with requests instead of rows. What the user
    chose in earlier phases is no candidate, positives of the query excepted.

    Raises:
        UserError: If users share a request and ``split.per_user`` is true.
    """

    config_cls = RequestFolderConfig
    parser_cls = RequestFolderParser

    def _order_interactions(self, interactions):
        ordered = super()._order_interactions(interactions)
        # a random order scatters the rows of a request
        together = np.argsort(_first_row(_event(ordered)), kind="stable")
        return ordered.iloc[together].reset_index(drop=True)

    def _split_interactions(self, ordered):
        split = self.config.split
        asked = ordered[ordered[REQUEST_ID] != ""]
        users = asked.groupby(REQUEST_ID)[USER_ID].nunique()
        if split.per_user and (users > 1).any():
            raise UserError(
                f"{self.config.path}: the request '{users.idxmax()}' is shared by "
                f"{users.max()} users, but dataset.split.per_user splits each user's "
                "requests separately. Give each user's request its own request_id, or set "
                "dataset.split.per_user=false with strategy=ratio."
            )
        # RecBole3.0's split of the first row of each request goes for all its rows
        event = _event(ordered)
        ids, first, of_row = np.unique(event, return_index=True, return_inverse=True)
        heads = ordered.iloc[first].assign(event=ids)
        is_request = (heads[REQUEST_ID] != "").to_numpy()
        phase = np.zeros(len(heads), dtype=np.int64)
        requests = heads[is_request].sort_index()
        for number, part in enumerate(super()._split_interactions(requests)):
            phase[np.searchsorted(ids, part["event"])] = number
        if split.order == "chronological" and not is_request.all():
            phase[~is_request] = unasked_phases(
                heads[USER_ID].to_numpy(),
                heads[TIMESTAMP].to_numpy(np.float64),
                is_request,
                phase,
                self._num_users if split.per_user else None,
            )
        return tuple(ordered[phase[of_row] == number].copy() for number in range(3))

    def _build_retrieval_eval_frame(
        self, positive_interactions, *, seen_history_interactions
    ):
        # RecBole3.0 would add each row's item to what the next row has seen
        asked = positive_interactions[positive_interactions[REQUEST_ID] != ""].copy()
        seen = self._group_unique_item_sequences(seen_history_interactions)
        seen_item_ids, positive_item_ids = [], []
        queries = asked.groupby([USER_ID, REQUEST_ID], sort=False)[ITEM_ID]
        of_query = {query: tuple(dict.fromkeys(items)) for query, items in queries}
        waiting = set(of_query)
        for query in zip(asked[USER_ID], asked[REQUEST_ID]):
            positives = of_query[query]
            seen_item_ids.append(
                tuple(item for item in seen.get(query[0], ()) if item not in positives)
            )
            positive_item_ids.append(positives if query in waiting else ())
            waiting.discard(query)
        asked[SEEN_ITEM_IDS] = pd.Series(seen_item_ids, asked.index, dtype=object)
        asked[POSITIVE_ITEM_IDS] = pd.Series(
            positive_item_ids, asked.index, dtype=object
        )
        return asked.reset_index(drop=True)


def _read(path):
    frame, columns = read_atomic(path)
    check_roles(path, columns, {})
    return frame, columns


def _interactions(path, frame, columns):
    """Return the columns of ``.inter`` that have a role, rows as in the file."""
    for name in (USER_ID, ITEM_ID, REQUEST_ID, TIMESTAMP):
        if name not in columns:
            raise UserError(
                f"{path}, line 1: there is no column '{name}'; the columns are "
                f"{', '.join(columns)}. Add it."
            )
        if name != REQUEST_ID:
            check_filled(path, frame[name], name)
    found = frame[[USER_ID, ITEM_ID, REQUEST_ID]].copy()
    if not (found[REQUEST_ID] != "").any():
        raise UserError(
            f"{path}: the {REQUEST_ID} of every line is empty, so there are no queries. "
            "Fill in the ids of the .request file."
        )
    for name in (TIMESTAMP, LABEL):
        if name in columns:
            found[name] = read_column(path, frame[name], name, columns[name], " ")[0]
    return found


def _in_time(inter):
    """Sort by the time of the request; what was chosen without one comes after those."""
    event = _event(inter)
    inter[TIMESTAMP] = inter.groupby(event)[TIMESTAMP].transform("min")
    unasked = (inter[REQUEST_ID] == "").to_numpy()
    order = np.lexsort((_first_row(event), unasked, inter[TIMESTAMP].to_numpy()))
    return inter.iloc[order].reset_index(drop=True)


def _event(frame):
    """Number the events of a frame: a request with all its rows, or a row without one."""
    codes = pd.factorize(frame[REQUEST_ID].where(frame[REQUEST_ID] != ""))[0] + 1
    return events(codes, codes.max(initial=0) + 1)


def _first_row(event):
    """Return the first row of each row's event."""
    _, first, of_row = np.unique(event, return_index=True, return_inverse=True)
    return first[of_row]
