"""Pictures with their captions, as a CLIP model is trained on them."""

import logging
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from recbole_whisperlite.clip.sources import read_catalogue
from recbole_whisperlite.data.texts import Template
from recbole_whisperlite.encoder.pictures import PictureError, read_picture, some
from recbole_whisperlite.errors import UserError


@dataclass
class Pairs:
    """Pictures, each with one caption or several.

    Attributes:
        ids (list of str): One a picture.
        pictures (list of str): Paths, or ``archive.zip::member``.
        captions (list of list of str): At least one a picture.
        groups (list of str): Pictures of one group, such as photos of one product, stay
            on the same side of a split.
    """

    ids: list
    pictures: list
    captions: list
    groups: list

    def __len__(self):
        return len(self.ids)

    def __add__(self, other):
        return Pairs(
            self.ids + other.ids,
            self.pictures + other.pictures,
            self.captions + other.captions,
            self.groups + other.groups,
        )

    def select(self, rows):
        """Return the pairs of some rows (array of int)."""
        return Pairs(*([column[row] for row in rows] for column in vars(self).values()))

    def split(self, ratios, seed):
        """Split at random, by group.

        Args:
            ratios (list of float): Shares of the groups in each part but the first,
                which gets the rest.
            seed (int): Of the random choice.

        Returns:
            list of Pairs: One more than ``ratios``, each in the order that they had.
        """
        names = sorted(set(self.groups))
        order = np.random.default_rng(seed).permutation(len(names))
        ends = (np.cumsum(ratios) * len(names)).round().astype(int)
        parts = dict.fromkeys(names, 0)
        for part, places in enumerate(np.split(order, ends)[:-1], start=1):
            parts.update((names[place], part) for place in places)
        parts = np.array([parts[group] for group in self.groups])
        return [self.select(np.flatnonzero(parts == k)) for k in range(len(ends) + 1)]

    def ground_truth(self):
        """Return ``{caption: {id: 1}}`` of the first captions, as clip evaluate takes it.

        Pictures with the same caption answer the same query.
        """
        truth = {}
        for id_, captions in zip(self.ids, self.captions):
            truth.setdefault(captions[0], {})[id_] = 1
        return truth


def read_pairs(path, captions=None, group=None, id_column=None, picture_column=None):
    """Read pictures and captions from a csv file, folder, zip file or dataset.

    Rows of a csv file that have the same id, or without ids the same picture, are one
    picture with the captions of all of them.

    Args:
        path (str or Path): As :func:`sources.read_catalogue` takes it.
        captions (list of str, optional): A template for each caption that a picture
            has, with columns in braces, ``"{baseColour} {articleType}"``. By default
            every text column is a caption.
        group (str, optional): The column whose equal values, small and capital letters
            alike, stay together in a split. A picture without one, and by default every
            picture, is a group of its own, or of all products that have it.
        id_column (str, optional): csv: the column of ids.
        picture_column (str, optional): csv: the column of pictures.

    Returns:
        Pairs: Products without a picture or any caption are left out, and counted in
        the log.

    Raises:
        UserError: If there is no such place or column, no pair, or an id has several
            pictures.
    """
    catalogue = read_catalogue(path, id_column, picture_column, repeated=True)
    columns = list(catalogue.table.columns)
    if not columns:
        raise UserError(
            f"{path}: there are pictures, but no captions. They come from a csv file, a "
            "dataset, or a styles.csv beside the pictures."
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
            f"{path}: of {len(pairs):,} products none has both a picture and a caption."
        )
    if len(whole) < len(pairs):
        logging.getLogger().warning(
            f"{path}: {len(pairs) - len(whole):,} of {len(pairs):,} products are left "
            "out: they have no picture, or no caption."
        )
    return pairs.select(whole)


def _merged(pairs, path):
    """Make one picture of the rows of each id, with the captions of all of them."""
    place, rows = {}, []
    for row, id_ in enumerate(pairs.ids):
        if id_ not in place:
            place[id_] = len(rows)
            rows.append(row)
    if len(rows) == len(pairs):
        return pairs
    merged = pairs.select(rows)
    merged.captions = [[] for _ in rows]
    for id_, picture, captions in zip(pairs.ids, pairs.pictures, pairs.captions):
        if merged.pictures[place[id_]] != picture:
            raise UserError(
                f"{path}: the id '{id_}' stands there with two pictures, "
                f"{merged.pictures[place[id_]] or 'none'} and {picture or 'none'}. Give "
                "each picture an id of its own."
            )
        merged.captions[place[id_]] += captions
    merged.captions = [list(dict.fromkeys(captions)) for captions in merged.captions]
    return merged


def readable(pairs, missing="error", workers=0, show_progress=True):
    """Decode every picture once, and leave out those that cannot be read.

    Args:
        pairs (Pairs): The pairs.
        missing (str): ``error``, or ``skip``: one warning counts and names them.
        workers (int): Processes that decode.
        show_progress (bool): Whether a bar shows after a second.

    Returns:
        Pairs: Those whose pictures can be read.

    Raises:
        PictureError: At the first broken picture, if ``missing`` is ``error``.
        UserError: If none is left.
    """
    loader = DataLoader(_Problems(pairs), batch_size=None, num_workers=workers)
    found = {}
    for row, problem in enumerate(
        tqdm(loader, "check pictures", delay=1, disable=not show_progress)
    ):
        if problem and missing == "error":
            raise PictureError(f"{problem} --missing_image=skip leaves it out.")
        if problem:
            found[row] = problem
    if not found:
        return pairs
    told = some(list(found.values()))
    if len(found) == len(pairs):
        raise UserError(f"None of {len(pairs):,} pictures can be read. {told}")
    logging.getLogger().warning(
        f"{len(found):,} of {len(pairs):,} pictures are left out: {told}"
    )
    return pairs.select([row for row in range(len(pairs)) if row not in found])


class _Problems(Dataset):
    """What is wrong with each picture, "" for nothing."""

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
