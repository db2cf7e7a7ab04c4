"""Catalogues: ids with pictures, texts and labels, read from common formats.

A catalogue is a picture, a folder or zip file of pictures (optionally with a
``styles.csv`` in it), a RecBole dataset (``<name>.item`` with a column ``image``), or a
csv file with one product per line.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.data.texts import IMAGE_FIELD, join_fields
from recbole_whisperlite.encoder.pictures import IN_ARCHIVE, PictureError, read_picture
from recbole_whisperlite.errors import UserError, did_you_mean

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
)
#: Columns that are taken as the id or the picture, in this order, if none is given.
ID_COLUMNS = ("id", "item_id", "article_id")
PICTURE_COLUMNS = ("image", "picture", "filename", "filepath", "file", "path")

_STYLES = "styles.csv"
_NAMED = 3


@dataclass
class Catalogue:
    """Products in a fixed order.

    Attributes:
        path (str): Where they come from.
        ids (list of str): Distinct, unless read with ``repeated``.
        pictures (list of str): Paths, ``file.zip::member``, or ``""`` for none.
        table (pandas.DataFrame): All other columns, str, one row per product; may have
            no columns.
    """

    path: str
    ids: list[str]
    pictures: list[str]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> list[str]:
        """Return the values of a column.

        Raises:
            UserError: If there is no such column.
        """
        if name not in self.table.columns:
            raise UserError(
                f"{self.path}: there is no column '{name}'."
                f"{did_you_mean(name, self.table.columns)} "
                f"The columns are {', '.join(self.table.columns) or 'none'}."
            )
        return self.table[name].tolist()

    def texts(self, columns: list[str] | None = None) -> list[str]:
        """Return each product's text: the given columns joined, by default all.

        Raises:
            UserError: If there is no such column, or no text column at all.
        """
        columns = list(columns or self.table.columns)
        if not columns:
            raise UserError(
                f"{self.path}: these products have pictures but no texts. Texts come "
                f"from a csv file, a dataset, or a {_STYLES} next to the pictures."
            )
        values = [self.column(name) for name in columns]
        return [join_fields(row) for row in zip(*values)]

    def select(self, rows: list[int]) -> Catalogue:
        """Return a catalogue of the given rows, in that order."""
        return Catalogue(
            self.path,
            [self.ids[row] for row in rows],
            [self.pictures[row] for row in rows],
            self.table.iloc[rows].reset_index(drop=True),
        )

    def only(self, ids_file: str | Path) -> Catalogue:
        """Return a catalogue of the ids that a text file lists, one per line.

        Ids that are not in the catalogue are counted in one warning.

        Raises:
            UserError: If the file cannot be read or the catalogue has none of its ids.
        """
        wanted = read_lines(ids_file)
        row_of = {id_: row for row, id_ in enumerate(self.ids)}
        found = [row_of[id_] for id_ in dict.fromkeys(wanted) if id_ in row_of]
        if not found:
            raise UserError(
                f"{ids_file}: none of these {len(wanted):,} ids is in {self.path}, "
                f"whose first id is '{self.ids[0]}'."
            )
        missing = [id_ for id_ in wanted if id_ not in row_of]
        warn_missing(ids_file, missing, self.path)
        return self.select(found)


def read_catalogue(
    path: str | Path,
    id_column: str | None = None,
    picture_column: str | None = None,
    repeated: bool = False,
) -> Catalogue:
    """Read a catalogue.

    The id of a picture in a folder or zip file is its file name without the suffix;
    those that would be equal are identified by their path inside it.

    Args:
        path (str or Path): A picture (``file.zip::member`` for one in an archive), a
            folder or ``.zip`` of pictures, a dataset folder, or a ``.csv``/``.tsv`` file
            with paths of pictures relative to it. A folder ``stylist-mini`` that does
            not exist is created.
        id_column (str, optional): csv: the column of ids; by default one of
            :data:`ID_COLUMNS`, else the picture's name, else the line number.
        picture_column (str, optional): csv: the column of pictures; by default one of
            :data:`PICTURE_COLUMNS`.
        repeated (bool): Whether an id may occur several times, such as in a csv file
            with one caption per line.

    Returns:
        Catalogue: With at least one product.

    Raises:
        UserError: If there is no such catalogue, it cannot be read, or an id occurs
            twice and ``repeated`` is not set.
    """
    path = Path(path).expanduser()
    try:
        catalogue = _read(path, id_column, picture_column)
    except OSError as error:
        raise UserError(
            f"{path}: this cannot be read. {error.strerror or error}."
        ) from None
    if not repeated:
        _check_distinct(catalogue)
    return catalogue


def _check_distinct(catalogue):
    again = pd.Series(catalogue.ids).duplicated()
    if again.any():
        raise UserError(
            f"{catalogue.path}: the id '{catalogue.ids[int(again.argmax())]}' occurs more "
            "than once; each product needs a unique id."
        )


def _read(path, id_column, picture_column):
    if path.name == "stylist-mini" and not path.exists():
        from recbole_whisperlite import stylist_mini

        stylist_mini.build(path)
    if path.is_dir():
        items = path / f"{path.resolve().name}.item"
        return _dataset(items) if items.is_file() else _folder(path)
    if path.suffix.lower() in SUFFIXES:
        return _picture(path)  # what is wrong with it is told where it is decoded
    if not path.is_file():
        raise UserError(
            f"{path}: this does not exist. A catalogue is a picture, a folder or zip "
            "file of pictures, a dataset folder, or a csv file."
        )
    if path.suffix.lower() == ".zip":
        return _zip(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _csv(path, id_column, picture_column)
    with contextlib.suppress(PictureError):
        read_picture(path)
        return _picture(path)
    raise UserError(
        f"{path}: a catalogue is a picture ({', '.join(SUFFIXES)}), a folder or zip file "
        "of pictures, a dataset folder, or a csv file (.csv, .tsv)."
    )


def read_catalogues(
    paths: list[str | Path],
    id_column: str | None = None,
    picture_column: str | None = None,
) -> Catalogue:
    """Read one or several catalogues as one.

    Ids that occur in several of them get a longer form: single pictures their path, other
    products the path of their catalogue before the id.

    Args:
        paths (list of str or Path): At least one, as in :func:`read_catalogue`.
        id_column (str, optional): csv: the column of ids.
        picture_column (str, optional): csv: the column of pictures.

    Returns:
        Catalogue: The products in the order of ``paths``; columns that only some
        catalogues have are ``""`` for the products of the others.

    Raises:
        UserError: If one of them cannot be read or is given twice, or ids are still
            equal.
    """
    again = Counter(os.path.realpath(path) for path in paths)
    for path in paths:
        if again[os.path.realpath(path)] > 1:
            raise UserError(f"{path}: this is given twice.")
    parts = [read_catalogue(path, id_column, picture_column) for path in paths]
    if len(parts) == 1:
        return parts[0]
    longer = [
        part.path if part.pictures == [part.path] else f"{part.path}/{id_}"
        for part in parts
        for id_ in part.ids
    ]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    joined = Catalogue(
        f"{parts[0].path} and {len(parts) - 1} more",
        _distinct([id_ for part in parts for id_ in part.ids], longer),
        [picture for part in parts for picture in part.pictures],
        table.fillna(""),
    )
    _check_distinct(joined)
    return joined


def _distinct(names, longer):
    """Return the names, with the longer form of those that occur more than once."""
    count = Counter(names)
    found = [long if count[name] > 1 else name for name, long in zip(names, longer)]
    # "a.png" may be the longer form of one and, from "a.png.jpg", the name of another.
    return found if len(set(found)) == len(found) else list(longer)


def _picture(path):
    name = PurePosixPath(str(path).rpartition(IN_ARCHIVE)[2]).stem
    return Catalogue(str(path), [name], [str(path)], pd.DataFrame(index=range(1)))


def join_labels(
    catalogue: Catalogue,
    path: str | Path,
    column: str,
    id_column: str | None = None,
) -> list[str]:
    """Return a label for each product, read from a separate csv file.

    Lines are matched by id, or by file name with or without its suffix; lines of other
    products are ignored.

    Args:
        catalogue (Catalogue): The products.
        path (str or Path): A ``.csv`` or ``.tsv`` file.
        column (str): The column of labels.
        id_column (str, optional): The column of ids or file names; by default one of
            :data:`ID_COLUMNS` or :data:`PICTURE_COLUMNS`, else the first.

    Returns:
        list of str: ``""`` for products without a label.

    Raises:
        UserError: If the file or column does not exist or no line matches any product.
    """
    table = read_table(path)
    _require(path, table, column)
    key = _pick(path, table, id_column, (*ID_COLUMNS, *PICTURE_COLUMNS), "id_column")
    key = key or table.columns[0]
    labels = {}
    for name, label in zip(table[key], table[column]):
        labels[name] = label
        labels.setdefault(Path(name).name, label)
        labels.setdefault(Path(name).stem, label)
    found = [labels.get(id_, labels.get(Path(id_).stem, "")) for id_ in catalogue.ids]
    if not any(found):
        raise UserError(
            f"{path}: no value of the column '{key}', such as '{table[key][0]}', is an "
            f"id of {catalogue.path}, such as '{catalogue.ids[0]}'."
        )
    return found


def read_table(path: str | Path, content: bytes | None = None) -> pd.DataFrame:
    """Read a csv or tsv file with every value as str.

    Args:
        path (str or Path): The file; tab separated if its name ends in ``.tsv``.
        content (bytes, optional): Its content, if it is in a zip file.

    Returns:
        pandas.DataFrame: With at least one row.

    Raises:
        UserError: If it cannot be read or has no line after the header.
    """
    path = Path(path)
    if content is None and not path.is_file():
        raise UserError(f"{path}: this file does not exist.")
    try:
        table = pd.read_csv(
            path if content is None else io.BytesIO(content),
            sep="\t" if path.suffix.lower() == ".tsv" else ",",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            index_col=False,
        )
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: this file cannot be read as csv. {reason}. It must be UTF-8 with a "
            "header, and values that contain the separator must be in double quotes."
        ) from None
    if table.empty:
        raise UserError(f"{path}: there is no line after the header.")
    # pandas pads short lines with NaN, whatever keep_default_na says.
    return table.fillna("")


def read_lines(path: str | Path) -> list[str]:
    """Return the non-blank lines of a text file, stripped.

    Raises:
        UserError: If it cannot be read or has no such line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: this text file cannot be read. {reason}.") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path}: this file is empty.")
    return lines


