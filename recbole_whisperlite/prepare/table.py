"""Your own tables (csv, tsv, parquet, jsonl): named by a mapping in yaml.

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

Left of each colon stands our name, right of it yours. Writes, for --output dataset/shop,
the atomic files shop.inter, shop.item and shop.request.

- interactions: user_id and item_id are needed; timestamp (a number, or a date such as
  2024-05-31 or 2024-05-31 18:30:00, then UTC) and outcome may be there. A request is
  named by request_id, whose text stands in requests; or its text stands in a column
  request, without a table requests: then one user's rows with the same text and
  timestamp are one request. Where either is empty, the row is a choice without a
  request: history, never asked. Without both, requests are composed at run time by
  request_template.
- items: item_id and any number of text columns, named as you like; image is a path.
"""

import datetime
import hashlib
import re
from pathlib import Path

import yaml

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.prepare.folder import replacing
from recbole_whisperlite.prepare.reading import kind_of, read_columns, where
from recbole_whisperlite.prepare.records import as_text, read_records

#: Columns that must and that may be mapped. Items may have any others.
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


def add_arguments(parser):
    """Declare the command's options on an :class:`argparse.ArgumentParser`."""
    parser.add_argument("--config", required=True, help="the mapping, a yaml file")
    parser.add_argument(
        "--output", required=True, help="folder to write; its name is the dataset's"
    )


def run(args):
    """Convert as the command line says, and print what came out."""
    counts = convert(args.config, args.output)
    output = Path(args.output)
    name = output.resolve().name
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    template = "" if counts["requests"] else ' --request_template="{a column} …"'
    print(
        f"Wrote {output / name}: {counts['interactions']:,} interactions, "
        f"{counts['history']:,} of them without a request, {counts['requests']:,} "
        f"requests, {counts['items']:,} items.\n"
        f"Next: python run_recbole.py --model=WhisperLite --dataset={name}{folder}"
        f"{template}"
    )


def convert(config, output):
    """Write mapped tables as the dataset ``output`` (see this module's text).

    Args:
        config (str or Path): The mapping.
        output (str or Path): The dataset's folder, named like the dataset.

    Returns:
        dict: Numbers of interactions, of these without a request (history), requests
        and items.

    Raises:
        UserError: If the mapping or a file cannot be used; file, line and column are
            named.
    """
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
            raise UserError(f"{path}: there is no request in this file.")
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
            raise UserError(f"{interactions.path}: there is no row in this file.")
        if counts["history"] == counts["interactions"]:
            raise UserError(
                f"{interactions.path}: no row names a request: the column "
                f"'{interactions.columns['request_id']}' is empty throughout, so that "
                "nothing would be asked. Leave request_id and the section requests out "
                "of the mapping to compose requests at run time."
            )
    return counts


class Table:
    """One section of the mapping.

    Attributes:
        path (Path): The file.
        columns (dict): ``{our name: the file's name}``.
    """

    def __init__(self, path, columns):
        self.path, self.columns = path, columns

    def __iter__(self):
        """Yield the number of each row, from 0, and ``{our name: text}``."""
        theirs = list(dict.fromkeys(self.columns.values()))
        kind = kind_of(self.path)
        if kind in _TABLES:
            rows = _read_table(self.path, theirs)
        elif kind in _RECORDS:
            rows = _read_json(self.path, theirs)
        else:
            raise UserError(
                f"{self.path}: the name must end in {', '.join(_TABLES + _RECORDS)}, all "
                "but .parquet also followed by .gz."
            )
        for row, values in rows:
            yield row, {ours: values[name] for ours, name in self.columns.items()}

    def need(self, row, values, column):
        """Return a value that must not be empty."""
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


def read_mapping(path):
    """Read and check a mapping.

    Args:
        path (str or Path): The yaml file.

    Returns:
        dict: ``{section: Table}``.

    Raises:
        UserError: If it is no mapping as described above.
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
        raise UserError(f"{path}: this is not yaml. {reason}") from None
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
                f"{path}: items: columns: '{min(taken)}' is the name of a column of the "
                "interactions. Give this one another name."
            )
        if section == "items" and len({*columns} - {"image"}) < 2:
            raise UserError(
                f"{path}: items: columns: map at least one text column beside item_id, "
                "such as title: name."
            )
        tables[section] = Table(
            path.parent / str(content["file"]), {k: str(v) for k, v in columns.items()}
        )
    named = tables["interactions"].columns
    if ("request_id" in named) != ("requests" in tables) or (
        "request_id" in named and "request" in named
    ):
        raise UserError(
            f"{path}: map either interactions: request_id and a section requests with "
            "the texts, or interactions: request, the text itself, without that section."
        )
    return tables


def _check_text(path, place, value):
    if value is None or isinstance(value, (list, dict)):
        raise UserError(f"{path}: {place} must be one name, not {value!r}.")


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
                f"{path}: {place}: '{name}' cannot name a column; use letters, digits "
                "and _."
            )
    for name in needed:
        if content.get(name) is None:
            raise UserError(f"{path}: {place}: '{name}' is missing.")


def _items(table, texts):
    """Yield the lines of ``.item``; put ``{id: whether it has a text}`` into ``texts``."""
    for row, values in table:
        item = table.need(row, values, "item_id")
        _check_once(table, row, item, texts)
        texts[item] = any(
            value for name, value in values.items() if name not in ("item_id", "image")
        )
        yield tuple(values.values())


def _requests(table, known):
    """Yield the lines of ``.request``; put the ids into ``known``, a dict."""
    for row, values in table:
        request = table.need(row, values, "request_id")
        _check_once(table, row, request, known)
        known[request] = True
        yield request, table.need(row, values, "request")


def _check_once(table, row, id_, known):
    if id_ in known:
        raise UserError(
            f"{where(table.path, row)}: '{id_}' stands in the file twice. Remove one of "
            "the two."
        )


class _Numbers:
    """Numbers for the requests whose text stands in the interactions, from 1."""

    def __init__(self):
        self._number = {}

    def __len__(self):
        return len(self._number)

    def __call__(self, values):
        """Return the request's number: same user, text and time, same number."""
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
    """Yield checked interactions, ``{our name: value}`` with a request_id, maybe empty."""
    number = _Numbers() if "request" in table.columns else None
    for row, values in table:
        table.need(row, values, "user_id")
        item = table.need(row, values, "item_id")
        if not texts.get(item):
            reason = "has no text in" if item in texts else "is not in"
            raise UserError(
                f"{where(table.path, row)}: the item '{item}' {reason} the items' file. "
                "Add it there, or remove its interactions. Ids are compared as text."
            )
        if number is not None:
            values["request_id"] = number(values)
        elif known is not None and values["request_id"] not in known:
            if values["request_id"]:
                raise UserError(
                    f"{where(table.path, row)}: the request '{values['request_id']}' is "
                    "not in the requests' file. Add its text there, or leave the "
                    "request_id empty for a choice without a request."
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
