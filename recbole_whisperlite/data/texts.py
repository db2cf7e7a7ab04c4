"""The texts of a request-aware dataset: read, checked, joined and composed.

Texts pass neither through RecBole's reader (which drops quotes and ``NA``) nor through its
``Config`` (which evaluates strings), and are not in the interactions, which hold ids.
"""

import os
import string
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_whisperlite.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

IMAGE_FIELD = "image"


class TextFile:
    """An atomic file read as text, with one row per id.

    Args:
        path (str or Path): The ``.request`` or ``.item`` file.
        id_field (str): The column of ids.
        frame (pandas.DataFrame): Its content, as :func:`read_atomic` returns it.
        columns (dict): ``{column name: atomic type}`` in file order.

    Attributes:
        frame (pandas.DataFrame): All columns as str, indexed by id.
        columns (dict): As given.

    Raises:
        UserError: If the id column is missing, or an id is empty or appears twice.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        id_field: str,
        frame: "pd.DataFrame",
        columns: dict[str, str],
    ):
        self.path, self.columns = Path(path), columns
        self.require(id_field)
        ids = frame[id_field]
        if (ids == "").any():
            line = int((ids == "").to_numpy().argmax()) + 2
            raise UserError(f"{path}, line {line}: the {id_field} is empty.")
        if ids.duplicated().any():
            line = int(ids.duplicated().to_numpy().argmax())
            first = int((ids == ids[line]).to_numpy().argmax())
            raise UserError(
                f"{path}, line {line + 2}: {id_field} '{ids[line]}' is already in line "
                f"{first + 2}. Each {id_field} may appear only once."
            )
        self.frame = frame.set_index(id_field, drop=False)

    def line(self, id_: str) -> int:
        """Return the line number of ``id_`` in the file; the header is line 1."""
        return int(self.frame.index.get_loc(id_)) + 2

    def __contains__(self, id_):
        return id_ in self.frame.index

    def require(self, field: str) -> None:
        """Raise a UserError if the file has no column ``field``."""
        if field not in self.columns:
            raise UserError(
                f"{self.path}, line 1: there is no column '{field}'; the columns are "
                f"{', '.join(self.columns)}.{did_you_mean(field, self.columns)}"
            )


def text_fields(
    item_file: TextFile, id_field: str, fields: str | list[str] | None = None
) -> list[str]:
    """Return the columns that make up the item text, in the order of joining.

    Args:
        item_file (TextFile): The ``.item`` file.
        id_field (str): The column of ids, which is never part of the text.
        fields (str or list of str, optional): ``item_text_fields``; by default all token
            and token_seq columns in file order, except the id and the image path.
    """
    if fields:
        fields = [fields] if isinstance(fields, str) else list(fields)
        for field in fields:
            item_file.require(field)
        return fields
    return [
        name
        for name, kind in item_file.columns.items()
        if kind.startswith("token") and name not in (id_field, IMAGE_FIELD)
    ]


def join_fields(values: Iterable[str]) -> str:
    """Join the values of text columns into one text, each but the last as a sentence.

    >>> join_fields(["Strap top", "", "Jersey top with narrow straps."])
    'Strap top. Jersey top with narrow straps.'
    """
    parts = [value.strip() for value in values if value.strip()]
    ended = [part if part[-1] in ".!?" else part + "." for part in parts[:-1]]
    return " ".join(ended + parts[-1:])


class Template(string.Formatter):
    """A text composed from the columns of an item, such as ``request_template``.

    ``"{class} film of the {release_year:decade}"`` names columns in braces. The format
    specs are ``first``, the first word of a value, ``decade``, the decade of a year
    (1995 → 1990s), and ``lower``, which lower-cases the value.

    Args:
        template (str): The template.
        columns (iterable of str): The columns that exist.
        path (str or Path): The file of the columns, for error messages.
        setting (str): What error messages call the template.

    Raises:
        UserError: If the template cannot be parsed, names no column or an unknown one.
    """

    def __init__(
        self,
        template: str,
        columns: Iterable[str],
        path: str | os.PathLike,
        setting: str = "request_template",
    ):
        self.template = str(template)
        columns = list(columns)
        try:
            #: The columns that the template names, in order.
            self.fields = [
                field for _, field, _, _ in self.parse(self.template) if field
            ]
            if not self.fields:
                raise ValueError("it names no column in braces")
            for field in self.fields:
                if field not in columns:
                    raise KeyError(field)
            self.compose(dict.fromkeys(columns, "1"))
        except KeyError as error:
            field = error.args[0]
            raise UserError(
                f"{path}, line 1: there is no column '{field}'; the columns are "
                f"{', '.join(columns)}.{did_you_mean(field, columns)} ({setting}: "
                f"'{template}')"
            ) from None
        except (ValueError, IndexError, AttributeError) as error:
            raise UserError(
                f"{setting} '{template}' cannot be used: {error}. Write columns of "
                f"{path} in braces: {', '.join(columns)}; {{column:first}} is the first "
                "word, {column:decade} a year's decade, {column:lower} lower case."
            ) from None

    def compose(self, item: dict[str, str]) -> str:
        """Return the text for an item, given as ``{column: value}``."""
        return " ".join(self.vformat(self.template, (), item).split())

    def format_field(self, value: str, format_spec: str) -> str:
        if format_spec == "first":
            return value.split()[0] if value.split() else ""
        if format_spec == "decade":
            return f"{value[:3]}0s" if value[:4].isdigit() else ""
        if format_spec == "lower":
            return value.lower()
        if format_spec:
            raise ValueError(f"unknown format ':{format_spec}'")
        return value
