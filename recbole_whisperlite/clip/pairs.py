"""Pictures with their captions, the training data of a CLIP model."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from recbole_whisperlite.clip.sources import read_catalogue
from recbole_whisperlite.data.texts import Template
from recbole_whisperlite.encoder.pictures import PictureError, read_picture, some
from recbole_whisperlite.errors import UserError


@dataclass
class Pairs:
    """Pictures, each with one or more captions.

    Attributes:
        ids (list of str): One per picture.
        pictures (list of str): Paths, or ``archive.zip::member``.
        captions (list of list of str): At least one per picture.
        groups (list of str): Pictures of one group, such as photos of one product, stay
            on the same side of a split.
    """

    ids: list[str]
    pictures: list[str]
    captions: list[list[str]]
    groups: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(
            self.ids + other.ids,
            self.pictures + other.pictures,
            self.captions + other.captions,
            self.groups + other.groups,
        )

    def select(self, rows: list[int] | np.ndarray) -> Pairs:
        """Return the pairs of the given rows, in that order."""
        return Pairs(*([column[row] for row in rows] for column in vars(self).values()))

    def split(self, ratios: list[float], seed: int) -> list[Pairs]:
        """Split at random, by group.

        Args:
            ratios (list of float): The fraction of groups in each part except the first,
                which gets the rest.
            seed (int): Seed of the random split.

        Returns:
            list of Pairs: One more than ``ratios``, each in the original order.
        """
        names = sorted(set(self.groups))
        order = np.random.default_rng(seed).permutation(len(names))
        ends = (np.cumsum(ratios) * len(names)).round().astype(int)
        parts = dict.fromkeys(names, 0)
        for part, numbers in enumerate(np.split(order, ends)[:-1], start=1):
            parts.update((names[number], part) for number in numbers)
        parts = np.array([parts[group] for group in self.groups])
        return [self.select(np.flatnonzero(parts == k)) for k in range(len(ends) + 1)]

    def ground_truth(self) -> dict[str, dict[str, int]]:
        """Return ``{caption: {id: 1}}`` of the first captions, for ``clip evaluate``.

        Pictures with the same caption are all relevant to it.
        """
        truth = {}
        for id_, captions in zip(self.ids, self.captions):
            truth.setdefault(captions[0], {})[id_] = 1
        return truth


def read_pairs(
    path: str | Path,
    captions: list[str] | None = None,
    group: str | None = None,
    id_column: str | None = None,
    picture_column: str | None = None,
) -> Pairs:
    """Read pictures and captions from a csv file, folder, zip file or dataset.

    Rows of a csv file with the same id (or, without ids, the same picture) become one
    picture with all their captions.

    Args:
        path (str or Path): As in :func:`sources.read_catalogue`.
        captions (list of str, optional): Templates, one for each kind of caption, with
            columns in braces, ``"{baseColour} {articleType}"``. By default every text
            column is a caption.
        group (str, optional): The column whose equal values, ignoring case, stay
            together in a split. Products without a value, and by default all products,
            are grouped by their picture.
        id_column (str, optional): csv: the column of ids.
        picture_column (str, optional): csv: the column of pictures.

    Returns:
        Pairs: Products without a picture or without captions are left out, and counted
        in the log.

    Raises:
        UserError: If there is no such path or column, no pair, or an id has several
            pictures.
    """
    catalogue = read_catalogue(path, id_column, picture_column, repeated=True)
    columns = list(catalogue.table.columns)
    if not columns:
        raise UserError(
            f"{path}: there are pictures, but no captions. Captions come from a csv "
            "file, a dataset, or a styles.csv next to the pictures."
        )
    templates = [
        Template(text, columns, catalogue.path, "caption")
        for text in captions or ("{%s}" % name for name in columns)
    ]
    texts = [
        [
            template.compose(row)
            for template in templates
            if any(row[field].strip() for field in template.fields)
        ]
        for row in catalogue.table.to_dict("records")
    ]
    groups = catalogue.column(group) if group else [""] * len(catalogue)
    first = {}
    for picture, id_ in zip(catalogue.pictures, catalogue.ids):
        first.setdefault(picture, id_)
    pairs = Pairs(
        catalogue.ids,
        catalogue.pictures,
        texts,
        [
            f"{catalogue.path} {name.lower() or (first[picture] if picture else id_)}"
            for name, picture, id_ in zip(groups, catalogue.pictures, catalogue.ids)
        ],
    )
    pairs = _merged(pairs, path)
    whole = [
        row for row in range(len(pairs)) if pairs.pictures[row] and pairs.captions[row]
    ]
    if not whole:
        raise UserError(
            f"{path}: none of {len(pairs):,} products has both a picture and a caption."
        )
    if len(whole) < len(pairs):
        logging.getLogger().warning(
            f"{path}: {len(pairs) - len(whole):,} of {len(pairs):,} products are left "
            "out: they lack a picture or a caption."
        )
    return pairs.select(whole)


def _merged(pairs, path):
    """Merge the rows of each id into one picture with all their captions."""
    position, rows = {}, []
    for row, id_ in enumerate(pairs.ids):
        if id_ not in position:
            position[id_] = len(rows)
            rows.append(row)
    if len(rows) == len(pairs):
        return pairs
    merged = pairs.select(rows)
    merged.captions = [[] for _ in rows]
    for id_, picture, captions in zip(pairs.ids, pairs.pictures, pairs.captions):
        first = merged.pictures[position[id_]]
        if first != picture:
            raise UserError(
                f"{path}: the id '{id_}' has two pictures, {first or 'none'} and "
                f"{picture or 'none'}. Give each picture a unique id."
            )
        merged.captions[position[id_]] += captions
    merged.captions = [list(dict.fromkeys(captions)) for captions in merged.captions]
    return merged


def readable(
    pairs: Pairs, missing: str = "error", workers: int = 0, show_progress: bool = True
) -> Pairs:
    """Decode every picture once, and leave out those that cannot be read.

    Args:
        pairs (Pairs): The pairs.
        missing (str): ``error``, or ``skip`` them, with one warning that counts them
            and names a few.
        workers (int): Processes that decode.
        show_progress (bool): Whether a progress bar appears after one second.

    Returns:
        Pairs: Those whose pictures can be read.

    Raises:
        PictureError: At the first broken picture, if ``missing`` is ``error``.
        UserError: If none is left.
    """
    loader = DataLoader(_Problems(pairs), batch_size=None, num_workers=workers)
    found = {}
    for row, problem in enumerate(
        tqdm(loader, "check pictures", delay=1, disable=None if show_progress else True)
    ):
        if problem and missing == "error":
            raise PictureError(f"{problem} To leave it out, use --missing_image=skip.")
        if problem:
            found[row] = problem
    if not found:
        return pairs
    reasons = some(list(found.values()))
    if len(found) == len(pairs):
        raise UserError(f"None of {len(pairs):,} pictures can be read. {reasons}")
    logging.getLogger().warning(
        f"{len(found):,} of {len(pairs):,} pictures are skipped: {reasons}"
    )
    return pairs.select([row for row in range(len(pairs)) if row not in found])


class _Problems(Dataset):
    """What is wrong with each picture, "" if nothing is."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, row):
        try:
            read_picture(self.pairs.pictures[row])
        except PictureError as error:
            return str(error)
        return ""
