"""H&M Personalized Fashion Recommendations: a catalogue and dated purchases.

Reads articles and transactions as published (Kaggle's articles.csv and
transactions_train.csv, or the same columns in parquet) and writes, for --output
dataset/hm, the atomic files hm.inter, hm.item and hm.request, and beside them
hm.request.json, which records how the requests were made.

- An article that a customer bought repeatedly counts once, on the first day.
- Customers with fewer than --min_user_inter articles and articles with fewer than
  --min_item_inter customers are dropped repeatedly until all that remain have enough.
- Each purchase is one request. H&M has no request texts, so the text is composed from
  the purchased article: it carries attributes of the target, and published results must
  say so.
- Purchases have a day but no time of day. The lines of hm.inter are ordered by day, and
  at random within a day; the timestamp is the day's midnight (UTC), and the order of
  the lines breaks ties. It depends on --seed, not on the order of the input.
"""

import argparse
import array
import datetime
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.codes import Codes
from recbole_whisperlite.prepare.filtering import (
    earliest_of_each_pair,
    k_core,
    random_order_within_days,
)
from recbole_whisperlite.prepare.folder import replacing
from recbole_whisperlite.prepare.reading import parse_days, read_columns, where

# What a composed request is made of: audience, garment group, product type, colour.
REQUESTS = {
    "category": ["index_group_name", "garment_group_name", "product_type_name"],
    "attributes": ["colour_group_name", "product_type_name", "index_group_name"],
}

# H&M's columns and ours. The long description comes last: if the item text is made of
# all columns, an encoder that truncates long texts then cuts only the description.
ITEM_COLUMNS = {
    "article_id": "item_id",
    "prod_name": "title",
    "product_type_name": "product_type_name",
    "product_group_name": "product_group_name",
    "colour_group_name": "colour_group_name",
    "graphical_appearance_name": "graphical_appearance_name",
    "garment_group_name": "garment_group_name",
    "department_name": "department_name",
    "section_name": "section_name",
    "index_group_name": "index_group_name",
    "detail_desc": "description",
}

