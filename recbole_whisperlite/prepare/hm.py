"""H&M Personalized Fashion Recommendations: a catalogue and dated purchases.

Reads articles and transactions as published (Kaggle's articles.csv and
transactions_train.csv, or the same columns in parquet) and writes, for --output
dataset/hm, the atomic files hm.inter, hm.item and hm.request, and beside them
hm.request.json, which says how the requests came about.

- An article that a customer bought repeatedly counts once, on the first day.
- Customers with fewer than --min_user_inter articles and articles with fewer than
  --min_item_inter customers are dropped, again and again until the rest have enough.
- Each purchase is one request. H&M has none, so its text is composed from the article
  that was bought: it carries attributes of the target, and results must say so.
- Purchases have a day and no clock time. The lines of hm.inter are ordered by day, and
  at random within a day; the timestamp is the day's midnight (UTC), and the order of
  the lines breaks the ties. It depends on --seed, not on the order of the input.
"""

import array
import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from recbole_whisperlite.data.atomic import write_atomic
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

# H&M's columns and ours. The long description comes last: where all columns make the
# item text, an encoder that cuts long texts then cuts there.
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

_MISSING = pa.array(["unknown", "undefined"])  # as H&M writes it, in any case
_SECONDS_A_DAY = 86400
_UNIX_EPOCH = datetime.date(1970, 1, 1).toordinal()


def add_arguments(parser):
    """Declare the command's options on an :class:`argparse.ArgumentParser`."""
    option = parser.add_argument
    option("--articles", required=True, help="articles.csv or .parquet")
    option("--transactions", required=True, help="transactions_train.csv or .parquet")
    option(
        "--output", required=True, help="folder to write; its name is the data set's"
    )
    option(
        "--requests",
        choices=REQUESTS,
        default="category",
        help="what requests are composed of: category = audience, garment group, "
        "product type; attributes = colour, product type, audience "
        "(default: %(default)s)",
    )
    option(
        "--min_user_inter",
        type=int,
        default=3,
        help="distinct articles a customer has at least (default: %(default)s)",
    )
    option(
        "--min_item_inter",
        type=int,
        default=5,
        help="distinct customers an article has at least (default: %(default)s)",
    )
    option(
        "--seed",
        type=int,
        default=2020,
        help="of the order within a day (default: %(default)s)",
    )


def run(args):
    """Convert as the command line says, and print what came out."""
    output = Path(args.output)
    name = output.resolve().name
    if (output / f"{name}.inter").exists():
        print(f"{output} holds a data set '{name}'; it will be replaced.")
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    counts = convert(**settings)
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    print(
        f"Read {counts['rows']:,} purchases; {counts['pairs']:,} once repeated ones "
        f"count once.\n"
        f"Kept {counts['interactions']:,} purchases from {counts['first_day']} to "
        f"{counts['last_day']}: {counts['users']:,} customers, "
        f"{counts['items']:,} articles, {counts['requests']:,} requests with "
        f"{counts['distinct_requests']:,} distinct texts.\n"
        f"Requests are composed from the bought article ({_template(args.requests)}): "
        "they carry attributes of the target, and results must say so.\n"
        f"Wrote {output / name}.inter, .item, .request and .request.json.\n"
        f"Next: python run_recbole.py --model=WhisperLite --dataset={name}{folder}"
    )


