"""What a model was trained on, kept in its checkpoint.

RecBole writes the ``Config`` of a run into every checkpoint, and creates dataset and model
from it again. The record travels there, as ``config.trained_on``: a model that is loaded
counts from it and encodes as in training, whatever the files of the dataset have become.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from functools import cached_property
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import digest
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset

    from recbole_whisperlite.encoder import FittedEncoder

# The models of this package that serve changed data, and whether they count interactions.
# A custom model derived from one of them behaves as its nearest base; and whatever asks
# for training choices counts.
_COUNTS = {
    "WhisperLite": False,
    "WhisperLitePlus": True,
    "Whisper": False,
    "ZeroShot": False,
    "BM25": False,
    "RequestPop": True,
    "LateFusion": True,
    "UntrainedRequestModel": True,
}
_TOKENS = ("item_tokens", "user_tokens", "request_texts")
_ROWS = ("user", "item", "request", "label")
GONE = -1


@dataclasses.dataclass
class TrainedOn:
    """What a model was trained on.

    Ids are those of the training run, in which id 0 is padding. A model without counts has
    items and encoder only, and one of RecBole's own, whose embeddings belong to ids, has
    :attr:`fields` only.

    Attributes:
        item_tokens (numpy.ndarray): The external id of each item, str ``[n_items]``.
        user_tokens (numpy.ndarray): That of each user, str ``[n_users]``.
        request_texts (numpy.ndarray): Each distinct text, str ``[n_requests]``; None for
            a dataset without requests.
        user, item, request (numpy.ndarray): Ids of the training interactions, int
            ``[n]``, int32 in a checkpoint. Requests are distinct texts.
        label (numpy.ndarray): Whether each is a positive, bool ``[n]``; None if all are.
        fields (dict): ``{field: (number of ids, hash)}`` for models with embeddings of ids.
        fitted (FittedEncoder): The encoder of the run; None in a loaded record.
        is_loaded (bool): Whether the record comes from a file, that is, a checkpoint.
        has_changed (bool): Of a loaded record: whether the data has other training
            interactions than those that the model counts.
    """

    item_tokens: np.ndarray | None = None
    user_tokens: np.ndarray | None = None
    request_texts: np.ndarray | None = None
    user: np.ndarray | None = None
    item: np.ndarray | None = None
    request: np.ndarray | None = None
    label: np.ndarray | None = None
    fields: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)
    fitted: FittedEncoder | None = None
    is_loaded: bool = False
    has_changed: bool = False

    @property
    def encoder_state(self) -> dict:
        """dict: As :meth:`FittedEncoder.state` returns it; {} if nothing was fitted."""
        if self.fitted is not None:
            return self.fitted.state()
        return vars(self).get("_encoder_state", {})

    @cached_property
    def rows_digest(self) -> str | None:
        """str or None: The hash of the training interactions, if the model counts them."""
        if self.item is None:
            return None
        tokens = [getattr(self, name) for name in _TOKENS]
        of_tokens = [digest.of_texts(each) for each in tokens if each is not None]
        rows = {name: getattr(self, name) for name in _ROWS}
        kept = {name: _small(row) for name, row in rows.items() if row is not None}
        return digest.of_json([of_tokens, digest.of_arrays(kept)])

    def __getstate__(self):
        # The encoder itself may hold loaded weights. Texts are one array of bytes: the
        # reader of checkpoints would take a million str one by one.
        state = {name: _packed(getattr(self, name)) for name in _TOKENS}
        state |= {name: _small(getattr(self, name)) for name in _ROWS}
        return state | {"fields": self.fields, "_encoder_state": self.encoder_state}

    def __setstate__(self, state):
        defaults = {each.name: each.default for each in dataclasses.fields(self)}
        tokens = {name: _unpacked(state[name]) for name in _TOKENS}
        vars(self).update({**defaults, **state, **tokens, "is_loaded": True})

    def __deepcopy__(self, memo):
        # not by way of the two above: a copy in memory does not come from a file
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    @staticmethod
    def serves(model_class: type) -> bool:
        """Return whether a model ranks items that came after its training."""
        return _nearest(model_class) is not None

    def is_of(self, dataset: Dataset) -> bool:
        """Return whether the record was made from ``dataset`` in this process."""
        tokens = dataset.field2id_token.get(dataset.iid_field)
        return not self.is_loaded and self.item_tokens is tokens

    def refuse_other(self, other: TrainedOn, name: str) -> None:
        """Raise a UserError if ``other``, of the checkpoint ``name``, differs.

        Where it does, the parameters there do not belong to the vectors, counts or ids of
        the model that is to be continued or evaluated.
        """
        _compare_fields(other.fields, self.fields, f"The model of {name}")
        what = None
        if self.rows_digest != other.rows_digest:
            what = "other training interactions"
        elif _state_digest(self.encoder_state) != _state_digest(other.encoder_state):
            what = "other texts, on which the encoder was fitted"
        if what:
            raise UserError(
                f"{name} was trained on {what} than the dataset has now, so this run "
                "cannot continue it: load it with load_data_and_model, or train anew."
            )

    def refuse_more_training(self) -> None:
        """Raise a UserError if the model counts interactions that are no longer the data's."""
        if self.has_changed:
            raise UserError(
                "The training interactions are no longer those that the loaded model "
                "counts: it can rank with this data, but to learn from it, train anew."
            )

    def choices(self, dataset: Dataset) -> Choices:
        """Return the positives that counts are made of.

        Args:
            dataset (Dataset): Whose ids are the current ones.
        """
        positive = slice(None) if self.label is None else self.label.astype(bool)
        request = self.request
        if request is None:
            request = np.zeros_like(self.item)
        rows = (self.user, self.item, request)
        rows = (each[positive].astype(np.int64, copy=False) for each in rows)
        fields = dataset.uid_field, dataset.iid_field, _text_field(dataset)
        tokens = self.user_tokens, self.item_tokens, self.request_texts
        now = (_now(*each, dataset) for each in zip(tokens, fields))
        return Choices(*rows, *now, n_items=dataset.item_num)

    def view(self, dataset: Dataset) -> Dataset:
        """Return ``dataset`` with the users, items and training interactions of the record."""
        from recbole.data.interaction import Interaction

        names = dataset.uid_field, dataset.iid_field, _text_field(dataset)
        rows = dict(zip(names, (self.user, self.item, self.request)))
        if self.label is not None:
            rows[dataset.label_field] = self.label.astype(np.float32)
        made = dataset.copy(
            Interaction(
                {
                    field: row if row.dtype.kind == "f" else row.astype(np.int64)
                    for field, row in rows.items()
                    if row is not None
                }
            )
        )
        tokens = dict(zip(names, (self.user_tokens, self.item_tokens)))
        if hasattr(dataset, "all_chosen_items"):
            # what is known of a user, in ids of training too
            now = _now(self.item_tokens, dataset.iid_field, dataset)
            user, request, item, phase = dataset._raw
            item = _inverse(now, dataset.item_num)[item]
            made._raw = user, request, item, phase
        made.field2id_token = {**dataset.field2id_token, **tokens}
        made.field2token_id = {
            **dataset.field2token_id,
            **{
                field: {token: id_ for id_, token in enumerate(each)}
                for field, each in tokens.items()
            },
        }
        return made


