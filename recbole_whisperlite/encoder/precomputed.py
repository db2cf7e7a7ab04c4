"""Vectors that the user computed elsewhere, looked up by the ids of the dataset."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import options
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config

_HOW_TO_WRITE = (
    "Such a file is written by numpy.savez(file, ids=numpy.array(ids, dtype=str), "
    "vectors=vectors) with vectors of shape [number of ids, dim]."
)


def read(
    config: Config | dict | options.OneEncoder,
    ids: list[str],
    side: str,
    dtype: np.dtype,
) -> np.ndarray:
    """Return the vectors of ``ids`` from ``request_vectors_file`` or its item sibling.

    They are returned unchanged, whatever their lengths.

    Args:
        config (Config or dict): The settings.
        ids (list of str): External ids, in the order of the rows to return.
        side (str): ``request`` or ``item``.
        dtype (numpy.dtype): Type of the result.

    Returns:
        numpy.ndarray: ``[len(ids), dim]`` of ``dtype``.

    Raises:
        UserError: If the file is missing or not of this form, lacks an id, has one
            twice, or holds a value that is not finite in ``dtype``.
    """
    name = f"{side}_vectors_file"
    given = options.setting(config, name)
    if not given:
        raise UserError(
            f"encoder: precomputed needs the vectors of every {side}: set {name} to a "
            f".npz file. {_HOW_TO_WRITE}"
        )
    path = Path(given).expanduser()
    file_ids, vectors = _load(path, f"{name}: {path}")
    row_of = {id_: row for row, id_ in enumerate(file_ids)}
    if len(row_of) < len(file_ids):
        seen = set()
        twice = [id_ for id_ in file_ids if id_ in seen or seen.add(id_)]
        raise UserError(f"{name}: {path} has more than one vector for {_some(twice)}.")
    missing = [id_ for id_ in ids if id_ not in row_of]
    if missing:
        raise UserError(
            f"{name}: {path} has no vector for {_some(missing)} of the {len(ids)} "
            f"{side}s in use."
        )
    with np.errstate(over="ignore"):
        found = vectors[[row_of[id_] for id_ in ids]].astype(dtype)
    broken = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(broken):
        raise UserError(
            f"{name}: {path} has a value that is not finite, or too large for "
            f"vector_dtype: {np.dtype(dtype).name}, for "
            f"{_some([ids[row] for row in broken])}."
        )
    return found


def _load(path, where):
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("ids", "vectors")}
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file.") from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(f"{where}: {error}. {_HOW_TO_WRITE}") from error
    ids, vectors = arrays["ids"], arrays["vectors"]
    if ids.dtype.kind not in "Uiu":
        raise UserError(f"{where}: 'ids' are {ids.dtype}, not str. {_HOW_TO_WRITE}")
    if vectors.dtype.kind != "f" or vectors.ndim != 2 or ids.shape != vectors.shape[:1]:
        raise UserError(
            f"{where}: 'vectors' is {vectors.dtype} of shape {list(vectors.shape)}, but "
            f"'ids' has shape {list(ids.shape)}. {_HOW_TO_WRITE}"
        )
    return ids.astype(str).tolist(), vectors


def _some(ids):
    shown = ", ".join(f"'{id_}'" for id_ in ids[:3])
    return f"{shown} and {len(ids) - 3} more" if len(ids) > 3 else shown
