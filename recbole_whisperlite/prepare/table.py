"""Your own tables (csv, tsv, parquet, jsonl), described by a yaml mapping.

The mapping says which file and which of its columns hold what; paths are relative to it:

    interactions:
      file: purchases.csv
      columns: {user_id: customer, item_id: sku, request_id: query, timestamp: bought_at}
    requests:
      file: queries.parquet
      columns: {request_id: id, request: text}
    items:
      file: catalogue.jsonl
      columns: {item_id: sku, title: name, description: text}

Our name is on the left of each colon, yours on the right. Writes, for --output
dataset/shop, the atomic files shop.inter, shop.item and shop.request.

- interactions: user_id and item_id are required; timestamp (a number, or a date such as
  2024-05-31 or 2024-05-31 18:30:00, UTC unless it has an offset) and outcome are
  optional. Either request_id names a request whose text is in requests, or a column
  request holds the text itself and there is no table requests: then rows of one user
  with the same text and timestamp are one request. Where request_id or request is
  empty, the row is an interaction without a request: history, never ranked as a query.
  Without both, requests are composed at run time by request_template.
- items: item_id and at least one text column, named as you like; image is a path.
"""

import argparse
import datetime
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.prepare.folder import replacing
from recbole_whisperlite.prepare.reading import kind_of, read_columns, where
from recbole_whisperlite.prepare.records import as_text, read_records

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
_TABLES = (".csv", ".tsv", ".parquet")
_RECORDS = (".json", ".jsonl", ".ndjson")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.add_argument("--config", required=True, help="the mapping, a yaml file")
    parser.add_argument(
        "--output",
        required=True,
        help="folder to write; its name becomes the dataset's",
    )


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    counts = convert(args.config, args.output)
    output = Path(args.output)
    name = output.resolve().name
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    template = "" if counts["requests"] else ' --request_template="{a column} …"'
    print(
        f"Wrote {output / name}: {counts['interactions']:,} interactions, "
        f"{counts['history']:,} of them without a request, {counts['requests']:,} "
        f"requests, {counts['items']:,} items.\n"
        f"Next: recbole-whisperlite run --model=WhisperLite --dataset={name}{folder}"
        f"{template}"
    )


def convert(config: str | Path, output: str | Path) -> dict:
    """Write mapped tables as the dataset ``output`` (see the module docstring).

    Args:
        config (str or Path): The mapping.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.

    Returns:
        dict: The numbers of interactions, of those without a request (history), of
        requests and of items.

    Raises:
        UserError: If the mapping or a file cannot be used; the message names file, line
            and column.
    """
    from recbole_whisperlite.data.atomic import write_atomic

    tables = read_mapping(config)
    name = Path(output).resolve().name
    interactions, items = tables["interactions"], tables["items"]
    with replacing(output) as folder:
        texts = {}
        counts = {
            "items": write_atomic(
                folder / f"{name}.item",
                dict.fromkeys(items.columns, "token"),
                _items(items, texts),
            )
        }
        if "requests" in tables:
            known = {}
            counts["requests"] = write_atomic(
                folder / f"{name}.request",
                {"request_id": "token", "request": "token"},
                _requests(tables["requests"], known),
            )
        elif "request" in interactions.columns:
            known = None
            counts["requests"] = write_atomic(
                folder / f"{name}.request",
                {"request_id": "token", "request": "token"},
                _own_requests(interactions),
            )
        else:
            known, counts["requests"] = None, 0
        asked = counts["requests"] > 0
        if asked is False and {"request_id", "request"} & set(interactions.columns):
            path = tables.get("requests", interactions).path
            raise UserError(f"{path}: this file has no requests.")
        columns = {"user_id": "token", "item_id": "token"}
        if asked:
            columns["request_id"] = "token"
        for column, kind in (("timestamp", "float"), ("outcome", "token")):
            if column in interactions.columns:
                columns[column] = kind
        counts["history"] = 0

        def rows():
            for values in _interactions(interactions, texts, known):
                counts["history"] += asked and not values["request_id"]
                yield tuple(values[column] for column in columns)

        counts["interactions"] = write_atomic(folder / f"{name}.inter", columns, rows())
        if not counts["interactions"]:
            raise UserError(f"{interactions.path}: this file has no rows.")
        if counts["history"] == counts["interactions"]:
            raise UserError(
                f"{interactions.path}: no row has a request: the column "
                f"'{interactions.columns['request_id']}' is empty throughout, so there "
                "would be no queries to rank. Leave request_id and the section "
                "requests out of the mapping to compose requests at run time."
            )
    return counts


