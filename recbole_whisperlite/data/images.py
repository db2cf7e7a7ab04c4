"""The pictures of a request-aware dataset: which item has one, and their vectors."""

import os
from logging import getLogger

import numpy as np

from recbole_whisperlite.data.texts import IMAGE_FIELD
from recbole_whisperlite.encoder.picture_vectors import encode_pictures
from recbole_whisperlite.encoder.pictures import PictureError, read_picture, some
from recbole_whisperlite.errors import UserError


def image_vectors(config, item_file, item_ids):
    """Return the vectors of the items' pictures.

    An item whose ``image`` is empty has none. One that is named and cannot be read is,
    by ``missing_image``, skipped and told of, or an error.

    Args:
        config (Config): The settings of ``properties/dataset/request.yaml``, and
            ``data_path``, from where relative paths count.
        item_file (TextFile or None): The ``.item`` file.
        item_ids (array of str): External ids by item id; the first is padding.

    Returns:
        tuple: float32 ``[len(item_ids), dim]``, zero where there is no picture, and
        bool ``[len(item_ids)]``.

    Raises:
        UserError: As ``RequestDatasetMixin.item_image_vectors`` says.
    """
    names = _names(config, item_file, item_ids)
    places = [place for place, name in enumerate(names) if name]
    paths = [os.path.join(config["data_path"], names[place]) for place in places]
    try:
        found = encode_pictures(config, paths)
    except PictureError as error:
        raise _in_the_way(error) from error
    fine = found.any(axis=1)
    _report(config, item_file, len(names) - 1, paths, fine)
    vectors = np.zeros((len(names), found.shape[1]), dtype=np.float32)
    vectors[places] = found
    return vectors, vectors.any(axis=1)


def _names(config, item_file, item_ids):
    """Return what the column says by item id, "" where it says nothing."""
    if item_file is None or IMAGE_FIELD not in item_file.columns:
        path = os.path.join(config["data_path"], f"{config['dataset']}.item")
        columns = "" if item_file is None else ", ".join(item_file.columns)
        raise UserError(
            f"{path}: there is no column '{IMAGE_FIELD}', which use_image needs"
            f"{f'; the columns are {columns}' if columns else ''}. Add "
            f"'{IMAGE_FIELD}:token' with a path from the dataset's folder for each item "
            "that has a picture, or set use_image: False."
        )
    image_of = item_file.frame[IMAGE_FIELD].to_dict()
    names = ["", *(image_of[id_].strip() for id_ in item_ids[1:])]
    if not any(names):
        raise UserError(
            f"{item_file.path}: the column '{IMAGE_FIELD}' is empty for every item. "
            "Name pictures there, or set use_image: False."
        )
    return names


def _report(config, item_file, n_items, paths, fine):
    broken = [path for path, is_fine in zip(paths, fine) if not is_fine]
    told = some([_problem(path) for path in broken[:3]], len(broken))
    if not fine.any():
        raise UserError(
            f"{item_file.path}: of {len(paths)} pictures none can be read. {told} Put "
            "them there, or set use_image: False."
        )
    if broken and config["missing_image"] == "error":
        raise _in_the_way(told)
    if broken:
        getLogger().warning(f"{len(broken)} pictures are left out: {told}")
    getLogger().info(
        f"{fine.sum()} of {n_items} items have a picture; {n_items - len(paths)} name "
        f"none, and of {len(broken)} it cannot be read."
    )


def _problem(path):
    try:
        read_picture(path)
    except PictureError as error:
        return str(error)
    return f"{path}: it could not be read when its vector was made."


def _in_the_way(problem):
    return UserError(f"{problem} Repair it, or set missing_image: skip.")
