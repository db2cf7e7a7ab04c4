"""From the folder of an exported model to its parts, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite import own_code
from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.catalogue import TEXT, Catalogue
from recbole_whisperlite.recommend.count_scorers import (
    PopularityScorer,
    SimilarItemsScorer,
    WordScorer,
)
from recbole_whisperlite.recommend.counts import RequestCounts
from recbole_whisperlite.recommend.embed import (
    KNOWN,
    WEIGHTS,
    Embedder,
    Frozen,
    Sequences,
    Towers,
    tower_of_arrays,
)
from recbole_whisperlite.recommend.folder import ModelFolder
from recbole_whisperlite.recommend.fusion_scorer import FusionScorer
from recbole_whisperlite.recommend.plus_scorer import LikeHistory, Memory, PlusScorer
from recbole_whisperlite.recommend.scorer import Scorer
from recbole_whisperlite.recommend.text_scorer import TextScorer
from recbole_whisperlite.recommend.users import Users


class Parts(Mapping):
    """The arrays of one model in a folder; of a part of LateFusion with its prefix."""

    def __init__(self, folder: ModelFolder, prefix: str, n_items: int):
        self.folder, self.prefix, self.n_items = folder, prefix, n_items

    def __getitem__(self, key):
        return self.folder[self.prefix + key]

    def __iter__(self):
        return (key[len(self.prefix) :] for key in self.folder)

    def __len__(self):
        return len(self.folder)

    def array(self, key: str, *shape: int | None) -> np.ndarray:
        """Return an array of a shape, in which None is any length.

        Raises:
            UserError: If it has another shape, or values that are not finite.
        """
        array = self[key]
        fits = array.ndim == len(shape) and all(
            length is None or length == given
            for length, given in zip(shape, array.shape)
        )
        if not fits:
            self.folder.refuse(f"{self.prefix}{key} has the shape {array.shape}")
        is_small = not isinstance(array, np.memmap)  # large ones are not read at once
        if is_small and array.dtype.kind == "f" and not np.isfinite(array).all():
            self.folder.refuse(f"{self.prefix}{key} has values that are not finite")
        return array

    def strings(self, key: str) -> list[str]:
        """Return a column of texts."""
        return self[key].to_pylist()

    def sparse(self, file: str, n_rows: int) -> csr_matrix:
        """Return a sparse matrix ``[n_rows, n_items]``.

        Raises:
            UserError: If its arrays do not fit together.
        """
        begin = self.array(f"{file}/begin", n_rows + 1)
        n = int(begin[-1])
        item, value = self.array(f"{file}/item", n), self.array(f"{file}/value", n)
        ordered = begin[0] == 0 and (np.diff(begin) >= 0).all()
        if not ordered or (n and not 0 <= item.min() <= item.max() < self.n_items):
            self.folder.refuse(f"the rows of {self.prefix}{file} do not fit together")
        return csr_matrix((value, item, begin), shape=(n_rows, self.n_items))

    def counts(self) -> RequestCounts:
        """Return the counts by request."""
        texts = self.strings("requests.parquet/request")
        return RequestCounts(texts, self.sparse("memory.npz", len(texts)))


def read_encoder(
    folder: ModelFolder, settings: dict | None, own_code_allowed: bool
) -> FittedEncoder:
    """Return the encoder of a model.

    Args:
        folder (ModelFolder): The model.
        settings (dict or None): Settings that replace those of the training, such as
            ``cache_dir`` or the path of a model that is elsewhere now.
        own_code_allowed (bool): Whether a ``module:Class`` may be imported.

    Raises:
        UserError: If it is code of the user's own and that is not allowed, or if the
            model that encodes is another than in training.
    """
    of = folder.config["encoder"]
    config = {**of["settings"], "show_progress": False, **(settings or {})}
    names = of["names"]
    own = [name for name in names if own_code.is_named(name)]
    if own and not own_code_allowed:
        raise UserError(
            f"{folder.folder} was trained with the encoder '{own[0]}', code that is not in "
            "the folder. If you trust the module of this name that is installed here, load "
            "the model with own_code=True (--own_code)."
        )
    state = {
        name: dict(folder[f"encoder-{number}.npz"])
        for number, name in enumerate(names)
        if f"encoder-{number}.npz" in folder
    }
    encoder = FittedEncoder(config, [], state)
    for name, found in encoder.fingerprints().items():
        trained = of["fingerprints"].get(name, {})
        # versions of libraries may differ; the model may not
        for key in ("model", "weights", "long_text"):
            if found.get(key) != trained.get(key):
                raise UserError(
                    f"The encoder {name} is not the one of the training: its {key} "
                    f"differs ({found.get(key)}, not {trained.get(key)}). Give the "
                    "settings of the one that was trained with, such as "
                    "settings={'clip_pretrained': '/path/to/it'}."
                )
    return encoder


def read_catalogue(
    folder: ModelFolder, pictures: str | os.PathLike | None = None
) -> Catalogue:
    """Return the item table of a model; ``pictures`` is where they are now."""
    of, table = folder.config["catalogue"], folder["items.parquet"]
    pictures = None if pictures is None else os.path.abspath(pictures)
    if pictures is None and of["pictures"] is not None:
        pictures = of["pictures"]
        pictures = os.path.normpath(os.path.join(folder.folder, pictures))
    for column in (TEXT, of["id_field"], *of["types"], *of["text_fields"]):
        if column not in table.column_names:
            folder.refuse(f"the item table has no column '{column}'")
    ids = table[of["id_field"]].to_pylist()
    if len(set(ids)) < len(ids) or None in ids:
        folder.refuse("an id is in the item table twice, or empty")
    return Catalogue(
        table,
        of["id_field"],
        of["text_fields"],
        of["types"],
        pictures,
        of["seq_separator"],
    )


def read_users(folder: ModelFolder, n_items: int) -> Users | None:
    """Return the users of a model, or None if they were left out."""
    if "users.parquet" not in folder:
        return None
    table = folder["users.parquet"]
    items = table["items"].combine_chunks().flatten().to_numpy()
    if len(items) and not 0 <= items.min() <= items.max() < n_items:
        folder.refuse("a history has items that are not in the catalogue")
    return Users.of_table(table)


def read_scorer(folder: ModelFolder, encoder: FittedEncoder, n_items: int) -> Scorer:
    """Return the model itself."""
    config = folder.config
    return _scorer(folder, config["model"], config["scorer"], encoder, n_items, "")


def _scorer(folder, kind, settings, encoder, n_items, prefix):
    if kind not in _READERS:
        raise UserError(
            f"{folder.folder} is a {kind}, which this version cannot load: it knows "
            f"{', '.join(_READERS)}."
        )
    parts = Parts(folder, prefix, n_items)
    return _READERS[kind](kind, settings, parts, encoder)


def _embedder(kind, settings, parts, encoder) -> Embedder:
    if kind == "Whisper":
        return Sequences(encoder, parts[WEIGHTS])
    known = {}
    if KNOWN in parts:
        texts, vectors = parts.strings(f"{KNOWN}/request"), parts[f"{KNOWN}/vector"]
        vectors = np.stack(vectors.to_numpy()).astype(np.float32)
        known = dict(zip(texts, vectors))
    if kind == "ZeroShot":
        return Frozen(encoder, known)
    towers = [
        tower_of_arrays(parts[WEIGHTS], f"{side}_tower", settings["normalize"])
        for side in ("request", "item")
    ]
    return Towers(encoder, *towers, settings["use_text"], settings["use_image"], known)


def _text(kind, settings, parts, encoder):
    pictures = None
    if settings.get("use_image"):
        pictures = parts.array("item_pictures.npy", parts.n_items, None)
    return TextScorer(
        kind,
        _embedder(kind, settings, parts, encoder),
        settings["scale"],
        parts.array("item_embeddings.npy", parts.n_items, None),
        pictures,
    )


def _plus(kind, settings, parts, encoder):
    memory = like_history = neighbors = None
    if "prior_count" in settings:
        memory = Memory(
            parts.counts(),
            parts.array("memory.npz/popularity", parts.n_items),
            parts.array("memory.npz/known", parts.n_items),
            settings["total_popularity"],
            settings["prior_count"],
            settings["unseen"],
        )
    if "neighbors.npz" in parts:
        neighbors = parts.sparse("neighbors.npz", parts.n_items)
    if "history_weight" in settings:
        mean = parts.array("history.npz/mean", None)
        vectors = parts.array("item_vectors.npy", parts.n_items, None)
        like_history = LikeHistory(
            vectors,
            mean,
            parts.array("history.npz/projection", len(mean), vectors.shape[1]),
            settings["history_weight"],
            settings["attention_scale"],
        )
    return PlusScorer(
        _text(kind, settings, parts, encoder),
        memory,
        like_history,
        neighbors,
        settings["neighbors_weight"],
        settings["splits_requests"],
        settings["refusal_weight"],
        settings["history_length"],
    )


def _popularity(kind, settings, parts, encoder):
    popularity = parts.array("memory.npz/popularity", parts.n_items)
    return PopularityScorer(kind, popularity, parts.counts())


def _words(kind, settings, parts, encoder):
    words = parts.strings("words.parquet/word")
    return WordScorer(
        words,
        parts.sparse("words.npz", len(words)),
        parts.array("words.npz/idf", len(words)),
        settings["n_trained"],
        settings["average_length"],
        settings["k1"],
        settings["b"],
    )


def _similar_items(kind, settings, parts, encoder):
    return SimilarItemsScorer(kind, parts.sparse("neighbors.npz", parts.n_items))


def _fusion(kind, settings, parts, encoder):
    folder, n_items = parts.folder, parts.n_items
    scorers = {
        name: _scorer(folder, of["model"], of["settings"], encoder, n_items, f"{name}-")
        for name, of in settings["parts"].items()
    }
    known = parts.array("known.npz/known", n_items)
    return FusionScorer(scorers, settings["weights"], known)


_READERS: dict[str, Callable] = {
    "WhisperLite": _text,
    "WhisperLitePlus": _plus,
    "Whisper": _text,
    "ZeroShot": _text,
    "BM25": _words,
    "RequestPop": _popularity,
    "LateFusion": _fusion,
    # parts of LateFusion
    "Pop": _popularity,
    **dict.fromkeys(("ItemKNN", "EASE", "SLIMElastic"), _similar_items),
}
