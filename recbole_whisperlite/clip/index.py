"""A catalogue's vectors: computed once, saved, searched exactly or by a graph."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from recbole_whisperlite.clip import output
from recbole_whisperlite.clip.graph import Graph, check_installed
from recbole_whisperlite.encoder import digest
from recbole_whisperlite.encoder.base import unit_rows
from recbole_whisperlite.encoder.pictures import IN_ARCHIVE, some
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import digest_of_file

if TYPE_CHECKING:
    from recbole_whisperlite.clip.sources import Catalogue
    from recbole_whisperlite.encoder.clip import Clip

SIDES = ("pictures", "texts", "both")

# Products times queries scored at once: 64 MB of float32.
_SCORES_A_BLOCK = 2**24


@dataclass
class Index:
    """Unit vectors of products, and the data needed to show them.

    Attributes:
        ids (list of str): The products.
        vectors (numpy.ndarray): float32 ``[n, dim]``, rows of length 1.
        pictures (list of str): As in :class:`Catalogue`; ``""`` for none.
        texts (list of str): As in :class:`Catalogue`; ``""`` for none.
        about (dict): ``encoder`` (its name), ``fingerprint`` (its hash), ``of`` (which
            of :data:`SIDES`) and ``catalogue`` (the path).
        graph (Graph or None): Searched instead of every vector, if there is one.
    """

    ids: list[str]
    vectors: np.ndarray
    pictures: list[str]
    texts: list[str]
    about: dict
    graph: Graph | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the products most similar to each query.

        Args:
            queries (numpy.ndarray): float32 ``[n_queries, dim]``, rows of length 1.
            k (int): Products per query; all of them if there are fewer.

        Returns:
            tuple: Rows of the index, int64 ``[n_queries, k]``, the best first, and
            their cosines, float32 of the same shape.
        """
        k = min(k, len(self))
        if self.graph:
            rows = self.graph.search(queries, k)
            # The graph may compute its own distances at lower precision.
            scores = np.einsum("qd,qkd->qk", queries, self.vectors[rows])
        else:
            rows, scores = _search_all(self.vectors, queries, k)
        # Ties are broken by the order of the catalogue.
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    def save(self, path: str | Path) -> None:
        """Write the index to an ``.npz`` file, and its graph, if any, next to it.

        Raises:
            UserError: If the files cannot be written.
        """
        content, of_graph = _checksum(self.vectors), None
        if self.graph:
            graph = _graph_file(path, content)
            self.graph.save(graph)
            of_graph = digest_of_file(graph)
        # As JSON, because numpy would pad every text to the length of the longest.
        products = {
            "ids": self.ids,
            "pictures": self.pictures,
            "texts": self.texts,
            "about": {**self.about, "content": content, "graph": of_graph},
        }
        with output.writing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, vectors=self.vectors, products=json.dumps(products).encode())


def build_index(
    clip: Clip,
    catalogue: Catalogue,
    of: str = "pictures",
    text_columns: list[str] | None = None,
    batch_size: int = 64,
    workers: int = 0,
    approximate: bool = False,
) -> Index:
    """Encode a catalogue.

    Products whose picture is missing or broken are left out of an index of pictures and
    are represented by their text alone in an index of both; a warning counts them.

    Args:
        clip (Clip): The encoder.
        catalogue (Catalogue): The products.
        of (str): ``pictures``, ``texts``, or ``both`` (the sum of the two unit vectors).
        text_columns (list of str, optional): Columns joined into the text; by default
            all.
        batch_size (int): Pictures or texts encoded at once.
        workers (int): Processes that decode pictures.
        approximate (bool): Whether to build a :class:`Graph` for the search.

    Returns:
        Index: With at least one product.

    Raises:
        UserError: If ``of`` is not one of :data:`SIDES`, there are no texts or no usable
            pictures, or usearch is needed but not installed.
    """
    if of not in SIDES:
        raise UserError(f"of: '{of}' is not accepted. Accepted: {', '.join(SIDES)}.")
    if approximate:
        check_installed()  # before the pictures are encoded, not after
    vectors, present = None, np.ones(len(catalogue), dtype=bool)
    texts = [""] * len(catalogue)
    if of != "pictures" or len(catalogue.table.columns):
        texts = catalogue.texts(text_columns)
    if of != "texts":
        vectors, present = picture_vectors(clip, catalogue, batch_size, workers)
    if of != "pictures":
        side = clip.encode_texts(texts, batch_size=batch_size)
        vectors = side if vectors is None else unit_rows(vectors + side)
        present = np.ones(len(catalogue), dtype=bool)
    rows = np.flatnonzero(present).tolist()
    vectors = np.ascontiguousarray(vectors[rows], dtype=np.float32)
    catalogue = catalogue.select(rows)
    return Index(
        catalogue.ids,
        vectors,
        [absolute(picture) for picture in catalogue.pictures],
        [texts[row] for row in rows],
        {
            "encoder": clip.name,
            "fingerprint": _fingerprint(clip),
            "of": of,
            "catalogue": catalogue.path,
        },
        Graph.build(vectors) if approximate else None,
    )


