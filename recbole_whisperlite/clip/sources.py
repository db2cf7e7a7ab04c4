"""Catalogues: ids with pictures, texts and labels, from the places where people keep them.

A catalogue is a folder or zip file of pictures (with a ``styles.csv`` in it, if there
is one), a dataset of RecBole's (``<name>.item`` with a column ``image``), or a csv file
with one product a line.
"""

import io
import logging
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.data.texts import IMAGE_FIELD, join_fields
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
)  # as Pillow's
#: Columns that are taken for the id or the picture, in this order, where none is named.
ID_COLUMNS = ("id", "item_id", "article_id")
PICTURE_COLUMNS = ("image", "picture", "filename", "filepath", "file", "path")

_STYLES = "styles.csv"
_NAMED = 3


@dataclass
class Catalogue:
    """Products in a fixed order.

    Attributes:
        path (str): Where they come from.
        ids (list of str): Distinct.
        pictures (list of str): Paths, ``file.zip::member``, or ``""`` for none.
        table (pandas.DataFrame): All other columns, str, one row a product; may have no
            columns.
    """

    path: str
    ids: list
    pictures: list
    table: pd.DataFrame

    def __len__(self):
        return len(self.ids)

    def column(self, name):
        """Return the values of a column, list of str.

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

    def texts(self, columns=None):
        """Return each product's text: its columns joined, those named or all.

        Raises:
            UserError: If there is no such column, or no text column at all.
        """
        columns = list(columns or self.table.columns)
        if not columns:
            raise UserError(
                f"{self.path}: nothing but pictures is known of these products. Texts "
                f"come from a csv file, a dataset, or a {_STYLES} beside the pictures."
            )
        values = [self.column(name) for name in columns]
        return [join_fields(row) for row in zip(*values)]

    def select(self, rows):
        """Return the catalogue of some rows (list of int), in that order."""
        return Catalogue(
            self.path,
            [self.ids[row] for row in rows],
            [self.pictures[row] for row in rows],
            self.table.iloc[rows].reset_index(drop=True),
        )

    def only(self, ids_file):
        """Return the catalogue of the ids that a text file lists, one a line.

        Ids that are not in the catalogue are counted in one warning.

        Raises:
            UserError: If the file cannot be read or none of its ids is here.
        """
        wanted = read_lines(ids_file)
        row = {id_: place for place, id_ in enumerate(self.ids)}
        found = [row[id_] for id_ in dict.fromkeys(wanted) if id_ in row]
        if not found:
            raise UserError(
                f"{ids_file}: none of these {len(wanted):,} ids is in {self.path}, "
                f"whose first id is '{self.ids[0]}'."
            )
        warn_missing(ids_file, [id_ for id_ in wanted if id_ not in row], self.path)
        return self.select(found)


def read_catalogue(path, id_column=None, picture_column=None, repeated=False):
    """Read a catalogue.

    The id of a picture in a folder or zip file is its name without the suffix; where two
    would be equal, all pictures go by their whole path in there.

    Args:
        path (str or Path): A folder or ``.zip`` of pictures, a dataset's folder, or a
            ``.csv``/``.tsv`` file, whose pictures' paths are relative to it. A folder
            ``stylist-mini`` that does not exist is built.
        id_column (str, optional): csv: the column of ids, instead of
            :data:`ID_COLUMNS`, a picture's name, or the line's number.
        picture_column (str, optional): csv: the column of pictures, instead of
            :data:`PICTURE_COLUMNS`.
        repeated (bool): Whether an id may stand there several times, such as a picture
            in a csv file with one caption a line.

    Returns:
        Catalogue: At least one product.

    Raises:
        UserError: If there is nothing of the kind, it cannot be read, or an id stands
            there twice and must not.
    """
    path = Path(path).expanduser()
    try:
        catalogue = _read(path, id_column, picture_column)
    except OSError as error:
        raise UserError(
            f"{path}: this cannot be read. {error.strerror or error}."
        ) from None
    again = pd.Series(catalogue.ids).duplicated()
    if again.any() and not repeated:
        raise UserError(
            f"{path}: the id '{catalogue.ids[int(again.argmax())]}' stands there twice; "
            "each product needs an id of its own."
        )
    return catalogue


def _read(path, id_column, picture_column):
    if path.name == "stylist-mini" and not path.exists():
        from recbole_whisperlite.data import stylist_mini

        stylist_mini.build(path)
    if path.is_dir():
        items = path / f"{path.resolve().name}.item"
        return _dataset(items) if items.is_file() else _folder(path)
    if not path.is_file():
        raise UserError(
            f"{path}: this does not exist. A catalogue is a folder or zip file of "
            "pictures, a dataset's folder, or a csv file."
        )
    if path.suffix.lower() == ".zip":
        return _zip(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _csv(path, id_column, picture_column)
    raise UserError(
        f"{path}: a catalogue is a folder or zip file of pictures, a dataset's "
        "folder, or a csv file (.csv, .tsv)."
    )


def join_labels(catalogue, path, column, id_column=None):
    """Return a label for each product, from a csv file of its own.

    Lines are matched by id, or by file name with or without its suffix; lines of other
    products are ignored.

    Args:
        catalogue (Catalogue): The products.
        path (str or Path): A ``.csv`` or ``.tsv`` file.
        column (str): The column of labels.
        id_column (str, optional): The column of ids or file names.

    Returns:
        list of str: ``""`` for products without a label.

    Raises:
        UserError: If the file or column does not exist or no line fits any product.
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