@dataclasses.dataclass
class Choices:
    """The positives that counts are made of, in the ids of the training run.

    In a fresh run these ids are the current ones. After loading, they are translated:
    ``item_now[item]`` are the current ids.

    Attributes:
        user, item, request (numpy.ndarray): Of each positive, int64 ``[n]``; requests are
            distinct texts, 0 without a request.
        user_now, item_now, request_now (numpy.ndarray): The current id of each user, item
            and text of training, int64; -1 if the data has it no more.
        n_items (int): The number of items now.
    """

    user: np.ndarray
    item: np.ndarray
    request: np.ndarray
    user_now: np.ndarray
    item_now: np.ndarray
    request_now: np.ndarray
    n_items: int

    @cached_property
    def known_items(self) -> np.ndarray | None:
        """numpy.ndarray or None: The current ids of the items of training, padding
        included, in the order of training; None if these are all items in their order.
        """
        if np.array_equal(self.item_now, np.arange(self.n_items)):
            return None
        return self.item_now[self.item_now >= 0]

    @cached_property
    def item_then(self) -> np.ndarray:
        """numpy.ndarray: The id in training of each current item, int64 ``[n_items]``; 0
        for new ones."""
        return _inverse(self.item_now, self.n_items)

    def user_then(self, n_users: int) -> np.ndarray:
        """Return the id in training of each current user, int64; 0 for new ones."""
        return _inverse(self.user_now, n_users)

    def current(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return user, item and request of the positives in current ids.

        Choices of items that the data has no more are left out. Users that it has no more
        get ids above all others, and texts id 0: what they chose still counts.

        Returns:
            tuple: Three arrays, int64 ``[m]``.
        """
        if self.known_items is None and all(
            np.array_equal(now, np.arange(len(now)))
            for now in (self.user_now, self.request_now)
        ):
            return self.user, self.item, self.request
        item = self.item_now[self.item]
        kept = item >= 0
        gone = np.flatnonzero(self.user_now < 0)
        user_now = self.user_now.copy()
        user_now[gone] = self.user_now.max(initial=0) + 1 + np.arange(len(gone))
        request = np.maximum(self.request_now[self.request], 0)
        return user_now[self.user][kept], item[kept], request[kept]


def keep(config: Config, dataset: Dataset) -> None:
    """Keep in ``config.trained_on`` what a model is trained on.

    If the config comes from a checkpoint, its record stays as it is, and the data is
    compared with it instead.

    Args:
        config (Config): Of the model.
        dataset (Dataset): The training part, as ``Dataset.build`` returns it.

    Raises:
        UserError: If the model has embeddings of ids, and the ids are not those of the
            checkpoint.
    """
    if vars(dataset).get("_kept_in") is config:
        return
    given = vars(config).get("trained_on")
    now = _record(config, dataset)
    if given is not None and given.is_loaded:
        _compare_fields(given.fields, now.fields, config["model"], dataset.dataset_name)
        if given.item is not None:
            now = TrainedOn(**_tokens(dataset), **_rows(dataset))
        given.has_changed = given.rows_digest != now.rows_digest
    else:
        if "trained_on" in vars(config) and given is None and not now.fields:
            getLogger().warning(
                "The checkpoint does not say what it was trained on: encoder and counts "
                "are made anew from the dataset, which must be unchanged since then."
            )
        config.trained_on = now
    # a dataset read by RecBole from a file has a Config of its own
    dataset.config.trained_on = config.trained_on
    dataset._kept_in = config
    if hasattr(dataset, "fit_texts") and _text_field(dataset) is None:
        _keep_fit_texts(config.trained_on, dataset)


def kept_by(dataloader_class: Callable) -> Callable:
    """Wrap a training dataloader so that what it reads is kept, whoever has split it."""

    @functools.wraps(dataloader_class, updated=())
    def make(config, dataset, *args, **kwargs):
        keep(config, dataset)
        return dataloader_class(config, dataset, *args, **kwargs)

    return make


def of(dataset: Dataset) -> TrainedOn | None:
    """Return what the model of ``dataset`` is trained on; None before it is split."""
    return vars(dataset.config).get("trained_on")


def choices(dataset: Dataset) -> Choices:
    """Return the positives that counts are made of: the training interactions of
    ``dataset``, or those of the checkpoint that its config comes from.

    In a fresh run the record of the run keeps them from now on, whatever the model.
    """
    record = of(dataset)
    if record is None or not (record.is_loaded or record.is_of(dataset)):
        record = TrainedOn()
    if record.item is None or not record.is_loaded:
        vars(record).pop("rows_digest", None)
        vars(record).update(_tokens(dataset), **_rows(dataset))
    return record.choices(dataset)


def _record(config, dataset):
    ours = _nearest(config.model_class)
    if ours is None:
        return TrainedOn(fields=_fields(config, dataset))
    tokens = _tokens(dataset)
    if not _COUNTS[ours]:
        return TrainedOn(item_tokens=tokens["item_tokens"])
    return TrainedOn(**tokens, **_rows(dataset))


def _nearest(model_class):
    names = (base.__name__ for base in model_class.__mro__)
    return next((name for name in names if name in _COUNTS), None)


def _tokens(dataset):
    names = dataset.iid_field, dataset.uid_field, _text_field(dataset)
    return dict(zip(_TOKENS, (dataset.field2id_token.get(name) for name in names)))


def _rows(dataset):
    inter, text = dataset.inter_feat, _text_field(dataset)
    label = dataset.label_field
    return {
        "user": inter[dataset.uid_field].numpy(),
        "item": inter[dataset.iid_field].numpy(),
        "request": inter[text].numpy() if text in inter else None,
        "label": (inter[label] == 1).numpy() if label in inter else None,
    }


def _text_field(dataset):
    return getattr(dataset, "request_text_field", None)


def _fields(config, dataset):
    """The fields whose ids have embeddings, ``{field: (number of ids, hash)}``."""
    from recbole.utils import ModelType

    kind = config["MODEL_TYPE"]
    if kind in (ModelType.GENERAL, ModelType.TRADITIONAL):
        names = {dataset.uid_field, dataset.iid_field}
    else:
        names = {*dataset.field2id_token} - {getattr(dataset, "request_field", None)}
        if kind in (ModelType.SEQUENTIAL, ModelType.KNOWLEDGE):
            names -= {_text_field(dataset)}
    tokens = {name: dataset.field2id_token.get(name) for name in names - {None}}
    return {
        name: (len(each) - 1, digest.of_texts(map(str, each)))
        for name, each in sorted(tokens.items())
        if each is not None
    }


def _compare_fields(then, now, model, dataset="the dataset"):
    for field, (n_then, hash_then) in then.items():
        n_now, hash_now = now.get(field, (0, ""))
        if hash_now == hash_then:
            continue
        found = f"{n_now} now"
        if n_now == n_then:
            found = f"{n_now} others now, or in another order"
        raise UserError(
            f"{model} was trained on {n_then} values of {field} and learned each by "
            f"itself, but {dataset} has {found}: train it anew on this data, or load it "
            "with the data it was trained on."
        )


def _keep_fit_texts(record, dataset):
    """For the dataset class that stands on RecBole alone, and encodes by itself."""
    if record.is_loaded:
        state = record.encoder_state.get(_FitTexts.name)
        dataset.fit_texts = (
            None if state is None else _unpacked(state["texts"]).tolist()
        )
    else:
        record.fitted = _FitTexts(dataset)


class _FitTexts:
    name = "WhisperLiteDataset"

    def __init__(self, dataset):
        self._dataset = dataset

    def state(self):
        return {self.name: {"texts": _packed(self._dataset.item_texts[1:])}}


def _now(tokens, field, dataset):
    """The current id of each token of training; -1 if there is none."""
    if tokens is None:
        return np.zeros(1, dtype=np.int64)
    current = dataset.field2id_token[field]
    if tokens is current or np.array_equal(tokens, current):
        return np.arange(len(tokens))
    ids = dataset.field2token_id[field]
    found = (ids.get(token, GONE) for token in tokens)
    result = np.fromiter(found, dtype=np.int64, count=len(tokens))
    result[0] = 0
    return result


def _inverse(now, n):
    then = np.zeros(n, dtype=np.int64)
    known = now >= 0
    then[now[known]] = np.flatnonzero(known)
    return then


def _state_digest(state):
    return {name: digest.of_arrays(arrays) for name, arrays in state.items()}


def _small(ids):
    return ids if ids is None or ids.dtype == bool else ids.astype(np.int32)


def _packed(texts):
    if texts is None:
        return None
    return np.frombuffer(json.dumps([str(text) for text in texts]).encode(), np.uint8)


def _unpacked(packed):
    if packed is None:
        return None
    texts = json.loads(packed.tobytes())
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    return result