def convert(
    articles,
    transactions,
    output,
    requests="category",
    min_user_inter=3,
    min_item_inter=5,
    seed=2020,
):
    """Write H&M's purchases as the data set ``output`` (see this module's text).

    Args:
        articles (str or Path): Kaggle's ``articles.csv``, or its columns in parquet.
        transactions (str or Path): Kaggle's ``transactions_train.csv``, or parquet.
        output (str or Path): The data set's folder, named like the data set.
        requests (str): A key of :data:`REQUESTS`.
        min_user_inter (int): Distinct articles that a kept customer has at least.
        min_item_inter (int): Distinct customers that a kept article has at least.
        seed (int): Of the random order within a day.

    Returns:
        dict: How much was read and kept, as it stands in ``.request.json``.

    Raises:
        UserError: If a file cannot be read, an article is unknown, a date is none, or
            the filter leaves nothing.
    """
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
                f"It wants customers with at least {min_user_inter} of the articles "
                f"kept (--min_user_inter; the most that one has bought is "
                f"{np.bincount(users).max():,}) and articles with at least "
                f"{min_item_inter} of the customers kept (--min_item_inter; the most "
                f"that one has is {np.bincount(items).max():,}). Lower one of them."
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
    """Read the catalogue: a table of text columns, ordered by article id."""
    batches = list(read_columns(path, list(ITEM_COLUMNS)))
    if not batches:
        raise UserError(f"{path}: there is no article in this file.")
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
            f"{where(path, again)}: the article '{ids[again]}' stands in the file "
            "twice. Remove one of the two."
        )
    for index, name in enumerate(ITEM_COLUMNS):
        if name.endswith("_name") and name != "prod_name":
            missing = pc.is_in(pc.utf8_lower(table[name]), _MISSING)
            table = table.set_column(index, name, pc.if_else(missing, "", table[name]))
    return table.sort_by("article_id")


def _read_purchases(path, articles, article_ids):
    """Read the purchases as codes that follow the order of the ids.

    Returns:
        tuple: The customer ids in order (a pyarrow array), and a list of three int32 arrays of shape
        ``[rows]``: customers, articles (both by place in their order) and days.
    """
    customers, known = Codes(), Codes(article_ids)
    # Arrays that grow in place: parts put together at the end would need twice the
    # memory.
    users, items, days = (array.array("i") for _ in range(3))
    for batch in read_columns(path, ["t_dat", "customer_id", "article_id"]):
        days_read = parse_days(batch["t_dat"], path, "t_dat", first_row=len(days))
        days.frombytes(days_read.tobytes())
        users.frombytes(customers.encode(batch["customer_id"]).tobytes())
        items.frombytes(known.encode(batch["article_id"]).tobytes())
    if not days:
        raise UserError(f"{path}: there is no purchase in this file.")
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
            f"{len(known) - len(article_ids):,} such articles. Ids are compared as "
            "text, leading zeros included: give the two files of one download."
        )
    # Customers have codes in the order of the file. Let them follow the ids, as the
    # articles' do, so that what is written does not depend on how the file is sorted.
    ids = pa.array(customers)
    del customers
    by_id = pc.sort_indices(ids).to_numpy()
    rank = np.empty(len(ids), dtype=np.int32)
    rank[by_id] = np.arange(len(ids), dtype=np.int32)
    return ids.take(by_id), [rank[users], items, days]


def _compose(catalogue, columns):
    """Compose the request that asks for each article; missing parts are left out."""
    texts = []
    for article, *parts in zip(
        catalogue["article_id"], *(catalogue[column] for column in columns)
    ):
        texts.append(" ".join(part for part in parts if part))
        if not texts[-1]:
            raise UserError(
                f"The article '{article}' has none of {', '.join(columns)}: no request "
                "can be composed for it. Fill one of them in the articles file."
            )
    return texts


def _template(requests):
    return " ".join(f"{{{column}}}" for column in REQUESTS[requests])


def _midnight(day):
    """Unix seconds of a day number, UTC."""
    return (day - _UNIX_EPOCH) * _SECONDS_A_DAY


def _in_order(description, seed, days, *columns):
    """Yield each row's values in ``columns``, in the order they are written in."""
    with tqdm(desc=description, total=len(days), unit=" rows", unit_scale=True) as bar:
        for rows in random_order_within_days(days, seed):
            yield from zip(*(column[rows].tolist() for column in columns))
            bar.update(len(rows))