def warn_missing(where: str | Path, ids: list[str], catalogue: str) -> None:
    """Log one warning about ids that are not in a catalogue, naming the first few.

    Args:
        where (str or Path): Where the ids were listed.
        ids (list of str): The missing ids; no warning if empty.
        catalogue (str): What the warning calls the catalogue.
    """
    if ids:
        names = ", ".join(f"'{id_}'" for id_ in ids[:_NAMED])
        more = ", …" if len(ids) > _NAMED else ""
        logging.getLogger().warning(
            f"{where}: {len(ids):,} ids are not in {catalogue} and are ignored: "
            f"{names}{more}"
        )


def _folder(path):
    members = sorted(
        file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()
    )

    def read(member):
        return (path / member).read_bytes()

    return _members(path, members, lambda member: str(path / member), read)


def _zip(path):
    try:
        with zipfile.ZipFile(path) as file:
            members = [info.filename for info in file.infolist() if not info.is_dir()]
            return _members(
                path, members, lambda member: f"{path}::{member}", file.read
            )
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        # zipfile raises the last two for a password and an unknown compression.
        raise UserError(
            f"{path}: this zip file cannot be read. {error}. It must be complete and "
            "have no password."
        ) from None


def _members(path, members, locate, read):
    """Return the catalogue of a folder or zip file with the files ``members``."""
    members = [PurePosixPath(member) for member in members]
    members = [
        member
        for member in members
        if not any(part.startswith((".", "__MACOSX")) for part in member.parts)
    ]
    files = [member for member in members if member.suffix.lower() in SUFFIXES]
    if not files:
        raise UserError(
            f"{path}: there is no picture in it. Pictures are files that end in "
            f"{', '.join(SUFFIXES)}."
        )
    ids = _distinct([file.stem for file in files], [str(file) for file in files])
    table = pd.DataFrame(index=range(len(files)))
    styles = [member for member in members if member.name == _STYLES]
    if styles:
        name = Path(path) / styles[0]
        table = read_table(name, read(str(styles[0])))
        key = _pick(name, table, None, ID_COLUMNS, "id_column") or table.columns[0]
        table = table.drop_duplicates(key).set_index(key).reindex(ids)
        table = table.fillna("").reset_index(drop=True)
    return Catalogue(str(path), ids, [locate(str(file)) for file in files], table)