class Table:
    """One section of the mapping.

    Attributes:
        path (Path): The file.
        columns (dict): ``{our name: the file's name}``.
    """

    def __init__(self, path: Path, columns: dict[str, str]):
        self.path, self.columns = path, columns

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the index of each row, from 0, and ``{our name: text}``."""
        theirs = list(dict.fromkeys(self.columns.values()))
        kind = kind_of(self.path)
        if kind in _TABLES:
            rows = _read_table(self.path, theirs)
        elif kind in _RECORDS:
            rows = _read_json(self.path, theirs)
        else:
            raise UserError(
                f"{self.path}: the name must end in {', '.join(_TABLES + _RECORDS)}; "
                "all but .parquet may be followed by .gz."
            )
        for row, values in rows:
            yield row, {ours: values[name] for ours, name in self.columns.items()}

    def need(self, row: int, values: dict[str, str], column: str) -> str:
        """Return a value of a row; raise a UserError if it is empty."""
        if not values[column]:
            raise UserError(
                f"{where(self.path, row)}: the {column} (column "
                f"'{self.columns[column]}') is empty."
            )
        return values[column]


def _read_table(path, names):
    row = 0
    for batch in read_columns(path, names, numbers=True):
        for values in zip(*(batch[name].to_pylist() for name in names)):
            yield row, dict(zip(names, map(str.strip, values)))
            row += 1


def _read_json(path, names):
    missing = set(names)
    found = {}
    for number, record in read_records(path):
        if missing:
            missing -= record.keys()
            found.update(dict.fromkeys(record))
        yield number - 1, {name: as_text(record.get(name)) for name in names}
    if missing:
        name = min(missing)
        raise UserError(
            f"{path}: no record has '{name}'.{did_you_mean(name, found)} Found: "
            f"{', '.join(found) or 'none'}."
        )


def read_mapping(path: str | Path) -> dict[str, Table]:
    """Read and check a mapping.

    Args:
        path (str or Path): The yaml file.

    Returns:
        dict: ``{section: Table}``.

    Raises:
        UserError: If it is not a mapping as described in the module docstring.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8") as file:
            mapping = yaml.safe_load(file)
    except OSError as error:
        raise UserError(
            f"{path}: this file cannot be read. {error.strerror}."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: this is not valid yaml. {reason}") from None
    _check_names(path, "the mapping", mapping, ("interactions", "items"), NEEDED)
    tables = {}
    for section, content in mapping.items():
        _check_names(path, section, content, *[("file", "columns")] * 2)
        columns = content["columns"]
        _check_text(path, f"{section}: file", content["file"])
        _check_names(
            path, f"{section}: columns", columns, NEEDED[section], ACCEPTED.get(section)
        )
        for name, column in columns.items():
            _check_text(path, f"{section}: columns: {name}", column)
        taken = {*ACCEPTED["interactions"]} & {*columns} - {"item_id"}
        if section == "items" and taken:
            raise UserError(
                f"{path}: items: columns: '{min(taken)}' is the name of a column of "
                "interactions. Choose another name."
            )
        if section == "items" and len({*columns} - {"image"}) < 2:
            raise UserError(
                f"{path}: items: columns: map at least one text column besides "
                "item_id, such as title: name."
            )
        tables[section] = Table(
            path.parent / str(content["file"]), {k: str(v) for k, v in columns.items()}
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
                f"{path}: {place}: there is no '{name}'.{did_you_mean(name, accepted)} "
                f"Accepted: {', '.join(accepted)}."
            )
        if not str(name).isidentifier():
            raise UserError(
                f"{path}: {place}: '{name}' is not a valid column name; use letters, "
                "digits and _."
            )
    for name in needed:
        if content.get(name) is None:
            raise UserError(f"{path}: {place}: '{name}' is missing.")


def _items(table, texts):
    """Yield the lines of ``.item``; fill ``texts``: ``{id: whether it has a text}``."""
    for row, values in table:
        item = table.need(row, values, "item_id")
        _check_once(table, row, item, texts)
        texts[item] = any(
            value for name, value in values.items() if name not in ("item_id", "image")
        )
        yield tuple(values.values())


def _requests(table, known):
    """Yield the lines of ``.request``; add the ids to the dict ``known``."""
    for row, values in table:
        request = table.need(row, values, "request_id")
        _check_once(table, row, request, known)
        known[request] = True
        yield request, table.need(row, values, "request")


def _check_once(table, row, id_, known):
    if id_ in known:
        raise UserError(
            f"{where(table.path, row)}: '{id_}' is already in the file. Remove one of "
            "the two."
        )


class _Numbers:
    """Numbers, from 1, for requests whose text is in the interactions."""

    def __init__(self):
        self._number = {}

    def __len__(self):
        return len(self._number)

    def __call__(self, values):
        """Return the number of a row's request, one per user, text and time."""
        if not values["request"]:
            return ""
        key = "\0".join(
            (values["user_id"], values["request"], values.get("timestamp", ""))
        )
        digest = hashlib.blake2b(key.encode(), digest_size=12).digest()
        return self._number.setdefault(digest, len(self._number) + 1)


def _own_requests(table):
    """Yield the lines of ``.request``, from a column of the interactions."""
    number = _Numbers()
    for _, values in table:
        before = len(number)
        id_ = number(values)
        if len(number) > before:
            yield id_, values["request"]


def _interactions(table, texts, known):
    """Yield checked rows, ``{our name: value}``, with a request_id, possibly empty."""
    number = _Numbers() if "request" in table.columns else None
    for row, values in table:
        table.need(row, values, "user_id")
        item = table.need(row, values, "item_id")
        if not texts.get(item):
            reason = "has no text in" if item in texts else "is not in"
            raise UserError(
                f"{where(table.path, row)}: the item '{item}' {reason} the items' file. "
                "Add it there or remove its interactions. Ids are compared as text."
            )
        if number is not None:
            values["request_id"] = number(values)
        elif known is not None and values["request_id"] not in known:
            if values["request_id"]:
                raise UserError(
                    f"{where(table.path, row)}: the request '{values['request_id']}' is "
                    "not in the requests' file. Add its text there, or leave the "
                    "request_id empty for an interaction without a request."
                )
        if "timestamp" in table.columns:
            values["timestamp"] = _seconds(table, row, values)
        yield values


def _seconds(table, row, values):
    text = table.need(row, values, "timestamp")
    if _NUMBER.fullmatch(text):
        return text
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UserError(
            f"{where(table.path, row)}: the timestamp '{text}' (column "
            f"'{table.columns['timestamp']}') is neither a number nor a date such as "
            "2024-05-31 18:30:00."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return repr(moment.timestamp()).removesuffix(".0")