_MISSING = ["unknown", "undefined"]  # H&M's markers, in upper or lower case
_SECONDS_A_DAY = 86400
_UNIX_EPOCH = datetime.date(1970, 1, 1).toordinal()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    option = parser.add_argument
    option("--articles", required=True, help="articles.csv or .parquet")
    option("--transactions", required=True, help="transactions_train.csv or .parquet")
    option(
        "--output",
        required=True,
        help="folder to write; its name becomes the dataset's",
    )
    option(
        "--requests",
        choices=REQUESTS,
        default="category",
        help="what to compose requests from: category = audience, garment group, "
        "product type; attributes = colour, product type, audience "
        "(default: %(default)s)",
    )
    option(
        "--min_user_inter",
        type=int,
        default=3,
        help="fewest distinct articles of a customer (default: %(default)s)",
    )
    option(
        "--min_item_inter",
        type=int,
        default=5,
        help="fewest distinct customers of an article (default: %(default)s)",
    )
    option(
        "--seed",
        type=int,
        default=2020,
        help="seed for the order within a day (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    output = Path(args.output)
    name = output.resolve().name
    if (output / f"{name}.inter").exists():
        print(f"{output} already holds a dataset '{name}'; it will be replaced.")
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    counts = convert(**settings)
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    print(
        f"Read {counts['rows']:,} purchases, of which {counts['pairs']:,} are not "
        f"repeats.\n"
        f"Kept {counts['interactions']:,} purchases from {counts['first_day']} to "
        f"{counts['last_day']}: {counts['users']:,} customers, "
        f"{counts['items']:,} articles, {counts['requests']:,} requests with "
        f"{counts['distinct_requests']:,} distinct texts.\n"
        "Requests are composed from the purchased article "
        f"({_template(args.requests)}): they carry attributes of the target, and "
        "published results must say so.\n"
        f"Wrote {output / name}.inter, .item, .request and .request.json.\n"
        f"Next: recbole-whisperlite run --model=WhisperLite --dataset={name}{folder}"
    )


def convert(
    articles: str | Path,
    transactions: str | Path,
    output: str | Path,
    requests: str = "category",
    min_user_inter: int = 3,
    min_item_inter: int = 5,
    seed: int = 2020,
) -> dict:
    """Write H&M's purchases as the dataset ``output`` (see the module docstring).

    Args:
        articles (str or Path): Kaggle's ``articles.csv``, or its columns in parquet.
        transactions (str or Path): Kaggle's ``transactions_train.csv``, or parquet.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.
        requests (str): A key of :data:`REQUESTS`.
        min_user_inter (int): Fewest distinct articles of a kept customer.
        min_item_inter (int): Fewest distinct customers of a kept article.
        seed (int): Seed for the random order within a day.

    Returns:
        dict: How much was read and kept, as stored in ``.request.json``.

    Raises:
        UserError: If a file cannot be read, an article is unknown, a date is invalid,
            or the filter leaves nothing.
    """
    import pyarrow as pa

    from recbole_whisperlite.data.atomic import write_atomic

    about = {
        "composed": True,
        "template": _template(requests),
        "source": "H&M Personalized Fashion Recommendations",
        "settings": {
            "articles": str(articles),
            "transactions": str(transactions),
            "requests": requests,
            "min_user_inter": min_user_inter,
            "min_item_inter": min_item_inter,
            "seed": seed,
        },
    }
    with replacing(output) as folder:
        catalogue = _read_articles(articles)
        customers, purchases = _read_purchases(
            transactions, articles, catalogue["article_id"].to_pylist()
        )
        counts = about["counts"] = {"rows": len(purchases[0])}
        users, items, days = earliest_of_each_pair(purchases)
        counts["pairs"] = len(days)

        kept = k_core(users, items, min_user_inter, min_item_inter)
        if not kept.any():
            raise UserError(
                f"{transactions}: the filter leaves none of {len(days):,} purchases. "
                f"It requires customers with at least {min_user_inter} kept articles "
                f"(--min_user_inter; the maximum before filtering is "
                f"{np.bincount(users).max():,}) and articles with at least "
                f"{min_item_inter} kept customers (--min_item_inter; the maximum "
                f"before filtering is {np.bincount(items).max():,}). Lower one of them."
            )
        users, items, days = users[kept], items[kept], days[kept]

        bought = np.unique(items)
        catalogue = catalogue.take(pa.array(bought)).to_pydict()
        texts = _compose(catalogue, REQUESTS[requests])
        counts.update(
            interactions=len(days),
            users=len(np.unique(users)),
            items=len(bought),
            requests=len(days),
            distinct_requests=len(set(texts)),
            first_day=str(datetime.date.fromordinal(int(days.min()))),
            last_day=str(datetime.date.fromordinal(int(days.max()))),
        )
        name = Path(output).resolve().name
        (folder / f"{name}.request.json").write_text(
            json.dumps(about, indent=2) + "\n", encoding="utf-8"
        )
        write_atomic(
            folder / f"{name}.item",
            {column: "token" for column in ITEM_COLUMNS.values()},
            zip(*(catalogue[column] for column in ITEM_COLUMNS)),
        )
        texts = dict(zip(bought.tolist(), texts))
        rows = _in_order(f"{name}.request", seed, days, items)
        write_atomic(
            folder / f"{name}.request",
            {"request_id": "token", "request": "token"},
            ((request, texts[item]) for request, (item,) in enumerate(rows, 1)),
        )
        customers = customers.to_pylist()
        ids = dict(zip(bought.tolist(), catalogue["article_id"]))
        rows = _in_order(f"{name}.inter", seed, days, users, items, days)
        write_atomic(
            folder / f"{name}.inter",
            {
                "user_id": "token",
                "item_id": "token",
                "request_id": "token",
                "timestamp": "float",
            },
            (
                (customers[user], ids[item], request, _midnight(day))
                for request, (user, item, day) in enumerate(rows, 1)
            ),
        )
    return counts


def _read_articles(path):
    """Read the catalogue as a pyarrow table of text columns, ordered by article id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    batches = list(read_columns(path, list(ITEM_COLUMNS)))
    if not batches:
        raise UserError(f"{path}: this file has no articles.")
    table = pa.Table.from_batches(batches).combine_chunks()
    ids = table["article_id"].chunk(0)
    known = Codes()
    codes = known.encode(ids)
    if "" in known:
        row = pc.index(ids, "").as_py()
        raise UserError(f"{where(path, row)}: the article has no article_id.")
    if len(known) < len(codes):
        again = np.setdiff1d(
            np.arange(len(codes)), np.unique(codes, return_index=True)[1]
        )[0]
        raise UserError(
            f"{where(path, again)}: the article '{ids[again]}' is already in the "
            "file. Remove one of the two."
        )
    for index, name in enumerate(ITEM_COLUMNS):
        if name.endswith("_name") and name != "prod_name":
            missing = pc.is_in(pc.utf8_lower(table[name]), pa.array(_MISSING))
            table = table.set_column(index, name, pc.if_else(missing, "", table[name]))
    return table.sort_by("article_id")


def _read_purchases(path, articles, article_ids):
    """Read the purchases as codes that follow the order of the ids.

    Returns:
        tuple: The customer ids in order (a pyarrow array), and a list of three int32
        arrays of shape ``[rows]``: customers and articles (each as its index in the
        order of the ids) and days.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    customers, known = Codes(), Codes(article_ids)
    # These arrays grow in place; concatenating parts at the end would need twice the
    # memory.
    users, items, days = (array.array("i") for _ in range(3))
    for batch in read_columns(path, ["t_dat", "customer_id", "article_id"]):
        days_read = parse_days(batch["t_dat"], path, "t_dat", first_row=len(days))
        days.frombytes(days_read.tobytes())
        users.frombytes(customers.encode(batch["customer_id"]).tobytes())
        items.frombytes(known.encode(batch["article_id"]).tobytes())
    if not days:
        raise UserError(f"{path}: this file has no purchases.")
    users, items, days = (
        np.frombuffer(a, dtype=np.int32) for a in (users, items, days)
    )

    if "" in customers:
        row = np.argmax(users == list(customers).index(""))
        raise UserError(f"{where(path, row)}: the purchase has no customer_id.")
    unknown = items >= len(article_ids)
    if unknown.any():
        row = np.argmax(unknown)
        raise UserError(
            f"{where(path, row)}: the article '{list(known)[items[row]]}' is not in "
            f"{articles}; {unknown.sum():,} of {len(items):,} purchases are of "
            f"{len(known) - len(article_ids):,} unknown articles. Ids are compared as "
            "text, leading zeros included: use two files of the same download."
        )
    # Customer codes follow the order of the file. Make them follow the ids, as those of
    # the articles do, so that the output does not depend on how the file is sorted.
    ids = pa.array(customers)
    del customers
    by_id = pc.sort_indices(ids).to_numpy()
    rank = np.empty(len(ids), dtype=np.int32)
    rank[by_id] = np.arange(len(ids), dtype=np.int32)
    return ids.take(by_id), [rank[users], items, days]


def _compose(catalogue, columns):
    """Compose a request text for each article; missing parts are left out."""
    texts = []
    for article, *parts in zip(
        catalogue["article_id"], *(catalogue[column] for column in columns)
    ):
        texts.append(" ".join(part for part in parts if part))
        if not texts[-1]:
            raise UserError(
                f"The article '{article}' has none of {', '.join(columns)}: no request "
                "can be composed for it. Fill in one of them in the articles file."
            )
    return texts


def _template(requests):
    return " ".join(f"{{{column}}}" for column in REQUESTS[requests])


def _midnight(day):
    """Return the Unix seconds of a day number's midnight, UTC."""
    return (day - _UNIX_EPOCH) * _SECONDS_A_DAY


def _in_order(description, seed, days, *columns):
    """Yield each row's values in ``columns``, in the order of the output."""
    with tqdm(
        desc=description, total=len(days), unit=" rows", unit_scale=True, disable=None
    ) as bar:
        for rows in random_order_within_days(days, seed):
            yield from zip(*(column[rows].tolist() for column in columns))
            bar.update(len(rows))
