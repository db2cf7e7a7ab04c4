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
import json
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.catalogue import Catalogue
from recbole_whisperlite.prepare.folder import replacing
from recbole_whisperlite.prepare.interactions import Interactions
from recbole_whisperlite.prepare.mapping import read_mapping

_REQUEST_TYPES = {"request_id": "token", "request": "token"}


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
        purchases = Interactions(interactions, catalogue)
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
