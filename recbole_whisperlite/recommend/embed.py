"""Texts as embeddings: what an exported model does to a request and to an item."""

from __future__ import annotations

import abc
import collections
import functools
import threading
from typing import Any, NamedTuple

import numpy as np

from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.encoder.token_states import token_states
from recbole_whisperlite.errors import UserError

# The encoders that run on torch are not made for several threads.
_ENCODING = threading.Lock()
#: The file of trained weights, and that of the vectors of a precomputed encoder.
WEIGHTS, KNOWN = "model.safetensors", "request_vectors.parquet"
#: As torch.nn.functional.normalize: no vector is divided by less.
_SHORTEST = 1e-12
# Texts whose vectors are kept, a few kilobytes each: shoppers ask for the same again.
_MOST_REMEMBERED = 4096


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return float32 ``[n, dim]`` with rows of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, np.float32(_SHORTEST))


class Tower(NamedTuple):
    """A trained MLP, see :class:`recbole_whisperlite.model.tower.Tower`.

    Attributes:
        layers (list of tuple): Weight, float32 ``[out, in]``, and bias, float32
            ``[out]``, of each layer; all but the last are followed by a ReLU.
        normalize (bool): Whether embeddings get unit length.
    """

    layers: list[tuple[np.ndarray, np.ndarray]]
    normalize: bool

    def embed(self, vectors: np.ndarray) -> np.ndarray:
        """Return the embeddings of vectors ``[n, dim]``, float32 ``[n, embedding_size]``."""
        x = np.asarray(vectors, dtype=np.float32)
        check_size(x, self.layers[0][0].shape[1], "the weights of the towers")
        for number, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            if number < len(self.layers) - 1:
                x = np.maximum(x, 0, out=x)
        return unit(x) if self.normalize else x


