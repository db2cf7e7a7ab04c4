"""Stores built, opened, and saved with their model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.catalogue import Catalogue
from recbole_whisperlite.recommend.plus_scorer import PlusScorer
from recbole_whisperlite.recommend.scorer import Asked, Batch, Scorer
from recbole_whisperlite.recommend.stores.address import N_CANDIDATES, Address
from recbole_whisperlite.recommend.stores.geometry import Geometry
from recbole_whisperlite.recommend.stores.home import Fingerprint, Home
from recbole_whisperlite.recommend.stores.indexed import (
    IndexedStore,
    additions,
    completed,
)
from recbole_whisperlite.recommend.stores.keys import Keys
from recbole_whisperlite.recommend.text_scorer import TextScorer

# The queries that show which parts of an item's vector matter.
_SAMPLE = 256


class OnDisk(NamedTuple):
    """A model in its folder, whose store is wanted.

    Attributes:
        folder (Path): The folder of the model; absolute.
        config (dict): Its ``config.json``.
        scorer (Scorer), catalogue (Catalogue): What is in it.
    """

    folder: Path
    config: dict
    scorer: Scorer
    catalogue: Catalogue


def open_store(
    address: Address, model: OnDisk, n_candidates: int = N_CANDIDATES
) -> IndexedStore:
    """Open a store.

    Args:
        address (Address): Which one, but ``exact``.
        model (OnDisk): For which model.
        n_candidates (int): As of :class:`IndexedStore`.

    Raises:
        UserError: If the model can have none; or the store is not there, out of date, of
            another model, or cannot be reached.
    """
    _check(address, model)
    home, build = _home(address, model), _command(address, model)
    dim = sum(rows.shape[1] for rows in model.scorer.blocks)
    stored, geometry, keys = home.read(
        Fingerprint.of(model.config), len(model.catalogue), dim, build
    )
    try:
        if address.name == "usearch":
            index = _usearch().UsearchIndex(home.folder, stored)
        else:
            index = _milvus().MilvusIndex(
                address.uri(model.folder), stored, model.catalogue.types
            )
    except UserError as error:
        raise UserError(
            f"{error} If it cannot be mended, build it anew: {build}"
        ) from None
    except (KeyError, TypeError, RuntimeError):
        raise UserError(
            f"The store in {home.folder} is damaged. Build it anew: {build}"
        ) from None
    return IndexedStore(address.name, index, geometry, keys, n_candidates)


def build_store(
    address: Address, model: OnDisk, histories: Callable[[int], list[np.ndarray]]
) -> None:
    """Write a store of a model, with a progress bar. One that is there is replaced.

    Args:
        address (Address): Which one, but ``exact``.
        model (OnDisk): For which model.
        histories (callable): From a number to so many histories of users, to see what
            queries are like.

    Raises:
        UserError: If the model can have none, or the store cannot be written.
    """
    _check(address, model)
    home, scorer = _home(address, model), model.scorer
    home.make(may_hold_more=home.folder.parent == model.folder)
    before = home.index()
    geometry = Geometry.of(scorer, _sample(model, histories))
    keys = completed(Keys.none(len(model.catalogue)), geometry, scorer)
    rows = np.flatnonzero(keys.of_row >= 0)
    added = functools.partial(additions, geometry, scorer, keys, rows)
    try:
        if address.name == "usearch":
            index = _usearch().UsearchIndex.create(home.folder, geometry.dim, added)
        else:
            index = _milvus().MilvusIndex.create(
                address.uri(model.folder), geometry.dim, added, model.catalogue
            )
        _write(home, model, index, geometry, keys)
    except OSError as error:
        raise _cannot_write(home, error) from None
    if address.name == "milvus" and before:
        _milvus().drop(address.uri(model.folder), before.get("collection", ""))


def save_store(
    store: IndexedStore, address: Address, model: OnDisk, before: Keys
) -> IndexedStore:
    """Return a store whose index has all changes of the model, as it was saved.

    Args:
        store (IndexedStore): The store.
        address (Address): Where it was opened.
        model (OnDisk): The model as it is now.
        before (Keys): What the index has.

    Raises:
        UserError: If it cannot be written or reached. Then it is out of date.
    """
    home = _home(address, model)
    try:
        store = store.written(model.scorer, model.catalogue, before)
        _write(home, model, store.index, store.geometry, store.keys)
    except OSError as error:
        raise _cannot_write(home, error) from None
    except UserError as error:
        build = _command(address, model)
        raise UserError(
            f"The model is saved, but its store is not, and is out of date now: {error} "
            f"Then build it anew: {build}"
        ) from None
    return store


def _write(home, model, index, geometry, keys):
    home.write(Fingerprint.of(model.config), index.about(), geometry, keys)
    index.remove_others()


def _cannot_write(home, error):
    return UserError(
        f"The store cannot be written to {home.folder}: {error.strerror or error}."
    )


def _check(address, model):
    if not isinstance(model.scorer, TextScorer):
        raise UserError(
            f"The store {address.name} is for models that compare vectors: WhisperLite, "
            f"WhisperLitePlus, Whisper and ZeroShot. {model.scorer.kind} answers with the "
            "store exact."
        )


def _home(address, model):
    return Home(address.folder(model.folder), address.name)


def _command(address, model):
    return f"recbole-whisperlite index --model {model.folder} --store {address}"


def _usearch():
    from recbole_whisperlite.recommend.stores import usearch_index

    return usearch_index


def _milvus():
    from recbole_whisperlite.recommend.stores import milvus_index

    return milvus_index


def _sample(model, histories) -> Batch:
    """Return queries as a model is asked: half of them with a history."""
    scorer, rng = model.scorer, np.random.default_rng(0)
    texts = list(getattr(scorer.embedder, "request_vectors", {}))
    if not texts and isinstance(scorer, PlusScorer) and scorer.memory is not None:
        texts = scorer.memory.counts.texts
    if not texts:
        rows = rng.permutation(len(model.catalogue))[:_SAMPLE]
        texts = model.catalogue.texts(rows)
    texts = [texts[row] for row in rng.permutation(len(texts))[:_SAMPLE]]
    of_users = histories(len(texts) // 2)
    none = [np.zeros(0, dtype=np.int64)] * (len(texts) - len(of_users))
    asked = Asked(texts, [*of_users, *none])
    if isinstance(scorer, PlusScorer):
        # it moves all scores of a request alike
        return scorer.encode(asked, lambda logits: np.zeros(len(logits), np.float32))
    return scorer.encode(asked)
