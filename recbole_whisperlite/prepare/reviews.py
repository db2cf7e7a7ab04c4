"""Reviews as requests: shared by all sources whose requests are reviews.

As in WhisperLite's paper, the text of a review is the request and the reviewed item its
positive. A review is written after the interaction and may name the item; this is noted
in ``<name>.request.json``, and every run logs it.

- Reviews without text, or of items without text, are left out.
- If a user reviews an item several times, only the earliest review counts.
- Reviews by one user with the same text at the same time are one request with several
  positives: the same words posted under several items.
"""

import argparse
import array
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.filtering import k_core
from recbole_whisperlite.prepare.folder import replacing

#: Unix seconds of the latest time a date can have, the end of the year 9999.
LATEST = 253402300799


class Review(NamedTuple):
    """One review.

    Attributes:
        user (str): Id of the user who wrote it.
        item (str): Id of the reviewed item.
        text (str): Its text, ``""`` if it has none.
        time (int): When it was written, Unix seconds.
    """

    user: str
    item: str
    text: str
    time: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all sources of reviews share to ``parser``."""
    option = parser.add_argument
    option(
        "--output",
        required=True,
        help="folder to write; its name becomes the dataset's",
    )
    option(
        "--min_user_inter",
        type=int,
        default=1,
        help="fewest distinct items a user has reviewed (default: %(default)s)",
    )
    option(
        "--min_item_inter",
        type=int,
        default=1,
        help="fewest distinct users who reviewed an item (default: %(default)s)",
    )


def write_reviews(
    output: str | Path,
    reviews: Callable[[], Iterator[Review]],
    items: Callable[[], Iterator[tuple[str, ...]]] | None,
    columns: list[str],
    source: str,
    settings: dict,
    min_user_inter: int = 1,
    min_item_inter: int = 1,
    describing: int = 0,
) -> dict:
    """Write reviews as the dataset ``output``.

    Of each review, ids, time and a digest of the text are held in memory, but not the
    text itself (unless it describes an item): reviews are read twice, and so are items.

    Args:
        output (str or Path): The dataset's folder; its name becomes the dataset's name.
        reviews (callable): Without arguments, returns an iterator of :class:`Review`,
            the same each time.
        items (callable): Without arguments, returns an iterator of tuples: item id,
            then a text for each of ``columns``. If an id occurs twice, the first
            entry with a text counts. Not called if ``describing`` is above 0.
        columns (list of str): Names of the text columns of ``.item``.
        source (str): The name of the source, for ``.request.json``.
        settings (dict): How the dataset was made, for ``.request.json``.
        min_user_inter (int): Fewest distinct items a kept user has reviewed.
        min_item_inter (int): Fewest distinct users who reviewed a kept item.
        describing (int): If above 0, this many of each item's earliest reviews are its
            text, and are not requests.

    Returns:
        dict: How much was read and kept, as stored in ``.request.json``.

    Raises:
        UserError: If nothing can be read or the filter leaves nothing.
    """
    from recbole_whisperlite.data.atomic import write_atomic

    name = Path(output).resolve().name
    with replacing(output) as folder:
        read = _Read(reviews())
        counts = {"reviews": len(read.user)}
        kept = read.digest != 0
        counts["without_text"] = int((~kept).sum())
        if describing:
            kept &= _earliest_of_pairs(read, kept)
            describes, texts = _describe(read, reviews, kept, describing)
            # these are not requests, so no request can be matched to its own words
            kept &= ~describes
            counts["describing_items"] = int(describes.sum())
            items, columns = texts.items, ["reviews"]
        known = _items_with_text(read, items)
        counts["of_items_without_text"] = int((kept & ~known[read.item]).sum())
        kept &= known[read.item]
        kept &= _earliest_of_pairs(read, kept)
        rows = np.flatnonzero(kept)
        core = k_core(read.user[rows], read.item[rows], min_user_inter, min_item_inter)
        counts["too_few"] = int((~core).sum())
        rows = rows[core]
        if not len(rows):
            raise UserError(
                f"{output}: none of {counts['reviews']:,} reviews is left: "
                f"{counts['without_text']:,} have no text, "
                f"{counts['of_items_without_text']:,} are of items without text, "
                f"{counts['too_few']:,} are of users with fewer than {min_user_inter} "
                f"items (--min_user_inter) or of items with fewer than "
                f"{min_item_inter} users (--min_item_inter). Lower these, or check that "
                "reviews and items come from the same download."
            )
        request = _number_requests(read, rows)
        first = np.zeros(len(read.user), dtype=bool)
        first[rows[np.unique(request, return_index=True)[1]]] = True
        chosen = np.zeros(len(known), dtype=bool)
        chosen[read.item[rows]] = True
        counts.update(
            interactions=len(rows),
            users=len(np.unique(read.user[rows])),
            items=int(chosen.sum()),
            requests=int(request.max()),
        )
        about = {"composed": False, "kind": "review", "source": source}
        about.update(settings=settings, counts=counts)
        (folder / f"{name}.request.json").write_text(
            json.dumps(about, indent=2) + "\n", encoding="utf-8"
        )
        write_atomic(
            folder / f"{name}.item",
            {"item_id": "token", **dict.fromkeys(columns, "token")},
            _once(items(), read.item_codes, chosen),
        )
        write_atomic(
            folder / f"{name}.request",
            {"request_id": "token", "request": "token"},
            enumerate((r.text for r, new in zip(reviews(), first) if new), start=1),
        )
        users, ids = list(read.user_codes), list(read.item_codes)
        write_atomic(
            folder / f"{name}.inter",
            {
                "user_id": "token",
                "item_id": "token",
                "request_id": "token",
                "timestamp": "float",
            },
            (
                (users[read.user[row]], ids[read.item[row]], number, read.time[row])
                for row, number in zip(rows, request)
            ),
        )
    return counts


class _Read:
    """Reviews as numbers, in the order of the file.

    Attributes:
        user, item (numpy.ndarray): Codes, int32 ``[reviews]``.
        time (numpy.ndarray): Unix seconds, int64 ``[reviews]``.
        digest (numpy.ndarray): Digests of the texts, int64 ``[reviews]``; 0 if empty.
        user_codes, item_codes (dict): ``{id: code}``, in the order of the codes.
    """

    def __init__(self, reviews):
        self.user_codes, self.item_codes = {}, {}
        users, items = array.array("i"), array.array("i")
        times, digests = array.array("q"), array.array("q")
        for review in reviews:
            users.append(self.user_codes.setdefault(review.user, len(self.user_codes)))
            items.append(self.item_codes.setdefault(review.item, len(self.item_codes)))
            times.append(review.time)
            digests.append(_digest(review.text))
        self.user, self.item = (
            np.frombuffer(a, dtype=np.int32) for a in (users, items)
        )
        self.time, self.digest = (
            np.frombuffer(a, dtype=np.int64) for a in (times, digests)
        )


def _digest(text):
    if not text.strip():
        return 0
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8)
    return int.from_bytes(digest.digest(), "little", signed=True)


def _starts(*sorted_columns):
    """Mark where rows of sorted columns differ from the row before, bool ``[rows]``."""
    new = np.ones(len(sorted_columns[0]), dtype=bool)
    new[1:] = np.any([c[1:] != c[:-1] for c in sorted_columns], axis=0)
    return new


def _earliest_of_pairs(read, among):
    """Mark the earliest row of each (user, item) in ``among``, bool ``[reviews]``."""
    rows = np.flatnonzero(among)
    user, item = read.user[rows], read.item[rows]
    order = np.lexsort((read.time[rows], item, user))
    earliest = np.zeros(len(among), dtype=bool)
    earliest[rows[order[_starts(user[order], item[order])]]] = True
    return earliest


def _number_requests(read, rows):
    """Number the requests of these rows from 1, in row order, int64 ``[rows]``."""
    key = (read.digest[rows], read.time[rows], read.user[rows])
    order = np.lexsort(key)
    group = np.empty(len(rows), dtype=np.int64)
    group[order] = np.cumsum(_starts(*(column[order] for column in key)))
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(1, len(first) + 1)
    return number[group]


def _items_with_text(read, items):
    """Mark the reviewed items that have a text, bool ``[items]``."""
    known = np.zeros(len(read.item_codes), dtype=bool)
    for item, *texts in items():
        if item in read.item_codes and any(texts):
            known[read.item_codes[item]] = True
    return known


def _once(items, codes, chosen):
    """Yield each chosen item once, with its first non-empty texts."""
    waiting = chosen.copy()
    for item, *texts in items:
        code = codes.get(item)
        if code is not None and waiting[code] and any(texts):
            waiting[code] = False
            yield (item, *texts)


def _describe(read, reviews, kept, number):
    """Make each item's text of its earliest reviews in ``kept``.

    Returns:
        tuple: Which reviews are item text, bool ``[reviews]``, and ``{item id: text}``.
    """
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((read.time[rows], read.item[rows]))]
    starts = np.flatnonzero(_starts(read.item[rows]))
    index = np.arange(len(rows))  # of each review among those of its item
    index -= np.repeat(starts, np.diff(np.append(starts, len(rows))))
    describes = np.zeros(len(kept), dtype=bool)
    describes[rows[index < number]] = True
    texts = {}
    for review, wanted in zip(reviews(), describes):
        if wanted:
            texts.setdefault(review.item, []).append(review.text.strip())
    return describes, {item: " ".join(parts) for item, parts in texts.items()}


def print_counts(counts: dict, output: str | Path) -> None:
    """Print the counts that :func:`write_reviews` returned and the next command."""
    output = Path(output)
    name = output.resolve().name
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    print(
        f"Read {counts['reviews']:,} reviews: {counts['without_text']:,} without text and "
        f"{counts['of_items_without_text']:,} of items without text are left out.\n"
        f"Kept {counts['interactions']:,} interactions: {counts['users']:,} users, "
        f"{counts['items']:,} items, {counts['requests']:,} requests.\n"
        "Requests are reviews of the target item, written after the interaction: they "
        "may name it, and published results must say so.\n"
        f"Wrote {output / name}.inter, .item, .request and .request.json.\n"
        f"Next: recbole-whisperlite run --model=WhisperLite --dataset={name}{folder}"
    )
