"""Your own tables: the guide's mapping, other kinds of file, and mistakes in them."""

import datetime
import gzip
import json

import numpy as np
import pandas as pd
import pytest
import yaml

from recbole_whisperlite import prepare
from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import table

MAPPING = {
    "interactions": {
        "file": "purchases.csv",
        "columns": {
            "user_id": "customer",
            "item_id": "sku",
            "request_id": "query",
            "timestamp": "bought_at",
        },
    },
    "requests": {
        "file": "queries.tsv",
        "columns": {"request_id": "id", "request": "text"},
    },
    "items": {
        "file": "catalogue.jsonl",
        "columns": {"item_id": "sku", "title": "name", "kinds": "kinds"},
    },
}
PURCHASES = """customer,sku,query,bought_at,price
anna,007,q1,1970-01-02,3.5
bea,8,,1970-01-02 00:00:01,2
bea,8,q2,90000.5,2
"""
QUERIES = 'id\ttext\nq1\t"a red, warm hat"\nq2\tboots\n'
CATALOGUE = [
    {"sku": "007", "name": "Hat", "kinds": ["red", "wool"]},
    {"sku": 8, "name": "Boots"},
    {"sku": 9, "name": "Nobody's"},
]


@pytest.fixture
def shop(tmp_path):
    """Write the tables; returns a function (mapping) -> inter, item, request."""
    (tmp_path / "purchases.csv").write_text(PURCHASES)
    (tmp_path / "queries.tsv").write_text(QUERIES)
    (tmp_path / "catalogue.jsonl").write_text(
        "".join(json.dumps(item) + "\n" for item in CATALOGUE)
    )

    def convert(mapping=MAPPING):
        (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping, sort_keys=False))
        table.convert(tmp_path / "mapping.yaml", tmp_path / "shop")
        return [
            read_atomic(path)[0].to_numpy().tolist()
            for path in sorted((tmp_path / "shop").iterdir())
            if path.suffix != ".json"
        ]

    return convert


def changed(section, **values):
    """The mapping with some columns of a section changed; None removes one."""
    columns = {**MAPPING[section]["columns"], **values}
    columns = {ours: theirs for ours, theirs in columns.items() if theirs}
    return {**MAPPING, section: {**MAPPING[section], "columns": columns}}


def test_mapped_tables_become_atomic_files(shop):
    inter, item, request = shop()

    assert inter == [
        ["anna", "007", "q1", "86400"],
        ["bea", "8", "", "86401"],  # an interaction without a request
        ["bea", "8", "q2", "90000.5"],
    ]
    assert item == [
        ["007", "Hat", "red, wool"],
        ["8", "Boots", ""],
        ["9", "Nobody's", ""],
    ]
    assert request == [["q1", "a red, warm hat"], ["q2", "boots"]]


def test_the_text_of_a_request_may_stand_in_the_interactions(shop, tmp_path):
    (tmp_path / "purchases.csv").write_text(
        "customer,sku,query,bought_at\n"
        "anna,007,a hat,5\nanna,8,a hat,5\nanna,9,a hat,6\nbea,8,a hat,5\nbea,9,,7\n"
    )
    mapping = changed("interactions", request="query", request_id=None)
    del mapping["requests"]
    inter, _, request = shop(mapping)

    assert [row[2] for row in inter] == ["1", "1", "2", "3", ""]
    assert request == [["1", "a hat"], ["2", "a hat"], ["3", "a hat"]]


def test_without_requests_there_is_no_request_file(shop, tmp_path):
    mapping = changed("interactions", request_id=None)
    del mapping["requests"]
    inter, _ = shop(mapping)

    assert inter[0] == ["anna", "007", "86400"]


def test_parquet_keeps_numbers_dates_and_lists(shop, tmp_path):
    pd.DataFrame(
        {
            "customer": pd.Categorical(["anna", "bea"]),
            "sku": [7, 8],
            "query": [1.0, None],  # integers that pandas made floats
            "bought_at": [datetime.datetime(1970, 1, 2, 0, 0, 5)] * 2,
        }
    ).to_parquet(tmp_path / "purchases.parquet")
    pd.DataFrame({"sku": [7, 8], "kinds": [["red", "wool"], None]}).assign(
        name="a thing"
    ).to_parquet(tmp_path / "catalogue.parquet")
    (tmp_path / "queries.tsv").write_text("id\ttext\n1\ta hat\n")
    mapping = {
        section: {**content, "file": content["file"].split(".")[0] + ".parquet"}
        for section, content in MAPPING.items()
    }
    mapping["requests"]["file"] = "queries.tsv"
    inter, item, _ = shop(mapping)

    assert inter == [["anna", "7", "1", "86405"], ["bea", "8", "", "86405"]]
    assert item == [["7", "a thing", "red, wool"], ["8", "a thing", ""]]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_numbers_in_parquet_are_none_where_missing_and_whole_where_they_can_be(
    shop, tmp_path, kind
):
    import pyarrow as pa
    import pyarrow.parquet as pq

    missing = float("nan")  # other than null
    columns = {
        "sku": pa.array(["007", "8"]),
        "name": pa.array(["hat", "boots"]),
        "stock": pa.array(np.array([missing, 3.0], kind)),
        "price": pa.array(np.array([1.5, missing], kind)),
        "atoms": pa.array([1e20, None], "float64"),  # beyond 64-bit integers
    }
    pq.write_table(pa.table(columns), tmp_path / "items.parquet")
    names = {"item_id": "sku", "title": "name"} | {
        name: name for name in ("stock", "price", "atoms")
    }
    items = {"file": "items.parquet", "columns": names}
    _, item, _ = shop({**MAPPING, "items": items})
    assert item[0] == ["007", "hat", "", "1.5", "1e+20"]
    assert item[1] == ["8", "boots", "3", "", ""]


