"""The texts of a request-aware dataset: read, checked, joined, composed.

Texts never go through RecBole's reader (it drops quotes and ``NA``) nor through its
``Config`` (it evaluates strings), and never into the interactions: those carry ids.
"""

import string
from pathlib import Path

from recbole_whisperlite.errors import UserError, did_you_mean

IMAGE_FIELD = "image"


class TextFile:
    """An atomic file read as text, one row an id.

    Args:
        path (str or Path): The ``.request`` or ``.item`` file.
        id_field (str): The column of ids.
        frame (pandas.DataFrame): What stands in the file, as :func:`read_atomic` gives it.
        columns (dict): ``{column name: atomic type}`` in file order.

    Attributes:
        frame (pandas.DataFrame): All columns as str, indexed by id.
        columns (dict): As given.

    Raises:
        UserError: If the id column is missing, or an id is empty or appears twice.
    """

    def __init__(self, path, id_field, frame, columns):
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
                f"{path}, line {line + 2}: {id_field} '{ids[line]}' already stands in "
                f"line {first + 2}. Each {id_field} may appear once."
            )
        self._line = {id_: line for line, id_ in enumerate(ids, start=2)}
        self.frame = frame.set_index(id_field, drop=False)

    def line(self, id_):
        """Return the line of the file (1 is the header) in which ``id_`` stands."""
        return self._line[id_]

    def __contains__(self, id_):
        return id_ in self._line

    def require(self, field):
        """Raise a UserError if the file has no column ``field``."""
        if field not in self.columns:
            raise UserError(
                f"{self.path}, line 1: there is no column '{field}'; the columns are "
                f"{', '.join(self.columns)}.{did_you_mean(field, self.columns)}"
            )


def text_fields(item_file, id_field, fields=None):
    """Return the columns that make the item text, in the order in which they are joined.

    Args:
        item_file (TextFile): The ``.item`` file.
        id_field (str): The column of ids, never part of the text.
        fields (list of str, optional): ``item_text_fields``; by default every token and
            token_seq column in file order but the id and the image path.
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


def join_fields(values):
    """Join the values of text columns into one text, each ending as a sentence does.

    >>> join_fields(["Strap top", "", "Jersey top with narrow straps."])
    'Strap top. Jersey top with narrow straps.'
    """
    parts = [value.strip() for value in values if value.strip()]
    ended = [part if part[-1] in ".!?" else part + "." for part in parts[:-1]]
    return " ".join(ended + parts[-1:])


class Template(string.Formatter):
    """A text composed from the columns of an item, such as ``request_template``.

    ``"{class} film of the {release_year:decade}"`` names columns in braces. Format specs
    that are known: ``first`` takes the first word of a value, ``decade`` turns a year
    into its decade (1995 → 1990s), ``lower`` writes it in small letters.

    Args:
        template (str): The template.
        columns (iterable of str): The columns that there are.
        path (str or Path): Where they are, for errors.
        setting (str): What errors call the template.

    Raises:
        UserError: If the template cannot be parsed or names no or unknown columns.
    """

    def __init__(self, template, columns, path, setting="request_template"):
        self.template = str(template)
        columns = list(columns)
        try:
            #: Columns that it names, in order.
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
                f"{path} in braces: {', '.join(columns)}; {{column:first}} takes the "
                "first word, {column:decade} a year's decade, {column:lower} small "
                "letters."
            ) from None

    def compose(self, item):
        """Return the text for one item, given as ``{column: value}``."""
        return " ".join(self.vformat(self.template, (), item).split())

    def format_field(self, value, format_spec):
        if format_spec == "first":
            return value.split()[0] if value.split() else ""
        if format_spec == "decade":
            return f"{value[:3]}0s" if value[:4].isdigit() else ""
        if format_spec == "lower":
            return value.lower()
        if format_spec:
            raise ValueError(f"unknown format ':{format_spec}'")
        return value
