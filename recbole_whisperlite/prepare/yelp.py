"""Yelp Open Dataset: reviews as requests, businesses as items.

Reads yelp_academic_dataset_review.json and yelp_academic_dataset_business.json (one
record a line, gzipped or not), and writes, for --output dataset/yelp, the atomic files
yelp.inter, yelp.item and yelp.request, and beside them yelp.request.json, which says
that the requests are reviews. Item text: name, categories, city.

The text of a review is a request, the business reviewed its answer: the construction of
WhisperLite's paper. A review was written after the visit and may name the business;
results must say so. A user's several reviews of one business count once, the earliest.
"""

import datetime

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import reviews as shared
from recbole_whisperlite.prepare.records import as_text, need, read_records

#: Yelp's names of what makes the item text, by column.
ITEM_COLUMNS = {"title": "name", "categories": "categories", "city": "city"}


def add_arguments(parser):
    """Declare the command's options on an :class:`argparse.ArgumentParser`."""
    option = parser.add_argument
    option("--reviews", required=True, help="yelp_academic_dataset_review.json")
    option("--businesses", required=True, help="yelp_academic_dataset_business.json")
    shared.add_arguments(parser)


def run(args):
    """Convert as the command line says, and print what came out."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    shared.print_counts(convert(**settings), args.output)


def convert(reviews, businesses, output, min_user_inter=1, min_item_inter=1):
    """Write Yelp's reviews as the data set ``output`` (see this module's text).

    Args:
        reviews (str or Path): The file of reviews.
        businesses (str or Path): The file of businesses.
        output (str or Path): The data set's folder, named like the data set.
        min_user_inter (int): Distinct businesses that a kept user has at least.
        min_item_inter (int): Distinct users that a kept business has at least.

    Returns:
        dict: How much was read and kept, as it stands in ``.request.json``.

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


def read_reviews(path):
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
            f"{path}, line {number}: the date is {date!r}; it looks like "
            "2018-07-07 22:09:11."
        ) from None
    return int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())


def read_items(path):
    """Stream businesses: id, then a text for each of :data:`ITEM_COLUMNS`."""
    for number, record in read_records(path):
        yield (
            need(record, "business_id", path, number),
            *(as_text(record.get(key)) for key in ITEM_COLUMNS.values()),
        )
