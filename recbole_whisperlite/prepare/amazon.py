"""Amazon reviews (UCSD, releases of 2014, 2018 and 2023): reviews as requests.

Reads a file of reviews and the metadata of the same category, as published (one record
a line, gzipped or not), and writes, for --output dataset/beauty, the atomic files
beauty.inter, beauty.item and beauty.request, and beside them beauty.request.json, which
says that the requests are reviews. The layout is recognised from the first record:

- 2014 and 2018: reviewerID, asin, reviewText, unixReviewTime; metadata with asin, title,
  brand, categories or category, feature, description (2014: Python literals).
- 2023: user_id, parent_asin, text, timestamp (milliseconds); metadata with parent_asin,
  title, store, categories, features, description.

The text of a review is a request, the item reviewed its answer: the construction of
WhisperLite's paper. A review was written after the choice and may name the item; results
must say so. Reviews without text, or of items without metadata, are left out. A user's
several reviews of one item count once, the earliest; the same text posted by a user at
the same time below several items is one request with several answers.

Without metadata, --item_text_from_reviews=N lets the N earliest reviews of each item
describe it. These are then no requests, so that no request is found by its own words.
"""

import html
import re

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import reviews as shared
from recbole_whisperlite.prepare.records import as_text, need, read_records

#: Where each layout keeps user, item, text and time, and its units of time a second.
LAYOUTS = {
    "2014 or 2018": ("reviewerID", "asin", "reviewText", "unixReviewTime", 1),
    "2023": ("user_id", "parent_asin", "text", "timestamp", 1000),
}
#: Columns of the item text; in each layout one of the names is used.
ITEM_COLUMNS = {
    "title": ("title",),
    "brand": ("brand", "store"),
    "categories": ("categories", "category"),
    "features": ("features", "feature"),
    "description": ("description",),
}
_TAG = re.compile(r"<[^>]*>")


def add_arguments(parser):
    """Declare the command's options on an :class:`argparse.ArgumentParser`."""
    option = parser.add_argument
    option("--reviews", required=True, help="e.g. reviews_Beauty_5.json.gz")
    option("--metadata", help="e.g. meta_Beauty.json.gz, of the same category")
    option(
        "--item_text_from_reviews",
        type=int,
        default=0,
        metavar="N",
        help="without metadata: the N earliest reviews of an item describe it, and are "
        "no requests",
    )
    shared.add_arguments(parser)


def run(args):
    """Convert as the command line says, and print what came out."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    shared.print_counts(convert(**settings), args.output)


def convert(
    reviews,
    output,
    metadata=None,
    item_text_from_reviews=0,
    min_user_inter=1,
    min_item_inter=1,
):
    """Write Amazon reviews as the data set ``output`` (see this module's text).

    Args:
        reviews (str or Path): The file of reviews.
        output (str or Path): The data set's folder, named like the data set.
        metadata (str or Path, optional): The file of items.
        item_text_from_reviews (int): Reviews that describe an item; 0 with metadata.
        min_user_inter (int): Distinct items that a kept user has reviewed at least.
        min_item_inter (int): Distinct users that a kept item has at least.

    Returns:
        dict: How much was read and kept, as it stands in ``.request.json``.

    Raises:
        UserError: If a file cannot be read, both or none of metadata and
            item_text_from_reviews are given, or nothing is left.
    """
    if bool(metadata) == (item_text_from_reviews > 0):
        raise UserError(
            "Give either --metadata, the file of items (meta_<category>.json.gz) of the "
            "same release, or --item_text_from_reviews=N, with N above 0: the N "
            "earliest reviews of an item then describe it, and are no requests. "
            "Without one of them items have no text."
        )
    return shared.write_reviews(
        output,
        lambda: read_reviews(reviews),
        lambda: read_items(metadata),
        list(ITEM_COLUMNS),
        source="Amazon reviews",
        settings={
            "reviews": str(reviews),
            "metadata": metadata and str(metadata),
            "item_text_from_reviews": item_text_from_reviews,
            "min_user_inter": min_user_inter,
            "min_item_inter": min_item_inter,
        },
        min_user_inter=min_user_inter,
        min_item_inter=min_item_inter,
        describing=item_text_from_reviews,
    )


def read_reviews(path):
    """Stream the reviews of a file of any release.

    Args:
        path (str or Path): The file.

    Yields:
        Review: One a line.

    Raises:
        UserError: If the layout is none of :data:`LAYOUTS`, or a line lacks something;
            file and line are named.
    """
    layout = None
    for number, record in read_records(path):
        layout = layout or _layout(path, number, record)
        user, item, text, time, scale = layout
        yield shared.Review(
            need(record, user, path, number),
            need(record, item, path, number),
            as_text(record.get(text)),  # 2018 leaves it out where it is empty
            _seconds(need(record, time, path, number), time, scale, path, number),
        )


def _seconds(text, key, scale, path, number):
    try:
        seconds = int(float(text) // scale)
    except (ValueError, OverflowError):  # not finite
        seconds = None
    if seconds is None or abs(seconds) > shared.LATEST:
        raise UserError(
            f"{path}, line {number}: {key} is '{text}'; a Unix time is needed, such as "
            f"{1400000000 * scale}."
        )
    return seconds


def _layout(path, number, record):
    for layout in LAYOUTS.values():
        if all(key in record for key in (layout[0], layout[1], layout[3])):
            return layout
    accepted = "; ".join(
        f"{name}: {', '.join(map(str, keys[:4]))}" for name, keys in LAYOUTS.items()
    )
    raise UserError(
        f"{path}, line {number}: these are not Amazon reviews. The record has "
        f"{', '.join(map(str, record)) or 'nothing'}; reviews have ({accepted})."
    )


def read_items(path):
    """Stream the items of a metadata file of any release.

    Args:
        path (str or Path): The file.

    Yields:
        tuple: Item id, then a text for each of :data:`ITEM_COLUMNS`.

    Raises:
        UserError: If a line has no item id; file and line are named.
    """
    for number, record in read_records(path):
        key = "parent_asin" if record.get("parent_asin") else "asin"
        item = need(record, key, path, number)
        texts = []
        for column, keys in ITEM_COLUMNS.items():
            value = next((record[key] for key in keys if record.get(key)), "")
            # the parts of a description are sentences
            texts.append(_plain(value, " " if column == "description" else ", "))
        yield (item, *texts)


def _plain(value, separator):
    """Text without the HTML that descriptions hold."""
    text = html.unescape(_TAG.sub(" ", as_text(value, separator)))
    return " ".join(text.split())