def read_table(path, content=None):
    """Read a csv or tsv file as it stands, every value a str.

    Args:
        path (str or Path): The file; tab separated if its name ends in ``.tsv``.
        content (bytes, optional): Its content, if it lies in a zip file.

    Returns:
        pandas.DataFrame: At least one row.

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
            f"{path}: this file cannot be read as csv. {reason}. Accepted is UTF-8 with "
            "a header; values that hold a separator stand in double quotes."
        ) from None
    if table.empty:
        raise UserError(f"{path}: there is no line after the header.")
    # pandas pads short lines with NaN even where nothing else is taken for missing.
    return table.fillna("")


def read_lines(path):
    """Return the lines of a text file that are not blank, stripped, list of str.

    Raises:
        UserError: If it cannot be read or has none.
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


def warn_missing(where, ids, place):
    """Warn once of ids that are not in ``place``, the first few by name."""
    if ids:
        names = ", ".join(f"'{id_}'" for id_ in ids[:_NAMED])
        more = ", …" if len(ids) > _NAMED else ""
        logging.getLogger().warning(
            f"{where}: {len(ids):,} ids are not in {place} and are left out: "
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
            f"{path}: this zip file cannot be read. {error}. Accepted are whole zip "
            "files without a password."
        ) from None


def _members(path, members, locate, read):
    """The catalogue of a folder or zip file, whose files are named in ``members``."""
    members = [PurePosixPath(member) for member in members]
    members = [
        member
        for member in members
        if not any(part.startswith((".", "__MACOSX")) for part in member.parts)
    ]
    files = [member for member in members if member.suffix.lower() in SUFFIXES]
    if not files:
        raise UserError(
            f"{path}: there is no picture in it. Pictures end in {', '.join(SUFFIXES)}."
        )
    ids = [file.stem for file in files]
    if len(set(ids)) < len(ids):
        ids = [str(file) for file in files]
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
                f"{path}, row {empty[0] + 1}: the {key} is empty. Fill it in, or take "
                "the row out."
            )
    elif picture:
        ids = _ids_of(table[picture])
    else:
        ids = [str(number) for number in range(1, len(table) + 1)]
    others = [name for name in table.columns if name not in (key, picture)]
    return Catalogue(str(path), ids, pictures, table[others])


def _ids_of(names):
    """Name products by their pictures as :func:`_members` does; by row without one."""
    stems = {name: Path(name).stem for name in names}
    distinct = len(set(stems.values())) == len(stems)
    return [
        (stems[name] if distinct else name) if name else f"row {row}"
        for row, name in enumerate(names, start=1)
    ]


def _relative_to(path, names):
    return [str(Path(path).parent / name) if name else "" for name in names]


def _pick(path, table, named, usual, option):
    """Return the column that is named, else the first usual one, else None."""
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
