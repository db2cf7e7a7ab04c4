"""WhisperLite, Whisper and ZeroShot, exported: a request and an item are compared by text."""

from __future__ import annotations

import copy

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.recommend.embed import Embedder, check_size, unit
from recbole_whisperlite.recommend.scorer import (
    Asked,
    Batch,
    LinearScorer,
    NewItems,
    products,
)


class TextScorer(LinearScorer):
    """Scores by the dot product of the embeddings of request and item.

    A blank request scores 0 for every item. A picture that is asked for adds its cosine
    with the item's picture, on the scale of the text.

    Args:
        kind (str): The name of the model.
        embedder (Embedder): Embeds texts.
        scale (float): The factor of the dot products.
        embeddings (numpy.ndarray): Of the items, float32 ``[n_items, size]``.
        pictures (numpy.ndarray or None): Vectors of the items' pictures, float32
            ``[n_items, dim]``, length 1 or zero.
    """

    def __init__(
        self,
        kind: str,
        embedder: Embedder,
        scale: float,
        embeddings: np.ndarray,
        pictures: np.ndarray | None = None,
    ):
        self.kind, self.embedder, self.scale = kind, embedder, float(scale)
        self.embeddings, self.pictures = embeddings, pictures

    @property
    def n_items(self) -> int:
        return len(self.embeddings)

    @property
    def knows_pictures(self) -> bool:
        return self.pictures is not None

    @property
    def blocks(self) -> tuple[np.ndarray, ...]:
        pictures = () if self.pictures is None else (self.pictures,)
        return (self.embeddings, *pictures)

    def encode(self, asked: Asked) -> Batch:
        text = self._embed(asked.requests) * np.float32(self.scale)
        text *= asked.has_text[:, None]
        n = len(asked.requests)
        queries = (text,)
        if self.pictures is not None:
            queries += (self._picture_query(asked),)
        return Batch(
            asked,
            queries,
            np.zeros(n, dtype=np.float32),
            csr_matrix((n, self.n_items), dtype=np.float32),
        )

    def _embed(self, texts):
        return self._checked(self.embedder.requests(texts))

    def _checked(self, embeddings):
        check_size(embeddings, self.embeddings.shape[1], "the embeddings of the items")
        return embeddings

    def _picture_query(self, asked):
        if asked.pictures is None:
            return None
        check_size(asked.pictures, self.pictures.shape[1], "the pictures of the items")
        return unit(asked.pictures) * np.float32(self.scale)

    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        parts = {"text": products(batch.queries[0], self.embeddings, items)}
        if self.pictures is not None:
            parts["picture"] = products(batch.queries[-1], self.pictures, items)
        return parts

    def similar(self, item: int, text: str) -> np.ndarray:
        of_item = unit(self.embeddings[item : item + 1])[0]
        length = np.linalg.norm(self.embeddings, axis=1)
        return self.embeddings @ of_item / np.maximum(length, np.float32(1e-12))

    def with_items(self, new: NewItems) -> TextScorer:
        other = copy.copy(self)
        added = self.embedder.items(new.texts, new.pictures)
        other.embeddings = np.concatenate([self.embeddings, added])
        if self.pictures is not None:
            other.pictures = np.concatenate([self.pictures, new.pictures])
        return other

    def keep_items(self, rows: np.ndarray) -> TextScorer:
        other = copy.copy(self)
        other.embeddings = self.embeddings[rows]
        if self.pictures is not None:
            other.pictures = self.pictures[rows]
        return other

    def settings(self) -> dict:
        return {"scale": self.scale, **self.embedder.settings()}

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {"item_embeddings.npy": self.embeddings, **self.embedder.arrays()}
        if self.pictures is not None:
            arrays["item_pictures.npy"] = self.pictures
        return arrays
