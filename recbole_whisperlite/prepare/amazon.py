"""Amazon reviews (UCSD, releases of 2014, 2018 and 2023): reviews as requests.

Reads a file of reviews and the metadata of the same category, as published (one record
per line, gzipped or not), and writes, for --output dataset/beauty, the atomic files
beauty.inter, beauty.item and beauty.request, and beside them beauty.request.json, which
says that the requests are reviews. The layout is detected from the first record:

- 2014 and 2018: reviewerID, asin, reviewText, unixReviewTime; metadata with asin, title,
  brand, categories or category, feature, description (2014: Python literals).
- 2023: user_id, parent_asin, text, timestamp (milliseconds); metadata with parent_asin,
  title, store, categories, features, description.

The text of a review is a request and the reviewed item its positive, as in
WhisperLite's paper. A review is written after the interaction and may name the item;
published results must say so. Reviews without text, or of items without metadata, are
left out. If a user reviews an item several times, only the earliest review counts; the
same text posted by a user at the same time under several items is one request with
several positives.

Without metadata, --item_text_from_reviews=N uses the N earliest reviews of each item as
its text. Those reviews are then not requests, so no request can be matched to its own
words.
"""

import argparse
import html
import re
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import reviews as shared
from recbole_whisperlite.prepare.records import as_text, need, read_records

#: Each layout's keys for user, item, text and time, and its time units per second.
LAYOUTS = {
    "2014 or 2018": ("reviewerID", "asin", "reviewText", "unixReviewTime", 1),
    "2023": ("user_id", "parent_asin", "text", "timestamp", 1000),
}
#: Columns of the item text, and the keys that hold each in one layout or another.
ITEM_COLUMNS = {
    "title": ("title",),
    "brand": ("brand", "store"),
    "categories": ("categories", "category"),
    "features": ("features", "feature"),
    "description": ("description",),
}
_TAG = re.compile(r"<[^>]*>")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    option = parser.add_argument
    option("--reviews", required=True, help="e.g. reviews_Beauty_5.json.gz")
    option("--metadata", help="e.g. meta_Beauty.json.gz, of the same category")
    option(
        "--item_text_from_reviews",
        type=int,
        default=0,
        metavar="N",
        help="without metadata: use the N earliest reviews of each item as its text, "
        "not as requests",
    )
    shared.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    shared.print_counts(convert(**settings), args.output)


def convert(
    reviews: str | Path,
    output: str | Path,
    metadata: str | Path | None = None,
    item_text_from_reviews: int = 0,
    min_user_inter: int = 1,
    min_item_inter: int = 1,
) -> dict:
    """Write Amazon reviews as the dataset ``output`` (see the module docstring).

    Args:
        reviews (str or Path): The file of reviews.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.
        metadata (str or Path, optional): The file of items.
        item_text_from_reviews (int): Number of reviews used as an item's text; 0 with
            metadata.
        min_user_inter (int): Fewest distinct items a kept user has reviewed.
        min_item_inter (int): Fewest distinct users who reviewed a kept item.

    Returns:
        dict: How much was read and kept, as stored in ``.request.json``.

    Raises:
        UserError: If a file cannot be read, both or neither of metadata and
            item_text_from_reviews are given, or nothing is left.
    """
    if bool(metadata) == (item_text_from_reviews > 0):
        raise UserError(
            "Give either --metadata, the item file (meta_<category>.json.gz) of the "
            "same release, or --item_text_from_reviews=N with N above 0, which uses the "
            "N earliest reviews of each item as its text and not as requests. Without "
            "one of the two, items have no text."
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


def read_reviews(path: str | Path) -> Iterator[shared.Review]:
    """Stream the reviews of a file of any release.

    Args:
        path (str or Path): The file.

    Yields:
        Review: One per line.

    Raises:
        UserError: If the layout is none of :data:`LAYOUTS` or a line lacks a value; the
            message names file and line.
    """
    layout = None
    for number, record in read_records(path):
        layout = layout or _layout(path, number, record)
        user, item, text, time, scale = layout
        yield shared.Review(
            need(record, user, path, number),
            need(record, item, path, number),
            as_text(record.get(text)),  # 2018 omits the key if the text is empty
            _seconds(need(record, time, path, number), time, scale, path, number),
        )


def _seconds(text, key, scale, path, number):
    try:
        seconds = int(float(text) // scale)
    except (ValueError, OverflowError):  # no number, or not finite
        seconds = None
    if seconds is None or abs(seconds) > shared.LATEST:
        raise UserError(
            f"{path}, line {number}: {key} is '{text}', not a Unix time such as "
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
        f"{path}, line {number}: this is not an Amazon review. The record has "
        f"{', '.join(map(str, record)) or 'no keys'}; reviews have ({accepted})."
    )


def read_items(path: str | Path) -> Iterator[tuple[str, ...]]:
    """Stream the items of a metadata file of any release.

    Args:
        path (str or Path): The file.

    Yields:
        tuple of str: The item id, then a text for each of :data:`ITEM_COLUMNS`.

    Raises:
        UserError: If a line has no item id; the message names file and line.
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
    """Return the text without the HTML that descriptions contain."""
    text = html.unescape(_TAG.sub(" ", as_text(value, separator)))
    return " ".join(text.split())