def picture_vectors(
    clip: Clip, catalogue: Catalogue, batch_size: int = 64, workers: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Encode the pictures of a catalogue; unreadable ones are skipped and counted.

    Args:
        clip (Clip): The encoder.
        catalogue (Catalogue): The products.
        batch_size (int): Pictures encoded at once.
        workers (int): Processes that decode pictures.

    Returns:
        tuple: float32 ``[n, dim]``, rows of length 1 or zero, and bool ``[n]``, whether
        there is a vector.

    Raises:
        UserError: If no picture can be used.
    """
    named = [row for row, picture in enumerate(catalogue.pictures) if picture]
    if not named:
        raise UserError(
            f"{catalogue.path}: no product has a picture. A dataset names them in the "
            "column image, a csv file in the column given by --picture_column."
        )
    if len(named) < len(catalogue):
        logging.getLogger().warning(
            f"{catalogue.path}: {len(catalogue) - len(named):,} of {len(catalogue):,} "
            "products have no picture."
        )
    found, problems = clip.try_pictures(
        [catalogue.pictures[row] for row in named],
        batch_size,
        workers,
        progress=True,
        fail=False,
    )
    reasons = some(list(problems.values()))
    if len(problems) == len(named):
        raise UserError(
            f"{catalogue.path}: none of {len(named):,} pictures can be read. {reasons}"
        )
    if problems:
        logging.getLogger().warning(
            f"{len(problems):,} of {len(named):,} pictures are skipped: {reasons}"
        )
    vectors = np.zeros((len(catalogue), found.shape[1]), dtype=np.float32)
    vectors[named] = found
    present = np.zeros(len(catalogue), dtype=bool)
    present[named] = True
    present[[named[number] for number in problems]] = False
    return vectors, present


def load_index(path: str | Path, clip: Clip, approximate: bool = False) -> Index:
    """Read an index that :meth:`Index.save` wrote.

    Args:
        path (str or Path): The ``.npz`` file.
        clip (Clip): The encoder that will encode the queries.
        approximate (bool): Whether to search by a graph: the one saved next to the
            index, or else one built now.

    Returns:
        Index: As it was saved.

    Raises:
        UserError: If it is not an index, or was built with another encoder: vectors of
            two encoders cannot be compared.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: this index does not exist; --save_index writes one.")
    try:
        with np.load(path, allow_pickle=False) as file:
            products = json.loads(file["products"].item())
            index = Index(vectors=file["vectors"], **products)
        content = index.about.pop("content")
        of_graph = index.about.pop("graph", None)
        made_by, fingerprint = index.about["encoder"], index.about["fingerprint"]
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        MemoryError,
        zipfile.BadZipFile,
    ):
        # Other files that numpy can read, such as a single array, also end up here.
        raise UserError(
            f"{path}: this is not an index, or it is damaged. --save_index writes one."
        ) from None
    if fingerprint != _fingerprint(clip):
        raise UserError(
            f"{path}: this index was built with the encoder '{made_by}', but the queries "
            f"would be encoded by '{clip.name}'"
            f"{' with other weights' if made_by == clip.name else ''}. Use the encoder "
            f"of the index, or rebuild it from {index.about['catalogue']}."
        )
    if approximate:
        index.graph = _saved_graph(_graph_file(path, content), of_graph)
        index.graph = index.graph or Graph.build(index.vectors)
    return index


def _saved_graph(path, digest_of_saved):
    """Return the graph that was saved with an index; None if there is no such file."""
    if not path.is_file():
        return None
    # usearch reads whatever it is given, and a file of another kind crashes the process
    if digest_of_file(path) == digest_of_saved:
        return Graph.load(path)
    logging.getLogger().warning(
        f"{path} is not the graph that was saved with the index: it is built anew."
    )
    return None


def _search_all(vectors, queries, k):
    """Compare every product with every query, block by block to save memory."""
    queries = torch.from_numpy(np.ascontiguousarray(queries))
    vectors = torch.from_numpy(np.asarray(vectors))
    rows, scores = [], []
    step = max(1, _SCORES_A_BLOCK // len(vectors))
    for block in queries.split(step):
        best = torch.topk(block @ vectors.T, k, dim=1)
        rows.append(best.indices)
        scores.append(best.values)
    return torch.cat(rows).numpy(), torch.cat(scores).numpy()


def _fingerprint(clip):
    return digest.of_json(clip.fingerprint())


def _checksum(vectors):
    """Identify the vectors, so that a graph of others is not searched for them."""
    digest_ = hashlib.blake2b(np.ascontiguousarray(vectors), digest_size=8)
    return digest_.hexdigest()


def _graph_file(path, content):
    return Path(f"{path}.{content}.usearch")


def absolute(picture: str) -> str:
    """Return the absolute path of a picture, also of ``file.zip::member``; ``""`` of
    ``""``."""
    archive, found, member = picture.partition(IN_ARCHIVE)
    return f"{Path(archive).resolve()}{found}{member}" if picture else ""
