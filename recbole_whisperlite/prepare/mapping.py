"""The mapping of ``prepare table``: which file and column hold what, and in which form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.prepare.dates import format_problem
from recbole_whisperlite.prepare.encoding import check_encoding, encoding_name
from recbole_whisperlite.prepare.markup import plain_text
from recbole_whisperlite.prepare.numbers import Numbers
from recbole_whisperlite.prepare.reading import (
    kind_of,
    read_columns,
    read_header,
    where,
)
from recbole_whisperlite.prepare.records import as_text, check_file, read_records

#: Columns that must be mapped, and all that may be. Items may have any others.
NEEDED = {
    "interactions": ("user_id", "item_id"),
    "requests": ("request_id", "request"),
    "items": ("item_id",),
}
ACCEPTED = {
    "interactions": (
        "user_id",
        "item_id",
        "request_id",
        "request",
        "timestamp",
        "outcome",
    ),
    "requests": ("request_id", "request"),
}
#: The settings of each section, with their defaults. None: what is usual for the file.
_ANY = {"separator": None, "encoding": "utf-8", "strip_html": True}
SETTINGS = {
    "interactions": {
        **_ANY,
        "decimal": None,
        "date_format": (),
        "missing_items": "error",
    },
    "requests": _ANY,
    "items": {
        **_ANY,
        "decimal": None,
        "text": (),
        "numbers": (),
        "missing_image": "skip",
    },
}
_CHOICES = {
    "decimal": (".", ","),
    "strip_html": (True, False),
    "missing_items": ("error", "drop"),
    "missing_image": ("skip", "error"),
}
_CSV = (".csv", ".tsv")
_TABLES = (*_CSV, ".parquet")
_RECORDS = (".json", ".jsonl", ".ndjson")
_TABS = ("\\t", "tab")
_SEPARATORS = ",;\t|:"


class Table:
    """One section of the mapping.

    Args:
        folder (Path): The mapping's folder, to which paths are relative.
        file (str): The path of the file.
        columns (dict): ``{our name: the file's name}``.
        section (str): ``interactions``, ``requests`` or ``items``.
        settings (dict): Those of :data:`SETTINGS` that are not the default.

    Attributes:
        path (Path): The file.
        settings (dict): All settings of the section.
        numbers (Numbers): Reads the numbers of this file.
    """

    def __init__(
        self,
        folder: Path,
        file: str,
        columns: dict[str, str],
        section: str,
        settings: dict,
    ):
        self.folder, self.path = folder, folder / file
        self.columns, self.section = columns, section
        self.settings = {**SETTINGS[section], **settings}
        self.numbers = Numbers(self.settings.get("decimal"))
        self._checked = False
        texts = {*columns} - {"item_id", "image"} if section == "items" else {"request"}
        self._stripped = texts & {*columns} if self.settings["strip_html"] else set()

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the index of each row, from 0, and ``{our name: text}``.

        Texts are without HTML if ``strip_html`` says so.

        Raises:
            UserError: If the file cannot be read as its settings say.
        """
        theirs = list(dict.fromkeys(self.columns.values()))
        if kind_of(self.path) in _RECORDS:
            rows = _read_json(self.path, theirs, self.numbers.mark)
        else:
            self._check_csv(theirs)
            rows = _read_table(self.path, theirs, self.numbers.mark, self._csv)
        for row, values in rows:
            values = {ours: values[name] for ours, name in self.columns.items()}
            for column in self._stripped:
                values[column] = plain_text(values[column])
            yield row, values

    @property
    def _csv(self):
        return {key: self.settings[key] for key in ("separator", "encoding")}

    def _check_csv(self, names):
        """Check encoding and separator, once: the reader's errors know of no settings."""
        if self._checked or kind_of(self.path) not in _CSV:
            return
        check_encoding(check_file(self.path), self.settings["encoding"])
        found = read_header(self.path, **self._csv)
        if not {*names} <= {*found}:
            for other in _SEPARATORS:
                if {*names} <= {*read_header(self.path, other, self._csv["encoding"])}:
                    shown = "\\t" if other == "\t" else other
                    raise UserError(
                        f"{self.path}, line 1: the columns are separated by '{shown}'. "
                        f'Set separator: "{shown}" under {self.section}.'
                    )
            if len(found) == 1 and len(names) > 1:
                raise UserError(
                    f"{self.path}, line 1: there is one column only, '{found[0]:.80}'. "
                    f"Set separator under {self.section} to what separates columns, "
                    f"and name columns as the file does; needed: {', '.join(names)}."
                )
        self._checked = True

    def where(self, row: int) -> str:
        """Return a row's place in the file, for errors: ``shop.csv, line 2``."""
        return where(self.path, row, **self._csv)

    def need(self, row: int, values: dict[str, str], column: str) -> str:
        """Return a value of a row; raise a UserError if it is empty."""
        if not values[column]:
            raise UserError(
                f"{self.where(row)}: the {column} (column "
                f"'{self.columns[column]}') is empty."
            )
        return values[column]

    def check_once(self, row: int, id_: str, known: dict[str, object]) -> None:
        """Raise a UserError if an id is already among those that are known."""
        if id_ in known:
            raise UserError(
                f"{self.where(row)}: '{id_}' is already in the file. Remove one of "
                "the two."
            )


def _read_table(path, names, decimal, csv):
    row = 0
    for batch in read_columns(path, names, decimal, **csv):
        for values in zip(*(batch[name].to_pylist() for name in names)):
            yield row, dict(zip(names, map(str.strip, values)))
            row += 1


def _read_json(path, names, decimal):
    missing = set(names)
    found = {}
    for number, record in read_records(path):
        if missing:
            missing -= record.keys()
            found.update(dict.fromkeys(record))
        yield number - 1, {
            name: _json_text(record.get(name), decimal) for name in names
        }
    if missing:
        name = min(missing)
        raise UserError(
            f"{path}: no record has '{name}'.{did_you_mean(name, found)} Found: "
            f"{', '.join(found) or 'none'}."
        )


def _json_text(value, decimal):
    if isinstance(value, float):
        # JSON's own numbers have a point, whatever the mark of numbers in its texts;
        # Python writes missing ones as NaN
        return "" if value != value else str(value).replace(".", decimal)
    return as_text(value)


def read_mapping(path: str | Path) -> dict[str, Table]:
    """Read and check a mapping.

    Args:
        path (str or Path): The yaml file.

    Returns:
        dict: ``{section: Table}``.

    Raises:
        UserError: If it is not a mapping as :mod:`recbole_whisperlite.prepare.table`
            describes it.
    """
    path = Path(path)
    mapping = _read_yaml(path)
    _check_names(path, "the mapping", mapping, ("interactions", "items"), NEEDED)
    tables = {}
    for section, content in mapping.items():
        needed = ("file", "columns")
        _check_names(path, section, content, needed, (*needed, *SETTINGS[section]))
        columns = content["columns"]
        _check_text(path, f"{section}: file", content["file"])
        file = path.parent / str(content["file"])
        if kind_of(file) not in (*_TABLES, *_RECORDS):
            raise UserError(
                f"{file}: the name must end in {', '.join(_TABLES + _RECORDS)}; "
                "all but .parquet may be followed by .gz."
            )
        _check_names(
            path, f"{section}: columns", columns, NEEDED[section], ACCEPTED.get(section)
        )
        for name, column in columns.items():
            _check_text(path, f"{section}: columns: {name}", column)
        if section == "items":
            _check_item_columns(path, columns)
        settings = {
            name: _setting(f"{path}: {section}: {name}", name, value, columns, file)
            for name, value in content.items()
            if name not in needed
        }
        both = {*settings.get("text", ())} & {*settings.get("numbers", ())}
        if both:
            raise UserError(
                f"{path}: items: '{min(both)}' is both in text and in numbers. Name it "
                "in one of them."
            )
        named = {ours: str(theirs) for ours, theirs in columns.items()}
        tables[section] = Table(
            path.parent, str(content["file"]), named, section, settings
        )
    named = tables["interactions"].columns
    if ("request_id" in named) != ("requests" in tables) or (
        "request_id" in named and "request" in named
    ):
        raise UserError(
            f"{path}: map either interactions: request_id together with a section "
            "requests that has the texts, or interactions: request, the text itself, "
            "without that section."
        )
    return tables


def _read_yaml(path):
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.safe_load(file)
    except OSError as error:
        raise UserError(
            f"{path}: this file cannot be read. {error.strerror}."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: this is not valid yaml. {reason}") from None


def _check_item_columns(path, columns):
    taken = {*ACCEPTED["interactions"]} & {*columns} - {"item_id"}
    if taken:
        raise UserError(
            f"{path}: items: columns: '{min(taken)}' is the name of a column of "
            "interactions. Choose another name."
        )
    if len({*columns} - {"image"}) < 2:
        raise UserError(
            f"{path}: items: columns: map at least one text column besides "
            "item_id, such as title: name."
        )


def _setting(place, name, value, columns, file):
    """Return a checked setting; ``place`` is where it stands, for errors."""
    if name in _CHOICES:
        accepted = _CHOICES[name]
        # 1 is True for Python
        if value not in accepted or isinstance(value, bool) != isinstance(
            accepted[0], bool
        ):
            quoted = " or ".join(
                f'"{each}"' if name == "decimal" else str(each) for each in accepted
            )
            raise UserError(f"{place} must be {quoted}, not {value!r}.")
        return value
    if name in ("separator", "encoding"):
        if kind_of(file) not in _CSV:
            raise UserError(
                f"{place} is for csv and tsv files only; {file.name} has none. Leave it "
                "out."
            )
        return (_separator if name == "separator" else _encoding)(place, value)
    if name == "date_format":
        return _date_formats(place, value)
    return _columns(place, value, columns)


def _separator(place, value):
    value = "\t" if value in _TABS else value
    if not isinstance(value, str) or len(value) != 1 or value in '"\r\n\0':
        raise UserError(
            f'{place} must be one character in quotes, such as ";", or tab, not '
            f"{value!r}."
        )
    if not value.isascii():
        raise UserError(
            f"{place}: '{value}' is not an ASCII character, such as ';', ',', '|' or "
            "tab. Export the file with one of those."
        )
    return value


def _encoding(place, value):
    name = encoding_name(str(value))
    if name is None:
        known = ("utf-8", "cp1252", "latin-1", "iso-8859-15", "utf-16", "shift_jis")
        raise UserError(
            f"{place}: there is no encoding '{value}'.{did_you_mean(value, known)} "
            f"Accepted is what Python knows, such as {', '.join(known)}."
        )
    return name


def _date_formats(place, value):
    forms = value if isinstance(value, list) else [value]
    for form in forms or [None]:
        if not isinstance(form, str):
            raise UserError(
                f'{place} must be a text such as "%d.%m.%Y %H:%M", or a list of such, '
                f"not {value!r}."
            )
        problem = format_problem(form)
        if problem:
            raise UserError(
                f"{place} '{form}' cannot be used: {problem}. Write it as in Python's "
                'strptime, such as "%d.%m.%Y %H:%M".'
            )
    return tuple(forms)


def _columns(place, value, columns):
    names = [value] if isinstance(value, str) else value
    accepted = [name for name in columns if name not in ("item_id", "image")]
    if not isinstance(names, list):
        raise UserError(
            f"{place} must be a list of mapped columns, such as [{accepted[0]}], not "
            f"{value!r}."
        )
    for name in names:
        if name not in accepted:
            raise UserError(
                f"{place}: there is no '{name}'.{did_you_mean(name, accepted)} Accepted "
                f"are our names, left of the colons: {', '.join(accepted)}."
            )
    return tuple(names)


def _check_text(path, place, value):
    if value is None or isinstance(value, (list, dict)):
        raise UserError(f"{path}: {place} must be a single name, not {value!r}.")


def _check_names(path, place, content, needed, accepted):
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: {place} must hold {', '.join(needed)}, each followed by a colon; "
            f"it is {content!r}."
        )
    for name in content:
        if accepted and name not in accepted:
            raise UserError(
                f"{path}: {place}: there is no '{name}'.{_belongs(name, place)}"
                f"{did_you_mean(name, accepted)} Accepted: {', '.join(accepted)}."
            )
        if not str(name).isidentifier():
            raise UserError(
                f"{path}: {place}: '{name}' is not a valid column name; use letters, "
                "digits and _."
            )
    for name in needed:
        if content.get(name) is None:
            raise UserError(f"{path}: {place}: '{name}' is missing.")


def _belongs(name, place):
    homes = [section for section, settings in SETTINGS.items() if name in settings]
    if place in homes or not homes:
        return ""
    return f" It is a setting of {', '.join(homes)}, beside file and columns."
