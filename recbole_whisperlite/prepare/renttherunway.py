"""Rent the Runway (clothing fit): reviews as requests, rented garments as items.

Reads renttherunway_final_data.json (one record per line, gzipped or not) and writes,
for --output dataset/rtr, the atomic files rtr.inter, rtr.item and rtr.request, and
beside them rtr.request.json, which says that the requests are reviews.

The text of a review is a request and the reviewed garment its positive. A review is
written after the interaction and may name the garment; published results must say so.
The file describes a garment only by its category (dress, gown, jumpsuit ...), so all
garments of a category have the same item text: no model that sees only texts can tell
them apart. The occasion, size and fit belong to the customer, not to the garment, and
are left out. If a customer reviews a garment several times, only the earliest review
counts.
"""

import argparse
import datetime
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import reviews as shared
from recbole_whisperlite.prepare.records import as_text, need, read_records


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.add_argument("--input", required=True, help="renttherunway_final_data.json")
    shared.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    shared.print_counts(convert(**settings), args.output)


def convert(
    input: str | Path,
    output: str | Path,
    min_user_inter: int = 1,
    min_item_inter: int = 1,
) -> dict:
    """Write the reviews as the dataset ``output`` (see the module docstring).

    Args:
        input (str or Path): The file of reviews.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.
        min_user_inter (int): Fewest distinct garments of a kept customer.
        min_item_inter (int): Fewest distinct customers of a kept garment.

    Returns:
        dict: How much was read and kept, as stored in ``.request.json``.

    Raises:
        UserError: If the file cannot be read or nothing is left.
    """
    return shared.write_reviews(
        output,
        lambda: read_reviews(input),
        lambda: read_items(input),
        ["category"],
        source="Rent the Runway",
        settings={
            "input": str(input),
            "min_user_inter": min_user_inter,
            "min_item_inter": min_item_inter,
        },
        min_user_inter=min_user_inter,
        min_item_inter=min_item_inter,
    )


def read_reviews(path: str | Path) -> Iterator[shared.Review]:
    """Stream the reviews as :class:`Review`; errors name file and line."""
    for number, record in read_records(path):
        yield shared.Review(
            need(record, "user_id", path, number),
            need(record, "item_id", path, number),
            as_text(record.get("review_text")),
            _seconds(need(record, "review_date", path, number), path, number),
        )


def _seconds(date, path, number):
    try:
        day = datetime.datetime.strptime(date, "%B %d, %Y")
    except ValueError:
        raise UserError(
            f"{path}, line {number}: the review_date is {date!r}, not a date such as "
            "April 20, 2016."
        ) from None
    return int(day.replace(tzinfo=datetime.timezone.utc).timestamp())


def read_items(path: str | Path) -> Iterator[tuple[str, str]]:
    """Stream each review's garment: id and category."""
    for number, record in read_records(path):
        yield need(record, "item_id", path, number), as_text(record.get("category"))
