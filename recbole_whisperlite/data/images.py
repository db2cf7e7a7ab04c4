"""The pictures of a request-aware dataset: which item has one, and their vectors."""

import os
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.data.texts import IMAGE_FIELD, TextFile
from recbole_whisperlite.encoder.picture_vectors import encode_pictures
from recbole_whisperlite.encoder.pictures import PictureError, read_picture, some
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config


def image_vectors(
    config: "Config", item_file: TextFile | None, item_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the items' pictures.

    An item whose ``image`` is empty has no picture. A picture that is named but cannot be
    read is skipped and reported, or an error, according to ``missing_image``.

    Args:
        config (Config): With the settings of ``properties/dataset/request.yaml``, and
            ``data_path``, to which paths are relative.
        item_file (TextFile or None): The ``.item`` file.
        item_ids (array of str): External ids by item id; the first is padding.

    Returns:
        tuple: float32 ``[len(item_ids), dim]``, zero where there is no picture, and
        bool ``[len(item_ids)]``, whether there is one.

    Raises:
        UserError: As in ``RequestDatasetMixin.item_image_vectors``.
    """
    names = _names(config, item_file, item_ids)
    items = [item for item, name in enumerate(names) if name]
    paths = [os.path.join(config["data_path"], names[item]) for item in items]
    try:
        encoded = encode_pictures(config, paths)
    except PictureError as error:
        raise _with_remedy(error) from error
    readable = encoded.any(axis=1)
    _report(config, item_file, len(names) - 1, paths, readable)
    vectors = np.zeros((len(names), encoded.shape[1]), dtype=np.float32)
    vectors[items] = encoded
    return vectors, vectors.any(axis=1)


def _names(config, item_file, item_ids):
    """Return the column's value by item id, "" where it is empty."""
    if item_file is None or IMAGE_FIELD not in item_file.columns:
        path = os.path.join(config["data_path"], f"{config['dataset']}.item")
        columns = "" if item_file is None else ", ".join(item_file.columns)
        raise UserError(
            f"{path}: there is no column '{IMAGE_FIELD}', which use_image needs"
            f"{f'; the columns are {columns}' if columns else ''}. Add "
            f"'{IMAGE_FIELD}:token' with a path relative to the dataset's folder for "
            "each item that has a picture, or set use_image: False."
        )
    image_of = item_file.frame[IMAGE_FIELD].to_dict()
    names = ["", *(image_of[id_].strip() for id_ in item_ids[1:])]
    if not any(names):
        raise UserError(
            f"{item_file.path}: the column '{IMAGE_FIELD}' is empty for every item. "
            "Name pictures there, or set use_image: False."
        )
    return names


def _report(config, item_file, n_items, paths, readable):
    broken = [path for path, is_readable in zip(paths, readable) if not is_readable]
    problems = some([_problem(path) for path in broken[:3]], len(broken))
    if not readable.any():
        raise UserError(
            f"{item_file.path}: none of {len(paths)} pictures can be read. {problems} "
            "Put them there, or set use_image: False."
        )
    if broken and config["missing_image"] == "error":
        raise _with_remedy(problems)
    if broken:
        getLogger().warning(f"{len(broken)} pictures are left out: {problems}")
    getLogger().info(
        f"{readable.sum()} of {n_items} items have a picture; {n_items - len(paths)} "
        f"name none, and {len(broken)} name one that cannot be read."
    )


def _problem(path):
    try:
        read_picture(path)
    except PictureError as error:
        return str(error)
    return f"{path}: it could not be read when it was encoded."


def _with_remedy(problem):
    return UserError(f"{problem} Fix it, or set missing_image: skip.")
