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
dataset/shop, the atomic files shop.inter, shop.item and shop.request, and beside them
shop.request.json, which records how much was kept.

- interactions: user_id and item_id are required; timestamp (a number, or a date such as
  2024-05-31 or 2024-05-31 18:30:00, UTC unless it has an offset) and outcome are
  optional. Either request_id names a request whose text is in requests, or a column
  request holds the text itself and there is no table requests: then rows of one user
  with the same text and timestamp are one request. Where request_id or request is
  empty, the row is an interaction without a request: history, never ranked as a query.
  Without both, requests are composed at run time by request_template.
- items: item_id and at least one text column, named as you like. A column of numbers
  is no item text: it becomes a float column, for filters. image is the path of a
  picture, relative to the mapping.

Beside file and columns, each section may say how its file is written:

- separator (";"), encoding (cp1252), decimal (","); strip_html: False keeps the tags
  and entities that texts are freed of.
- interactions: date_format ("%d.%m.%Y %H:%M", or a list); missing_items: drop leaves
  out, and counts, rows whose item is not among items, instead of an error.
- items: text and numbers list columns whose content would be taken for the other;
  missing_image: error instead of leaving out a picture that cannot be read.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.catalogue import Catalogue
from recbole_whisperlite.prepare.dates import unix_time
from recbole_whisperlite.prepare.folder import replacing
from recbole_whisperlite.prepare.mapping import Table, read_mapping

