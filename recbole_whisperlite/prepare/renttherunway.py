"""Rent the Runway (clothing fit): reviews as requests, rented garments as items.

Reads renttherunway_final_data.json (one record a line, gzipped or not) and writes, for
--output dataset/rtr, the atomic files rtr.inter, rtr.item and rtr.request, and beside
them rtr.request.json, which says that the requests are reviews.

The text of a review is a request, the garment reviewed its answer. A review was written
after the choice and may name the garment; results must say so. The file describes a
garment by its category alone (dress, gown, jumpsuit ...), so that garments of one
category have the same item text: no model that sees only texts can tell them apart.
What it was rented for, size and fit belong to the customer, not to the garment, and are
left out. A customer's several reviews of one garment count once, the earliest.
"""

import datetime

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import reviews as shared
from recbole_whisperlite.prepare.records import as_text, need, read_records


def add_arguments(parser):
    """Declare the command's options on an :class:`argparse.ArgumentParser`."""
    parser.add_argument("--input", required=True, help="renttherunway_final_data.json")
    shared.add_arguments(parser)


def run(args):
    """Convert as the command line says, and print what came out."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    shared.print_counts(convert(**settings), args.output)


def convert(input, output, min_user_inter=1, min_item_inter=1):
    """Write Rent the Runway's reviews as ``output`` (see this module's text).

    Args:
        input (str or Path): The file of reviews.
        output (str or Path): The data set's folder, named like the data set.
        min_user_inter (int): Distinct garments that a kept customer has at least.
        min_item_inter (int): Distinct customers that a kept garment has at least.

    Returns:
        dict: How much was read and kept, as it stands in ``.request.json``.

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


def read_reviews(path):
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
            f"{path}, line {number}: the review_date is {date!r}; it looks like "
            "April 20, 2016."
        ) from None
    return int(day.replace(tzinfo=datetime.timezone.utc).timestamp())


def read_items(path):
    """Stream garments: id and category, once a review."""
    for number, record in read_records(path):
        yield need(record, "item_id", path, number), as_text(record.get("category"))