def _dataset(path):
    table, columns = read_atomic(path)
    _require(path, table, "item_id")
    pictures = [""] * len(table)
    if IMAGE_FIELD in columns:
        pictures = _relative_to(path, table[IMAGE_FIELD])
    others = [
        name
        for name, kind in columns.items()
        if kind.startswith("token") and name not in ("item_id", IMAGE_FIELD)
    ]
    return Catalogue(
        str(path.parent), table["item_id"].tolist(), pictures, table[others]
    )


def _csv(path, id_column, picture_column):
    table = read_table(path)
    picture = _pick(path, table, picture_column, PICTURE_COLUMNS, "picture_column")
    key = _pick(path, table, id_column, ID_COLUMNS, "id_column")
    pictures = [""] * len(table)
    if picture:
        pictures = _relative_to(path, table[picture])
    if key:
        ids = table[key].tolist()
        empty = np.flatnonzero(table[key] == "")
        if len(empty):
            raise UserError(
                f"{path}, row {empty[0] + 1}: the {key} is empty. Fill it in, or remove "
                "the row."
            )
    elif picture:
        ids = _ids_of(table[picture])
    else:
        ids = [str(number) for number in range(1, len(table) + 1)]
    others = [name for name in table.columns if name not in (key, picture)]
    return Catalogue(str(path), ids, pictures, table[others])


def _ids_of(names):
    """Name products after their pictures as :func:`_members` does, or by row number."""
    named = list(dict.fromkeys(filter(None, names)))
    ids = dict(zip(named, _distinct([Path(name).stem for name in named], named)))
    return [ids.get(name, f"row {row}") for row, name in enumerate(names, start=1)]


def _relative_to(path, names):
    return [str(Path(path).parent / name) if name else "" for name in names]


def _pick(path, table, named, usual, option):
    """Return the column ``named``, else the first usual one, else None."""
    if named:
        _require(path, table, named, f"{option}: ")
        return named
    lower = {name.lower(): name for name in reversed(table.columns)}
    return next((lower[name] for name in usual if name in lower), None)


def _require(path, table, name, option=""):
    if name not in table.columns:
        raise UserError(
            f"{option}{path}: there is no column '{name}'."
            f"{did_you_mean(name, table.columns)} "
            f"The columns are {', '.join(table.columns)}."
        )