def test_the_command_says_what_it_wrote_and_what_comes_next(shop, tmp_path, capsys):
    shop()
    prepare.main(
        ["table", f"--config={tmp_path / 'mapping.yaml'}", f"--output={tmp_path / 's'}"]
    )
    told = capsys.readouterr().out
    assert "3 interactions, 1 of them without a request, 2 requests, 3 items" in told
    assert f"--dataset=s --data_path={tmp_path}" in told


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "purchases.csv",
            "anna,007",
            "anna,7",
            "purchases.csv, line 2: the item '7' is",
        ),
        ("purchases.csv", "8,q2", "8,q3", "purchases.csv, line 4: the request 'q3' is"),
        (
            "purchases.csv",
            "bea,8,q2",
            ",8,q2",
            "line 4: the user_id .column 'customer'. is empty",
        ),
        *(
            (
                "purchases.csv",
                "90000.5",
                time,
                f"line 4: the timestamp '{time}' .*'bought_at'",
            )
            for time in ("noon", "nan", "inf", "1e999", "1_000")
        ),
        (
            "queries.tsv",
            'q1\t"a red, warm hat"\nq2\tboots\n',
            "",
            "queries.tsv: this file has no requests",
        ),
        ("purchases.csv", "sku,", "skus,", "no column 'sku'. Did you mean 'skus'"),
        (
            "queries.tsv",
            "q2",
            "q1",
            "queries.tsv, line 3: 'q1' is already in the file",
        ),
        ("queries.tsv", "boots", " ", "queries.tsv, line 3: the request .* is empty"),
        ("catalogue.jsonl", '"Boots"', '""', "line 3: the item '8' has no text"),
        ("catalogue.jsonl", '"name"', '"names"', "no record has 'name'. Did you mean"),
        (
            "catalogue.jsonl",
            '"sku": 9',
            '"sku" 9',
            "catalogue.jsonl, line 3: this is not",
        ),
    ],
)
def test_a_mistake_in_a_table_is_named_and_nothing_is_written(
    shop, tmp_path, file, old, new, told
):
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))

    with pytest.raises(UserError, match=told):
        shop()
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"items": MAPPING["items"]}, "the mapping: 'interactions' is missing"),
        ({**MAPPING, "item": {}}, "there is no 'item'. Did you mean 'items'"),
        (changed("interactions", usr_id="x"), "no 'usr_id'. Did you mean 'user_id'"),
        (changed("interactions", user_id=None), "columns: 'user_id' is missing"),
        (changed("interactions", request="x"), "map either interactions: request_id"),
        (
            changed("interactions", request_id=None),
            "map either interactions: request_id",
        ),
        (changed("items", title=None, kinds=None), "map at least one text column"),
        ({**MAPPING, "items": "catalogue.csv"}, "items must hold file, columns"),
        (
            {**MAPPING, "items": {**MAPPING["items"], "file": ["a.csv", "b.csv"]}},
            "items: file must be a single name",
        ),
        (
            changed("items", title=["name", "kinds"]),
            "columns: title must be a single name",
        ),
        (changed("items", title=None, kinds=None, image="name"), "at least one text"),
        (
            changed("items", user_id="name"),
            "'user_id' is the name of a column of inter",
        ),
    ],
)
def test_a_mistake_in_the_mapping_is_named(shop, mapping, told):
    with pytest.raises(UserError, match=f"mapping.yaml: .*{told}"):
        shop(mapping)


def test_interactions_that_name_no_request_ask_nothing(shop, tmp_path):
    text = (tmp_path / "purchases.csv").read_text()
    (tmp_path / "purchases.csv").write_text(text.replace("q1", "").replace("q2", ""))
    with pytest.raises(UserError, match="no row has a request: the column 'query'"):
        shop()
    assert not (tmp_path / "shop").exists()


def test_gzipped_tables_are_read_as_others(shop, tmp_path):
    plain = shop()
    named = {}
    for section, content in MAPPING.items():
        file = tmp_path / content["file"]
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        named[section] = {**content, "file": f"{file.name}.gz"}
    assert shop(named) == plain

    bad = PURCHASES.replace("90000.5", "noon")
    (tmp_path / "purchases.csv.gz").write_bytes(gzip.compress(bad.encode()))
    with pytest.raises(UserError, match="purchases.csv.gz, line 4: the timestamp"):
        shop(named)
    (tmp_path / "purchases.csv.gz").write_bytes(gzip.compress(bad.encode())[:-9])
    with pytest.raises(UserError, match="purchases.csv.gz: this file cannot be read"):
        shop(named)


def test_a_kind_of_file_that_is_not_read_is_named(shop, tmp_path):
    (tmp_path / "purchases.xlsx").touch()
    other = {**MAPPING["interactions"], "file": "purchases.xlsx"}
    with pytest.raises(UserError, match="purchases.xlsx: the name must end in .csv"):
        shop({**MAPPING, "interactions": other})
