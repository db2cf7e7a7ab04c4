"""Write files as large as Kaggle's H&M download, to measure the converter on.

Not a test: pytest does not collect this file. ``articles.csv`` gets 105,542 articles
and ``transactions_train.csv`` 31,788,324 purchases of 1,362,281 customers on 734 days
(3.5 GB), Zipf-like over customers and articles, about one purchase in seven repeated
within its day. The same bytes each time.

    python tests/prepare/make_big_hm.py big
    /usr/bin/time -v recbole-whisperlite prepare hm --articles big/articles.csv \
        --transactions big/transactions_train.csv --output big/hm

Measured (Python 3.11, pyarrow 26.0, numpy 2.4, two processor cores busy with other
work): peak resident memory 1,783 MB, 874 MB of which importing the package takes; 243 s
of user time. 26,572,433 interactions are kept.
"""

import datetime
import hashlib
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from tqdm import tqdm

ARTICLES = 105_542
CUSTOMERS = 1_362_281
PURCHASES = 31_788_324
DAYS = 734
REPEATED = 1 / 7
FIRST_DAY = datetime.date(2018, 9, 20)


def write_articles(path, rng, ids):
    """Write Kaggle's 25 columns with texts of about Kaggle's lengths."""
    words = np.array(["cotton", "jersey", "soft", "with", "narrow", "a", "hem", "blue"])
    values = {
        "article_id": ids,
        "product_code": [id_[:7] for id_ in ids],
        "prod_name": [f"Product {id_}" for id_ in ids],
    }
    for name, distinct in {
        "product_type": 131,
        "graphical_appearance": 30,
        "colour_group": 50,
        "perceived_colour_value": 8,
        "perceived_colour_master": 20,
        "department": 250,
        "index": 10,
        "index_group": 5,
        "section": 56,
        "garment_group": 21,
    }.items():
        number = rng.integers(distinct, size=len(ids))
        values[f"{name}_no"] = number
        values[f"{name}_name"] = [f"{name.title()} {n}" for n in number]
    values["product_group_name"] = [
        f"Group {n % 19}" for n in values["product_type_no"]
    ]
    values["index_code"] = values["index_no"]
    values["detail_desc"] = [
        " ".join(words[rng.integers(len(words), size=28)]) for _ in ids
    ]
    pyarrow.csv.write_csv(pa.table(values), path)


def write_purchases(path, rng, article_ids):
    """Write the purchases day by day, each day's in random order."""
    customers = pa.array(
        [hashlib.sha256(str(n).encode()).hexdigest() for n in range(CUSTOMERS)]
    )
    articles = pa.array(article_ids)
    popular = 1 / np.arange(20, 20 + ARTICLES)
    popular = np.cumsum(popular / popular.sum())
    busy = 1 / np.arange(3000, 3000 + CUSTOMERS)
    busy = np.cumsum(busy / busy.sum())
    everybody = rng.permutation(CUSTOMERS)  # each customer buys at least once
    bounds = np.linspace(0, PURCHASES, DAYS + 1).astype(int)
    schema = pa.schema(
        {
            "t_dat": pa.string(),
            "customer_id": pa.string(),
            "article_id": pa.string(),
            "price": pa.float64(),
            "sales_channel_id": pa.int8(),
        }
    )
    options = pyarrow.csv.WriteOptions(quoting_style="none")
    with pyarrow.csv.CSVWriter(path, schema, write_options=options) as writer:
        for day in tqdm(range(DAYS), desc=path.name):
            rows = bounds[day + 1] - bounds[day]
            once = everybody[day::DAYS]
            drawn = np.searchsorted(busy, rng.random(rows - len(once)))
            who = np.concatenate([once, drawn])
            what = np.searchsorted(popular, rng.random(rows))
            again = len(once) + np.flatnonzero(rng.random(len(drawn)) < REPEATED)
            who[again], what[again] = who[again - 1], what[again - 1]
            order = rng.permutation(rows)
            date = str(FIRST_DAY + datetime.timedelta(days=day))
            writer.write_table(
                pa.table(
                    [
                        pa.array([date] * rows),
                        customers.take(pa.array(who[order])),
                        articles.take(pa.array(what[order])),
                        pa.array(rng.random(rows) / 10),
                        pa.array(rng.integers(1, 3, size=rows).astype(np.int8)),
                    ],
                    schema=schema,
                )
            )


def main():
    """Write both files into the folder named on the command line."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2020)
    ids = [f"{number:010}" for number in rng.choice(10**9, ARTICLES, False)]
    write_articles(folder / "articles.csv", rng, ids)
    write_purchases(folder / "transactions_train.csv", rng, rng.permutation(ids))


if __name__ == "__main__":
    main()