class Embedder(abc.ABC):
    """Embeds requests and items of one model, so that dot products compare them."""

    @abc.abstractmethod
    def requests(self, texts: list[str]) -> np.ndarray:
        """Return the embeddings of request texts, float32 ``[len(texts), size]``."""

    @abc.abstractmethod
    def items(self, texts: list[str], pictures: np.ndarray | None) -> np.ndarray:
        """Return the embeddings of items.

        Args:
            texts (list of str): The item texts.
            pictures (numpy.ndarray or None): Vectors of their pictures, float32
                ``[len(texts), dim]``, zero where there is none; None for a model that
                does not know pictures.

        Returns:
            numpy.ndarray: float32 ``[len(texts), size]``.
        """

    @abc.abstractmethod
    def settings(self) -> dict:
        """Return all but arrays that it needs, as JSON can hold it."""

    @abc.abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that it needs, by ``file/name``."""


class Towers(Embedder):
    """Of WhisperLite and WhisperLitePlus: a frozen encoder, then a tower for each side.

    Args:
        encoder (FittedEncoder): That of the training.
        request_tower (Tower): Its input is the vector of a text.
        item_tower (Tower): Its input is the vector of the text, then that of the picture,
            then 1 if there is a picture.
        use_text, use_image (bool): Which of these the item tower takes.
        request_vectors (dict): Vectors by text, for texts that the encoder cannot encode
            because it is ``precomputed``; else empty.
    """

    def __init__(
        self,
        encoder: FittedEncoder,
        request_tower: Tower,
        item_tower: Tower,
        use_text: bool,
        use_image: bool,
        request_vectors: dict[str, np.ndarray],
    ):
        self.encoder = encoder
        self._request_vectors = RequestVectors(encoder, request_vectors)
        self.request_tower, self.item_tower = request_tower, item_tower
        self.use_text, self.use_image = use_text, use_image
        self.request_vectors = request_vectors

    def request_inputs(self, texts: list[str]) -> np.ndarray:
        """Return what goes into the request tower, ``[len(texts), dim]``."""
        return self._request_vectors.of(texts)

    def requests(self, texts: list[str]) -> np.ndarray:
        return self.request_tower.embed(self.request_inputs(texts))

    def item_inputs(self, texts: list[str], pictures: np.ndarray | None) -> np.ndarray:
        """Return what goes into the item tower, float32 ``[len(texts), dim]``."""
        parts = [encoded(self.encoder, texts)] if self.use_text else []
        if self.use_image:
            parts += [pictures, pictures.any(axis=1)[:, None]]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def items(self, texts: list[str], pictures: np.ndarray | None) -> np.ndarray:
        return self.item_tower.embed(self.item_inputs(texts, pictures))

    def settings(self) -> dict:
        return {
            "use_text": self.use_text,
            "use_image": self.use_image,
            "normalize": self.request_tower.normalize,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        towers = {"request_tower": self.request_tower, "item_tower": self.item_tower}
        arrays = {}
        for name, tower in towers.items():
            for number, (weight, bias) in enumerate(tower.layers):
                arrays[f"{WEIGHTS}/{name}.{number}.weight"] = weight
                arrays[f"{WEIGHTS}/{name}.{number}.bias"] = bias
        return {**arrays, **_arrays_of_known(self.request_vectors)}


class Frozen(Embedder):
    """Of ZeroShot: the vectors of the frozen encoder.

    Args:
        encoder (FittedEncoder): That of the training.
        request_vectors (dict): As for :class:`Towers`.
    """

    def __init__(self, encoder: FittedEncoder, request_vectors: dict[str, np.ndarray]):
        self.encoder, self.request_vectors = encoder, request_vectors
        self._request_vectors = RequestVectors(encoder, request_vectors)

    def requests(self, texts: list[str]) -> np.ndarray:
        vectors = self._request_vectors.of(texts)
        return unit(vectors.astype(np.float32))

    def items(self, texts: list[str], pictures: np.ndarray | None) -> np.ndarray:
        return unit(encoded(self.encoder, texts).astype(np.float32))

    def settings(self) -> dict:
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        return _arrays_of_known(self.request_vectors)


class Sequences(Embedder):
    """Of Whisper: a bi-LSTM for each side over the token states of the encoder.

    Args:
        encoder (FittedEncoder): That of the training.
        weights (dict): Those of ``torch.nn.LSTM``, by ``request.<name>`` and
            ``item.<name>``, float32.

    Raises:
        ValueError: If the weights do not fit together.
    """

    def __init__(self, encoder: FittedEncoder, weights: dict[str, np.ndarray]):
        for side in ("request", "item"):
            _check_lstm(weights, side)
        self.encoder, self.weights = encoder, weights

    def requests(self, texts: list[str]) -> np.ndarray:
        return self._embed("request", texts)

    def items(self, texts: list[str], pictures: np.ndarray | None) -> np.ndarray:
        return self._embed("item", texts)

    def settings(self) -> dict:
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        return {f"{WEIGHTS}/{name}": array for name, array in self.weights.items()}

    @functools.cached_property
    def _lstms(self):
        import torch

        lstms = {}
        for side in ("request", "item"):
            weights = {
                name.partition(".")[2]: torch.tensor(array)
                for name, array in self.weights.items()
                if name.startswith(f"{side}.")
            }
            hidden, dim = weights["weight_ih_l0"].shape
            lstm = torch.nn.LSTM(dim, hidden // 4, batch_first=True, bidirectional=True)
            lstm.load_state_dict(weights)
            lstms[side] = lstm.eval()
        return lstms

    def _embed(self, side, texts):
        import torch

        # a blank text may have no token at all; what it gets is not used
        texts = [text or "a" for text in texts]
        with _ENCODING:
            states, offsets = token_states(self.encoder.first, texts)
        size = self.weights[f"{side}.weight_ih_l0"].shape[1]
        check_size(states, size, "the weights of Whisper")
        sequences = [
            torch.from_numpy(states[begin:end]).float()
            for begin, end in zip(offsets, offsets[1:])
        ]
        packed = torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
        with torch.inference_mode():
            _, (last, _) = self._lstms[side](packed)
        return unit(torch.cat([last[0], last[1]], dim=1).numpy())


def check_size(vectors: np.ndarray, size: int, of: str) -> None:
    """Raise a UserError unless vectors ``[n, dim]`` have the length that a model needs."""
    if vectors.shape[1] != size:
        raise UserError(
            f"The model is damaged, or its encoder is another: vectors have "
            f"{vectors.shape[1]} numbers, and {of} are made for {size}."
        )


def encoded(encoder: FittedEncoder, texts: list[str]) -> np.ndarray:
    """Return the frozen vectors of texts, encoded by one thread at a time."""
    with _ENCODING:
        return encoder.encode(texts)


class RequestVectors:
    """The frozen vectors of request texts; the latest are not encoded again.

    Args:
        encoder (FittedEncoder): Encodes them.
        known (dict): Vectors by text of a ``precomputed`` encoder; else empty.
    """

    def __init__(self, encoder: FittedEncoder, known: dict[str, np.ndarray]):
        self.encoder, self.known = encoder, known
        self._latest: collections.OrderedDict[str, np.ndarray] = (
            collections.OrderedDict()
        )

    def of(self, texts: list[str]) -> np.ndarray:
        """Return the vectors of texts; empty texts have the vector zero.

        Args:
            texts (list of str): The texts; each distinct one is encoded once.

        Returns:
            numpy.ndarray: float32 ``[len(texts), dim]``.

        Raises:
            UserError: If the encoder is precomputed and has no vector for a text.
        """
        # one text at least, to know the size of a vector
        distinct = list(dict.fromkeys(filter(None, texts))) or ["a"]
        found = self._known(distinct) if self.known else self._encoded(distinct)
        size = len(next(iter(found.values())))
        vectors = np.zeros((len(texts), size), dtype=np.float32)
        for row, text in enumerate(texts):
            if text:
                vectors[row] = found[text]
        return vectors

    def _known(self, texts):
        if texts == ["a"] and "a" not in self.known:
            return self.known
        missing = [text for text in texts if text not in self.known]
        if missing:
            raise UserError(
                f"The request '{missing[0][:80]}' is new, and this model's encoder is "
                f"precomputed: it has vectors only for the {len(self.known)} requests of "
                "its training data. Train with an encoder that reads text, such as tfidf."
            )
        return self.known

    def _encoded(self, texts):
        with _ENCODING:
            found = {text: self._latest[text] for text in texts if text in self._latest}
            new = [text for text in texts if text not in found]
            if new:
                found.update(zip(new, self.encoder.encode(new)))
            for text in texts:
                self._latest[text] = found[text]
                self._latest.move_to_end(text)
            while len(self._latest) > _MOST_REMEMBERED:
                self._latest.popitem(last=False)
        return found


def _arrays_of_known(request_vectors):
    if not request_vectors:
        return {}
    return {
        f"{KNOWN}/request": list(request_vectors),
        f"{KNOWN}/vector": np.stack(list(request_vectors.values())),
    }


def tower_of_arrays(arrays: dict[str, Any], name: str, normalize: bool) -> Tower:
    """Return a tower from ``<name>.<layer>.weight`` and ``.bias``.

    Raises:
        ValueError: If its layers do not fit together.
    """
    layers = []
    while f"{name}.{len(layers)}.weight" in arrays:
        weight = arrays[f"{name}.{len(layers)}.weight"]
        bias = arrays.get(f"{name}.{len(layers)}.bias")
        fits = weight.ndim == 2 and bias is not None and bias.shape == weight.shape[:1]
        if not fits or (layers and layers[-1][0].shape[0] != weight.shape[1]):
            raise ValueError(f"the weights of {name} do not fit together")
        _check_finite(name, weight, bias)
        layers.append((weight, bias))
    if not layers:
        raise ValueError(f"there are no weights of {name}")
    return Tower(layers, normalize)


def _check_finite(name, *arrays):
    if not all(each.dtype.kind == "f" and np.isfinite(each).all() for each in arrays):
        raise ValueError(f"the weights of {name} are not finite numbers")


def _check_lstm(weights, side):
    """Raise a ValueError unless these are the weights of one bidirectional layer."""
    hidden, dim = weights[f"{side}.weight_hh_l0"].shape[1], None
    for end in ("", "_reverse"):
        dim = dim or weights[f"{side}.weight_ih_l0"].shape[1]
        shapes = {
            "weight_ih": (4 * hidden, dim),
            "weight_hh": (4 * hidden, hidden),
            "bias_ih": (4 * hidden,),
            "bias_hh": (4 * hidden,),
        }
        for name, shape in shapes.items():
            array = weights[f"{side}.{name}_l0{end}"]
            if array.shape != shape:
                raise ValueError(f"the weights of {side} do not fit together")
            _check_finite(side, array)
