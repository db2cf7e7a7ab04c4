"""Yelp Open Dataset: reviews as requests, businesses as items.

Reads yelp_academic_dataset_review.json and yelp_academic_dataset_business.json (one
record per line, gzipped or not), and writes, for --output dataset/yelp, the atomic
files yelp.inter, yelp.item and yelp.request, and beside them yelp.request.json, which
says that the requests are reviews. Item text: name, categories, city.

The text of a review is a request and the reviewed business its positive, as in
WhisperLite's paper. A review is written after the visit and may name the business;
published results must say so. If a user reviews a business several times, only the
earliest review counts.
"""

import argparse
import datetime
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import reviews as shared
from recbole_whisperlite.prepare.records import as_text, need, read_records

#: Columns of the item text, and Yelp's key for each.
ITEM_COLUMNS = {"title": "name", "categories": "categories", "city": "city"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    option = parser.add_argument
    option("--reviews", required=True, help="yelp_academic_dataset_review.json")
    option("--businesses", required=True, help="yelp_academic_dataset_business.json")
    shared.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    shared.print_counts(convert(**settings), args.output)


def convert(
    reviews: str | Path,
    businesses: str | Path,
    output: str | Path,
    min_user_inter: int = 1,
    min_item_inter: int = 1,
) -> dict:
    """Write Yelp's reviews as the dataset ``output`` (see the module docstring).

    Args:
        reviews (str or Path): The file of reviews.
        businesses (str or Path): The file of businesses.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.
        min_user_inter (int): Fewest distinct businesses a kept user has reviewed.
        min_item_inter (int): Fewest distinct users who reviewed a kept business.

    Returns:
        dict: How much was read and kept, as stored in ``.request.json``.

    Raises:
        UserError: If a file cannot be read or nothing is left.
    """
    return shared.write_reviews(
        output,
        lambda: read_reviews(reviews),
        lambda: read_items(businesses),
        list(ITEM_COLUMNS),
        source="Yelp Open Dataset",
        settings={
            "reviews": str(reviews),
            "businesses": str(businesses),
            "min_user_inter": min_user_inter,
            "min_item_inter": min_item_inter,
        },
        min_user_inter=min_user_inter,
        min_item_inter=min_item_inter,
    )


def read_reviews(path: str | Path) -> Iterator[shared.Review]:
    """Stream Yelp's reviews as :class:`Review`; errors name file and line."""
    for number, record in read_records(path):
        yield shared.Review(
            need(record, "user_id", path, number),
            need(record, "business_id", path, number),
            as_text(record.get("text")),
            _seconds(need(record, "date", path, number), path, number),
        )


def _seconds(date, path, number):
    try:
        moment = datetime.datetime.fromisoformat(date)
    except ValueError:
        raise UserError(
            f"{path}, line {number}: the date is {date!r}, not a date such as "
            "2018-07-07 22:09:11."
        ) from None
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())


def read_items(path: str | Path) -> Iterator[tuple[str, ...]]:
    """Stream businesses: the id, then a text for each of :data:`ITEM_COLUMNS`."""
    for number, record in read_records(path):
        yield (
            need(record, "business_id", path, number),
            *(as_text(record.get(key)) for key in ITEM_COLUMNS.values()),
        )
