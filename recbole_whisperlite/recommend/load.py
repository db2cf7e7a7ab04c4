"""From the folder of an exported model to its parts, checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from logging import getLogger

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from recbole_whisperlite import own_code
from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.encoder.options import each_encoder
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
from recbole_whisperlite.recommend.folder import LARGE, ModelFolder
from recbole_whisperlite.recommend.fusion_scorer import FusionScorer
from recbole_whisperlite.recommend.plus_scorer import (
    BY_FREQUENCY,
    OF_MEMORY,
    OF_REQUEST,
    TERMS,
    PlusScorer,
)
from recbole_whisperlite.recommend.plus_terms import (
    ItemVectors,
    Memory,
    Nearest,
    Similarity,
)
from recbole_whisperlite.recommend.scorer import Scorer
from recbole_whisperlite.recommend.refused_words import RefusedWords
from recbole_whisperlite.recommend.similar_requests import SimilarRequests
from recbole_whisperlite.recommend.text_scorer import TextScorer
from recbole_whisperlite.recommend.users import Users

#: The settings of the encoder that an exported model keeps.
ENCODER_SETTINGS = (
    "encoder",
    "encoder_dim",
    "clip_model",
    "clip_pretrained",
    "sentence_transformers_model",
    "long_text",
    "encode_batch_size",
    "missing_image",
    "vector_dtype",
)


class Parts:
    """The settings and arrays of one model in a folder, checked as they are taken.

    Args:
        folder (ModelFolder): The folder.
        kind (str): The name of the model.
        settings (dict): Its settings.
        n_items (int): The size of the catalogue.
        prefix (str): Before the names of its files, for a part of LateFusion.
    """

    def __init__(
        self, folder: ModelFolder, kind: str, settings: dict, n_items: int, prefix: str
    ):
        self.folder, self.kind, self.settings = folder, kind, settings
        self.n_items, self.prefix = n_items, prefix

    def __contains__(self, file: str) -> bool:
        return self.prefix + file in self.folder

    def __getitem__(self, key: str) -> object:
        return self.folder[self.prefix + key]

    def flag(self, name: str) -> bool:
        """Return a setting that is on or off.

        Raises:
            UserError: If it is neither.
        """
        if not isinstance(self.settings[name], bool):
            self.folder.refuse(f"{name} is {self.settings[name]!r}")
        return self.settings[name]

    def names(self, name: str) -> frozenset[str]:
        """Return a setting that is a list of texts; empty where it is missing.

        Raises:
            UserError: If it is no such list.
        """
        names = self.settings.get(name, [])
        if not isinstance(names, list) or not all(
            isinstance(each, str) and each.strip() for each in names
        ):
            self.folder.refuse(f"{name} is {names!r}")
        return frozenset(names)

    def number(self, name: str, least: float = -np.inf) -> float:
        """Return a setting that is a finite number above ``least``.

        Raises:
            UserError: If it is none.
        """
        value = self.settings[name]
        if not _is_number(value) or not least < value < np.inf:
            self.folder.refuse(f"{name} is {value!r}")
        return value

    def count(self, name: str) -> int:
        """Return a setting that is a whole number above 0.

        Raises:
            UserError: If it is none.
        """
        if not isinstance(self.number(name, 0), int):
            self.folder.refuse(f"{name} is {self.settings[name]!r}")
        return self.settings[name]

    def array(self, key: str, kind: str, *shape: int | None) -> np.ndarray:
        """Return an array of a kind, as in ``numpy.dtype.kind``, and of a shape, in which
        None is any length.

        Raises:
            UserError: If it has another kind or shape, or values that are not finite.
        """
        array, name = self[key], self.prefix + key
        fits = array.ndim == len(shape) and all(
            length is None or length == given
            for length, given in zip(shape, array.shape)
        )
        if not fits or array.dtype.kind != kind:
            self.folder.refuse(f"{name} is {array.dtype} of shape {array.shape}")
        # large ones are not read at once
        if kind == "f" and not (array.nbytes > LARGE or np.isfinite(array).all()):
            self.folder.refuse(f"{name} has values that are not finite")
        return array

    def strings(self, key: str) -> list[str]:
        """Return a column of texts.

        Raises:
            UserError: If there is anything else.
        """
        strings = self[key].to_pylist()
        if not all(isinstance(each, str) for each in strings):
            self.folder.refuse(f"{self.prefix}{key} has something else than text")
        return strings

    def sparse(
        self,
        file: str,
        n_rows: int,
        n_columns: int | None = None,
        least: float = -np.inf,
    ) -> csr_matrix:
        """Return a sparse matrix ``[n_rows, n_columns]`` of values of at least ``least``;
        its columns are the items by default.

        Raises:
            UserError: If its arrays do not fit together.
        """
        n_columns = self.n_items if n_columns is None else n_columns
        begin = self.array(f"{file}/begin", "i", n_rows + 1)
        n = int(begin[-1])
        item = self.array(f"{file}/item", "i", n)
        value = self.array(f"{file}/value", "f", n)
        ordered = begin[0] == 0 and (np.diff(begin) >= 0).all()
        if not ordered or (n and not 0 <= item.min() <= item.max() < n_columns):
            self.folder.refuse(f"the rows of {self.prefix}{file} do not fit together")
        if n and value.min() < least:
            self.folder.refuse(f"{self.prefix}{file} has values below {least}")
        matrix = csr_matrix((value, item, begin), shape=(n_rows, n_columns))
        matrix.sum_duplicates()
        return matrix

    def counts(self) -> RequestCounts:
        """Return the counts by request."""
        texts = self.strings("requests.parquet/request")
        return RequestCounts(texts, self.sparse("memory.npz", len(texts), least=0))


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
    config = {**encoder_settings(folder, settings), "show_progress": False}
    names = [one["encoder"] for one in each_encoder(config)]
    own = [name for name in names if own_code.is_named(name)]
    if own and not own_code_allowed:
        raise UserError(
            f"{folder.folder} was trained with the encoder '{own[0]}', code that is not in "
            "the folder. If you trust the module of this name that is installed here, load "
            "the model with own_code=True (--own-code)."
        )
    state = {
        name: folder[f"encoder-{number}.npz"]
        for number, name in enumerate(names)
        if f"encoder-{number}.npz" in folder
    }
    if "tfidf" in names and not state.get("tfidf"):
        folder.refuse("the words of the encoder tfidf are missing")
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


def encoder_settings(folder: ModelFolder, settings: dict | None) -> dict:
    """Return the settings of a model's encoder: its own, then those that replace them.

    A folder decides nothing else, such as where vectors are cached.
    """
    own = folder.config["encoder"]["settings"]
    kept = {name: own[name] for name in own if name in ENCODER_SETTINGS}
    return {**kept, **(settings or {})}


def read_catalogue(
    folder: ModelFolder, pictures: str | os.PathLike | None = None
) -> Catalogue:
    """Return the item table of a model; ``pictures`` is where they are now."""
    of, table = folder.config["catalogue"], folder["items.parquet"]
    id_field, text_fields, types = of["id_field"], of["text_fields"], of["types"]
    separator, trained_with = of["seq_separator"], of["pictures"]
    kinds = ("token", "token_seq", "float", "float_seq")
    names_fit = {*types, TEXT} == {*table.column_names} and set(
        [id_field, *text_fields]
    ) <= {*types}
    if not names_fit or not text_fields or not {*types.values()} <= {*kinds}:
        folder.refuse("the columns of the item table are not those of the model")
    for column in table.column_names:
        kind = pa.float64() if types.get(column) == "float" else pa.string()
        if table[column].type != kind:
            folder.refuse(f"the column '{column}' holds {table[column].type}")
    ids = table[id_field].to_pylist()
    if len({*ids}) < len(ids) or None in ids or table[TEXT].null_count:
        folder.refuse("an item has no id or no text, or an id is there twice")
    if not isinstance(separator, str) or not separator:
        folder.refuse(f"seq_separator is {separator!r}")
    if pictures is not None:
        pictures = os.path.abspath(pictures)
    elif trained_with is not None:
        # as seen from where the folder is, not from a link to it
        home = os.path.realpath(folder.folder)
        pictures = os.path.normpath(os.path.join(home, trained_with))
        if not os.path.isdir(pictures):
            getLogger().warning(
                f"The pictures of this model are not in {pictures}. Say where they are "
                "with pictures=… (--pictures)."
            )
    # of a column in several chunks, all of it would be copied for each answer
    table = table.combine_chunks()
    return Catalogue(table, id_field, list(text_fields), types, pictures, separator)


def read_config(folder: ModelFolder, settings: dict | None) -> dict:
    """Return what else a model says of itself: for ``save.write_model``."""
    config = folder.config
    if not isinstance(config["about"], dict):
        folder.refuse("it does not say where it comes from")
    return {
        "made_with": config["made_with"],
        "model": config["model"],
        "encoder": {"settings": encoder_settings(folder, settings)},
        "about": config["about"],
    }


def read_users(folder: ModelFolder, n_items: int) -> Users | None:
    """Return the users of a model, or None if they were left out."""
    if "users.parquet" not in folder:
        return None
    return Users.of_table(folder["users.parquet"], n_items)


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
    return _READERS[kind](Parts(folder, kind, settings, n_items, prefix), encoder)


def _embedder(parts, encoder) -> Embedder:
    if parts.kind == "Whisper":
        return Sequences(encoder, parts[WEIGHTS])
    known = {}
    if KNOWN in parts:
        texts, vectors = parts.strings(f"{KNOWN}/request"), parts[f"{KNOWN}/vector"]
        vectors = np.stack(vectors.to_numpy()).astype(np.float32)
        known = dict(zip(texts, vectors))
    if parts.kind == "ZeroShot":
        return Frozen(encoder, known)
    towers = [
        tower_of_arrays(parts[WEIGHTS], f"{side}_tower", parts.flag("normalize"))
        for side in ("request", "item")
    ]
    return Towers(
        encoder, *towers, parts.flag("use_text"), parts.flag("use_image"), known
    )


def _text(parts, encoder):
    pictures = None
    if parts.settings.get("use_image"):
        pictures = parts.array("item_pictures.npy", "f", parts.n_items, None)
    return TextScorer(
        parts.kind,
        _embedder(parts, encoder),
        parts.number("scale"),
        parts.array("item_embeddings.npy", "f", parts.n_items, None),
        pictures,
    )


def _plus(parts, encoder):
    text, n, of_terms = _text(parts, encoder), parts.n_items, {}
    weights, *other_weights = _weights_of_terms(parts)
    if "memory" in weights:
        of_terms["memory"] = _memory(parts)
    if "similar_requests" in weights:
        of_terms["similar_requests"] = _similar_requests(parts)
    if "refused_words" in weights:
        of_terms["refused_words"] = _refused_words(parts)
    for name in ("neighbors", "transitions"):
        if name in weights:
            of_terms[name] = parts.sparse(f"{name}.npz", n, least=0)
    if {*weights} & {"zero_shot", "history", "nearest", "similarity"}:
        mean = parts.array("history.npz/mean", "f", None)
        vectors = parts.array("item_vectors.npy", "f", n, None)
        dim = vectors.shape[1]
        projection = parts.array("history.npz/projection", "f", len(mean), dim)
        of_terms["vectors"] = ItemVectors(vectors, mean, projection)
    if "nearest" in weights:
        of_terms["nearest"] = Nearest(
            parts.sparse("nearest.npz", n, least=0),
            parts.array("nearest.npz/least", "f", n),
            parts.count("n_nearest"),
        )
    if "similarity" in weights:
        of_terms["similarity"] = _similarity(parts, dim)
    return PlusScorer(
        text,
        parts.array("known.npz/known", "b", n),
        weights,
        *other_weights,
        parts.array("known.npz/frequency", "f", n),
        splits_requests=parts.flag("splits_requests"),
        negated_names=parts.names("negated_names"),
        history_length=parts.count("history_length"),
        attention_scale=parts.number("attention_scale"),
        **of_terms,
    )


def _weights_of_terms(parts):
    names = "weights", "weights_of_frequent", "weights_without_history"
    weights, of_frequent, without = found = [parts.settings[name] for name in names]
    of_memory = {*OF_MEMORY} & {*weights}
    fit = "towers" in weights and {*weights} <= {*TERMS}
    fit = fit and of_memory in (set(), {*OF_MEMORY})
    fit = fit and ("memory" in weights or "similar_requests" not in weights)
    fit = fit and ("refusals" in weights or "refused_words" not in weights)
    fit = fit and {*of_frequent} == {*weights} & {*BY_FREQUENCY}
    fit = fit and {*without} == {*weights} & {*OF_REQUEST}
    if not fit or not all(
        _is_number(value) for each in found for value in each.values()
    ):
        told = ", ".join(f"{name} {each!r}" for name, each in zip(names, found))
        parts.folder.refuse(f"the weights of WhisperLitePlus are {told}")
    return found


def _memory(parts):
    popularity = parts.array("memory.npz/popularity", "f", parts.n_items)
    if (popularity < 0).any():
        parts.folder.refuse("an item was chosen less than 0 times")
    return Memory(
        parts.counts(),
        popularity,
        parts.number("prior_count", 0),
        parts.number("unseen", 0),
        parts.number("new_log_factor"),
    )


def _similar_requests(parts):
    file = "similar_requests.npz"
    texts = parts.strings("similar_requests.parquet/request")
    vectors = parts.array("similar_request_vectors.npy", "f", len(texts), None)
    mean = parts.array(f"{file}/mean", "f", None)
    projection = parts.array(f"{file}/projection", "f", len(mean), vectors.shape[1])
    counts = RequestCounts(texts, parts.sparse(file, len(texts), least=0))
    n_similar = parts.count("n_similar_requests")
    prior_count = parts.number("similar_count", 0)
    return SimilarRequests(counts, vectors, mean, projection, n_similar, prior_count)


def _refused_words(parts):
    words = parts.strings("refused_words.parquet/word")
    item_words = parts.strings("item_words.parquet/word")
    return RefusedWords(
        words,
        item_words,
        parts.sparse("refused_words.npz", len(words), len(item_words)),
        parts.sparse("item_words.npz", parts.n_items, len(item_words), least=0),
        parts.number("most_by_words", 0),
    )


def _similarity(parts, dim):
    queries = parts.array("item_queries.npy", "f", parts.n_items, None)
    size = queries.shape[1]
    position = parts.array("similarity.npz/position", "f", None)
    if not len(position):
        parts.folder.refuse("similarity.npz/position is empty")
    return Similarity(
        parts.array("item_keys.npy", "f", parts.n_items, size + 1),
        queries,
        parts.array("similarity.npz/to_key", "f", size, dim),
        parts.array("similarity.npz/to_query", "f", size, dim),
        position,
    )


def _popularity(parts, encoder):
    popularity = parts.array("memory.npz/popularity", "f", parts.n_items)
    return PopularityScorer(parts.kind, popularity, parts.counts())


def _words(parts, encoder):
    words = parts.strings("words.parquet/word")
    return WordScorer(
        words,
        parts.sparse("words.npz", len(words)),
        parts.array("words.npz/idf", "f", len(words)),
        parts.count("n_trained"),
        parts.number("average_length", 0),
        parts.number("k1"),
        parts.number("b"),
    )


def _similar_items(parts, encoder):
    return SimilarItemsScorer(parts.kind, parts.sparse("neighbors.npz", parts.n_items))


def _fusion(parts, encoder):
    folder, n_items = parts.folder, parts.n_items
    if parts.prefix:
        folder.refuse("a part of LateFusion is a LateFusion")
    scorers = {
        name: _scorer(folder, of["model"], of["settings"], encoder, n_items, f"{name}-")
        for name, of in parts.settings["parts"].items()
    }
    weights = parts.settings["weights"]
    if {*weights} != {*scorers} or not all(map(_is_number, weights.values())):
        folder.refuse(f"the weights of LateFusion are {weights!r}")
    return FusionScorer(scorers, weights, parts.array("known.npz/known", "b", n_items))


def _is_number(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) < np.inf


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