_REQUEST_TYPES = {"request_id": "token", "request": "token"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")
_SHOWN = 5


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
    about = convert(args.config, args.output)
    counts, output = about["counts"], Path(args.output)
    name = output.resolve().name
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    template = "" if counts["requests"] else ' --request_template="{a column} …"'
    print(
        f"Wrote {output / name}: {counts['interactions']:,} interactions, "
        f"{counts['history']:,} of them without a request, {counts['requests']:,} "
        f"requests, {counts['items']:,} items."
    )
    print(f"Item text: {', '.join(about['item_text'])}.", end="")
    numbers = ", ".join(about["numbers"])
    print(f" Numbers, which are not item text: {numbers}." if numbers else "")
    for note in about["notes"]:
        print(note)
    print(
        f"Next: recbole-whisperlite run --model=WhisperLite --dataset={name}{folder}"
        f"{template}"
    )


def convert(config: str | Path, output: str | Path) -> dict:
    """Write mapped tables as the dataset ``output`` (see the module docstring).

    Args:
        config (str or Path): The mapping.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.

    Returns:
        dict: What ``.request.json`` holds: ``counts`` are the numbers of items,
        requests, interactions, those without a request (history), dropped interactions
        by reason, pictures and pictures left out; ``item_text`` and ``numbers`` name
        columns; ``notes`` are sentences about what was left out or may be wrong.

    Raises:
        UserError: If the mapping or a file cannot be used; the message names file, line
            and column.
    """
    from recbole_whisperlite.data.atomic import write_atomic

    tables = read_mapping(config)
    name = Path(output).resolve().name
    interactions = tables["interactions"]
    with replacing(output) as folder:
        catalogue = Catalogue(tables["items"], output)
        counts = {
            "items": write_atomic(
                folder / f"{name}.item", catalogue.types, catalogue.rows()
            )
        }
        purchases = _Interactions(interactions, catalogue)
        asked = None
        if "requests" in tables:
            asked = _requests(tables["requests"], purchases)
        elif "request" in interactions.columns:
            asked = purchases.own_requests()
        counts["requests"] = 0
        if asked is not None:
            path = folder / f"{name}.request"
            counts["requests"] = write_atomic(path, _REQUEST_TYPES, asked)
        counts["interactions"] = write_atomic(
            folder / f"{name}.inter", purchases.types, purchases.rows()
        )
        purchases.check(counts["interactions"])
        pictures = catalogue.pictures
        counts.update(
            history=purchases.history,
            interactions_of_missing_items=purchases.dropped["is not in"],
            interactions_of_items_without_text=purchases.dropped["has no text in"],
            pictures=pictures.readable if pictures else 0,
            missing_images=pictures.left_out if pictures else 0,
        )
        about = {
            "source": "tables",
            "settings": {"config": str(config)},
            "counts": counts,
            "item_text": catalogue.text_columns,
            "numbers": catalogue.number_columns,
            "notes": [
                *catalogue.notes,
                *purchases.left_out(),
                *_pictures_left_out(pictures),
            ],
        }
        (folder / f"{name}.request.json").write_text(
            json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return about


def _pictures_left_out(pictures):
    if pictures and pictures.left_out:
        from recbole_whisperlite.encoder.pictures import some

        yield (
            f"Pictures: {pictures.readable:,} can be read, {pictures.left_out:,} cannot "
            f"and are left out. {some(pictures.problems, pictures.left_out)}"
        )


def _requests(table, purchases):
    """Yield the lines of ``.request``; tell ``purchases`` the ids."""
    known = purchases.requests = {}
    for row, values in table:
        request = table.need(row, values, "request_id")
        table.check_once(row, request, known)
        known[request] = True
        yield request, table.need(row, values, "request")
    if not known:
        raise UserError(f"{table.path}: this file has no requests.")


class _Interactions:
    """The lines of ``.inter``, and of ``.request`` if the texts stand here, too.

    Args:
        table (Table): The section ``interactions``.
        catalogue (Catalogue): After its rows have been written.

    Attributes:
        requests (dict or None): The ids that have a text; None if texts stand here.
        history (int): How many lines have no request.
        dropped (dict): How many rows were not written, by reason.
    """

    def __init__(self, table: Table, catalogue: Catalogue):
        self.table, self.catalogue = table, catalogue
        self.requests, self.history = None, 0
        self._asks = {"request_id", "request"} & {*table.columns}
        self.types = {"user_id": "token", "item_id": "token"}
        if self._asks:
            self.types["request_id"] = "token"
        for column, kind in (("timestamp", "float"), ("outcome", "token")):
            if column in table.columns:
                self.types[column] = kind
        self._drops = table.settings["missing_items"] == "drop"
        self._forget()

    def _forget(self):
        self.dropped = dict.fromkeys(("is not in", "has no text in"), 0)
        self._missing = {}  # {item id: why}, of those that were dropped
        self._first = None  # row and item of the first

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the lines of ``.inter``."""
        for values in self._checked():
            self.history += bool(self._asks) and not values["request_id"]
            yield tuple(values[column] for column in self.types)

    def own_requests(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of ``.request``, from a column of the interactions."""
        number = 0
        for values in self._checked():
            if values["request_id"] and values["request_id"] > number:
                number = values["request_id"]
                yield number, values["request"]

    def _checked(self):
        """Yield checked rows, ``{our name: value}``, with a request_id, possibly empty."""
        table = self.table
        number = _Numbers() if "request" in table.columns else None
        self._forget()
        row = None
        for row, values in table:
            table.need(row, values, "user_id")
            item = table.need(row, values, "item_id")
            if not self.catalogue.texts.get(item):
                self._drop(row, item)
                continue
            if number is not None:
                values["request_id"] = number(values)
            elif self.requests is not None and values["request_id"]:
                self._check_request(row, values["request_id"])
            if "timestamp" in table.columns:
                values["timestamp"] = self._seconds(row, values)
            yield values
        if row is None:
            raise UserError(f"{table.path}: this file has no rows.")
        if self._missing and not self._drops:
            raise self._missing_items()

    def _drop(self, row, item):
        reason = "has no text in" if item in self.catalogue.texts else "is not in"
        self.dropped[reason] += 1
        self._missing[item] = reason
        self._first = self._first or (row, item)

    def _missing_items(self):
        row, item = self._first
        return UserError(
            f"{self.table.where(row)}: the item '{item}' {self._missing[item]} the "
            f"items' file. {self._how_many()} Complete {self.catalogue.table.path}, or "
            "set missing_items: drop under interactions to leave these rows out. Ids "
            "are compared as text."
        )

    def _how_many(self):
        return (
            f"Such interactions: {sum(self.dropped.values()):,}. Such items: "
            f"{_some(self._missing)}."
        )

    def left_out(self) -> Iterator[str]:
        """Yield sentences about the rows that were dropped."""
        file = self.catalogue.table.path.name
        for reason, count in self.dropped.items():
            if count:
                items = [item for item, why in self._missing.items() if why == reason]
                yield (
                    f"Interactions dropped: {count:,}. Each of their items {reason} "
                    f"{file}: {_some(items)}."
                )

    def _check_request(self, row, request):
        if request not in self.requests:
            raise UserError(
                f"{self.table.where(row)}: the request '{request}' is "
                "not in the requests' file. Add its text there, or leave the "
                "request_id empty for an interaction without a request."
            )

    def check(self, lines: int) -> None:
        """Raise a UserError if no line, or none with a request, was written.

        Args:
            lines (int): How many were written.
        """
        table = self.table
        if not lines:
            raise UserError(
                f"{table.path}: no row is left. {self._how_many()} Ids are compared as "
                "text."
            )
        if self.history == lines:
            own = "request" in table.columns
            column = table.columns["request" if own else "request_id"]
            mapped = "request" if own else "request_id and the section requests"
            dropped = f" {self._how_many()}" if self._missing else ""
            raise UserError(
                f"{table.path}: no row has a request: the column "
                f"'{column}' is empty throughout, so there would be no queries to rank."
                f"{dropped} Leave {mapped} out of the mapping to compose requests at "
                "run time."
            )

    def _seconds(self, row, values):
        text = self.table.need(row, values, "timestamp")
        forms = self.table.settings["date_format"]
        if not forms:
            point = text.replace(self.table.numbers.mark, ".")
            if _NUMBER.fullmatch(point):
                return point
        try:
            return unix_time(text, forms)
        except ValueError as error:
            remedy = (
                "Correct the row or date_format, which may be a list."
                if forms
                else 'For another form set date_format, such as "%d.%m.%Y %H:%M", under '
                "interactions."
            )
            raise UserError(
                f"{self.table.where(row)}: the timestamp '{text}' (column "
                f"'{self.table.columns['timestamp']}') {error}. {remedy}"
            ) from None


def _some(ids):
    """Return the first few of many ids, and how many more there are."""
    shown = ", ".join(f"'{id_}'" for id_ in [*ids][:_SHOWN])
    more = len(ids) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


class _Numbers:
    """Numbers, from 1, for requests whose text is in the interactions."""

    def __init__(self):
        self._number = {}

    def __call__(self, values):
        """Return the number of a row's request, one per user, text and time."""
        if not values["request"]:
            return ""
        key = "\0".join(
            (values["user_id"], values["request"], values.get("timestamp", ""))
        )
        digest = hashlib.blake2b(key.encode(), digest_size=12).digest()
        return self._number.setdefault(digest, len(self._number) + 1)
