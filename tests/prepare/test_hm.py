"""The H&M converter, on files small enough to be checked by eye and on a real week."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from recbole_whisperlite import prepare
from recbole_whisperlite.data import atomic
from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import hm, reading

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "hm"

WEDNESDAY, THURSDAY = "2020-09-16", "2020-09-17"


def article(id_, **values):
    """One article as H&M describes it; ``values`` replace what is usual."""
    usual = {
        "article_id": id_,
        "product_code": id_[:7],  # a column the converter has no use for
        "prod_name": "Strap top",
        "product_type_name": "Vest top",
        "product_group_name": "Garment Upper body",
        "graphical_appearance_name": "Solid",
        "colour_group_name": "Black",
        "department_name": "Jersey Basic",
        "index_group_name": "Ladieswear",
        "section_name": "Womens Everyday Basics",
        "garment_group_name": "Jersey Basic",
        "detail_desc": "Jersey top.",
    }
    return {**usual, **values}


def purchase(customer, article_id, day=WEDNESDAY):
    return {
        "t_dat": day,
        "customer_id": customer,
        "article_id": article_id,
        "price": "0.01",
        "sales_channel_id": "1",
    }


# Anna and Bea bought both articles, Anna the top on both days.
ARTICLES = [
    article("0108775015"),
    article("0000000007", product_type_name="Bra", colour_group_name="Light Pink"),
]
PURCHASES = [
    purchase("anna", "0108775015", THURSDAY),
    purchase("anna", "0108775015", WEDNESDAY),
    purchase("anna", "0000000007", THURSDAY),
    purchase("bea", "0000000007", WEDNESDAY),
    purchase("bea", "0108775015", THURSDAY),
]


@pytest.fixture
def write(tmp_path):
    """Write articles and purchases as csv or parquet; returns what convert() takes."""

    def write(articles=ARTICLES, purchases=PURCHASES, kind="csv"):
        paths = {}
        for name, rows in (("articles", articles), ("transactions", purchases)):
            path = paths[name] = tmp_path / f"{name}.{kind}"
            frame = pd.DataFrame(rows)
            frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
        return {**paths, "output": tmp_path / "hm"}

    return write


def convert(paths, **settings):
    """Convert without filtering, and read the three atomic files back."""
    hm.convert(**paths, **{"min_user_inter": 1, "min_item_inter": 1, **settings})
    folder = paths["output"]
    return tuple(
        read_atomic(folder / f"{folder.name}.{kind}")[0]
        for kind in ("inter", "item", "request")
    )


def pairs(inter):
    return set(zip(inter["user_id"], inter["item_id"]))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_repeated_purchase_counts_once_on_its_first_day(write):
    inter, _, _ = convert(write())

    assert len(inter) == 4
    top = inter[(inter["user_id"] == "anna") & (inter["item_id"] == "0108775015")]
    assert top["timestamp"].tolist() == ["1600214400"]  # 2020-09-16 00:00 UTC


def test_every_purchase_is_a_request_numbered_in_the_order_of_the_lines(write):
    inter, _, request = convert(write())

    assert inter["request_id"].tolist() == ["1", "2", "3", "4"]
    assert request["request_id"].tolist() == ["1", "2", "3", "4"]
    text = {
        "0108775015": "Ladieswear Jersey Basic Vest top",
        "0000000007": "Ladieswear Jersey Basic Bra",
    }
    assert request["request"].tolist() == [text[item] for item in inter["item_id"]]


def test_attributes_are_colour_then_type_then_audience(write):
    inter, _, request = convert(write(), requests="attributes")

    text = {
        "0108775015": "Black Vest top Ladieswear",
        "0000000007": "Light Pink Bra Ladieswear",
    }
    assert request["request"].tolist() == [text[item] for item in inter["item_id"]]


def test_parts_that_hm_does_not_know_are_left_out_of_requests_and_item_texts(write):
    articles = [
        article(
            "1",
            garment_group_name="Unknown",
            graphical_appearance_name="undefined",
            prod_name="Unknown",  # a name is a name
        )
    ]
    _, item, request = convert(write(articles, [purchase("anna", "1")]))

    assert request["request"].tolist() == ["Ladieswear Vest top"]
    assert item.loc[0, "garment_group_name"] == ""
    assert item.loc[0, "graphical_appearance_name"] == ""
    assert item.loc[0, "title"] == "Unknown"


def test_the_filter_goes_on_until_it_holds(write):
    # Article C has one customer: it falls. That leaves Dora one article: she falls.
    # That leaves B two customers of the three wanted: it falls. That leaves Cleo one
    # article: she falls. A, D and E keep Anna, Bea and Eve.
    bought = {
        "anna": "ADEB",
        "bea": "ADE",
        "eve": "ADE",
        "cleo": "AB",
        "dora": "BC",
    }
    articles = [article(letter) for letter in "ABCDEF"]
    purchases = [
        purchase(customer, letter)
        for customer, letters in bought.items()
        for letter in letters
    ]
    inter, item, _ = convert(
        write(articles, purchases), min_user_inter=2, min_item_inter=3
    )

    assert pairs(inter) == {(c, l) for c in ("anna", "bea", "eve") for l in "ADE"}
    assert item["item_id"].tolist() == ["A", "D", "E"]


def test_the_filter_counts_distinct_articles_and_distinct_customers(write):
    purchases = [purchase("anna", "0108775015", day) for day in (WEDNESDAY, THURSDAY)]
    with pytest.raises(UserError, match="none of 1 purchases"):
        convert(write(purchases=purchases), min_user_inter=2)
    with pytest.raises(UserError, match="maximum before filtering is 1"):
        convert(write(purchases=purchases), min_item_inter=2)


@pytest.mark.parametrize("requests", ["category", "attributes"])
def test_csv_and_parquet_give_the_same_files(write, requests):
    articles = [
        *ARTICLES,
        article("0000000009", detail_desc='A "quoted" text,\nwith a comma'),
        article("0000000010", detail_desc=None),
    ]
    purchases = [*PURCHASES, purchase("anna", "0000000009", THURSDAY)]
    purchases += [purchase("bea", "0000000010", WEDNESDAY)]
    read = []
    for kind in ("csv", "parquet"):
        paths = write(articles, purchases, kind)
        convert(paths, requests=requests)
        written = files(paths["output"])
        del written["hm.request.json"]  # it names the files read
        read.append(written)

    assert sorted(read[0]) == ["hm.inter", "hm.item", "hm.request"]
    assert read[0] == read[1]


@pytest.mark.parametrize(
    "days",
    [
        pa.array(["2020-09-16"]),
        pa.array(["2020-09-16"]).cast(pa.date32()),
        pa.array(["2020-09-16"]).cast(pa.timestamp("ns")),
        pa.array(["2020-09-16"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_may_store_days_as_text_dates_or_timestamps(write, days):
    paths = write(purchases=[purchase("anna", "0108775015")], kind="parquet")
    table = pa.parquet.read_table(paths["transactions"])
    pa.parquet.write_table(table.set_column(0, "t_dat", days), paths["transactions"])
    inter, _, _ = convert(paths)

    assert inter["timestamp"].tolist() == ["1600214400"]


def test_item_texts_keep_quotes_and_lose_only_tabs_and_line_breaks(write):
    articles = [
        article("1", detail_desc='Says "PARTY"\tat\r\nthe top', prod_name='"Quote'),
        article("2", detail_desc=None, prod_name="NA"),
        article("3"),  # bought by nobody
    ]
    _, item, _ = convert(write(articles, [purchase("a", "1"), purchase("a", "2")]))

    assert item["item_id"].tolist() == ["1", "2"]
    assert item["title"].tolist() == ['"Quote', "NA"]
    assert item["description"].tolist()[0].split() == 'Says "PARTY" at the top'.split()
    assert item["description"].tolist()[1] == ""
    assert item.columns[-1] == "description"


def test_the_order_is_by_day_then_by_seed_whatever_the_order_of_the_input(write):
    articles = [article(f"{number:03}") for number in range(60)]
    purchases = [
        purchase(f"customer {number % 7}", f"{number:03}", f"2020-09-{20 - number % 2}")
        for number in range(60)
    ]
    forwards, _, _ = convert(write(articles, purchases))
    backwards, _, _ = convert(write(articles[::-1], purchases[::-1]))
    reseeded, _, _ = convert(write(articles, purchases), seed=1)

    pd.testing.assert_frame_equal(forwards, backwards)
    days = forwards["timestamp"].astype(int).tolist()
    assert days == sorted(days) and len(set(days)) == 2
    first_day = forwards["item_id"][:30].tolist()
    assert first_day != sorted(first_day)  # shuffled
    assert reseeded["item_id"][:30].tolist() != first_day
    assert sorted(reseeded["item_id"][:30]) == sorted(first_day)


def test_the_folder_says_that_its_requests_are_composed(write):
    paths = write()
    convert(paths, requests="attributes", seed=3)
    about = json.loads((paths["output"] / "hm.request.json").read_text())

    assert about["composed"] is True
    assert about["template"] == (
        "{colour_group_name} {product_type_name} {index_group_name}"
    )
    assert about["settings"]["requests"] == "attributes"
    assert about["settings"]["seed"] == 3
    assert about["counts"] == {
        "rows": 5,
        "pairs": 4,
        "interactions": 4,
        "users": 2,
        "items": 2,
        "requests": 4,
        "distinct_requests": 2,
        "first_day": WEDNESDAY,
        "last_day": THURSDAY,
    }


def test_the_command_names_files_after_the_folder_and_prints_what_it_did(
    write, tmp_path, capsys
):
    paths = {**write(), "output": tmp_path / "my-week"}
    command = ["hm", "--min_user_inter", "1", "--min_item_inter", "1"]
    command += [f"--{name}={path}" for name, path in paths.items()]

    assert prepare.main(command) == 0
    assert sorted(files(tmp_path / "my-week")) == [
        f"my-week.{kind}" for kind in ("inter", "item", "request", "request.json")
    ]
    printed = capsys.readouterr().out
    assert "2 customers, 2 articles, 4 requests with 2 distinct texts" in printed
    assert "from 2020-09-16 to 2020-09-17" in printed
    assert "they carry attributes of the target" in printed
    next_command = "recbole-whisperlite run --model=WhisperLite --dataset=my-week"
    assert f"Next: {next_command} --data_path={tmp_path}" in printed
    assert "will be replaced" not in printed

    prepare.main(command)
    assert "will be replaced" in capsys.readouterr().out


def test_stock_recbole_reads_the_folder(write):
    from recbole.config import Config
    from recbole.data.dataset import Dataset

    paths = write()
    expected, _, _ = convert(paths)
    columns = [*expected.columns]
    config = Config(
        model="BPR",
        dataset="hm",
        config_dict={
            "data_path": str(paths["output"].parent),
            "load_col": {"inter": columns, "item": ["item_id", "title"]},
        },
    )
    dataset = Dataset(config)  # RecBole's own class, whatever else is registered
    read = {
        (
            dataset.id2token("user_id", int(user)),
            dataset.id2token("item_id", int(item)),
            str(int(time)),
        )
        for user, item, time in dataset.inter_feat[
            ["user_id", "item_id", "timestamp"]
        ].itertuples(index=False)
    }
    assert read == set(
        expected[["user_id", "item_id", "timestamp"]].itertuples(index=False, name=None)
    )


def damage(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


# What is done to the three-line csv files, and what the error then says.
DAMAGE = {
    "a date that is none": (
        "transactions.csv",
        b"2020-09-17,bea",
        b"2020-09-31,bea",
        r"transactions\.csv, line 6: t_dat is '2020-09-31', not a date",
    ),
    "an article without its zeros": (
        "transactions.csv",
        b"bea,0108775015",
        b"bea,108775015",
        r"transactions\.csv, line 6: the article '108775015' .*articles\.csv; "
        r"1 of 5 purchases are of 1 unknown articles.*leading zeros",
    ),
    "a purchase of nobody": (
        "transactions.csv",
        b"bea",
        b"",
        r"transactions\.csv, line 5: the purchase has no customer_id",
    ),
    "a line cut short": (
        "transactions.csv",
        b"bea,0000000007,0.01,1",
        b"bea",
        r"transactions\.csv, line 5: .*Expected 5 columns, got 2",
    ),
    "a byte that is no UTF-8": (
        "transactions.csv",
        b"bea",
        b"be\xff",
        r"transactions\.csv, line 5: .*invalid UTF8",
    ),
    "another column name": (
        "transactions.csv",
        b"customer_id",
        b"customer",
        r"no column 'customer_id'\. Did you mean 'customer'\? "
        r"Needed: t_dat, customer_id, article_id\. Found: t_dat, customer, article_id",
    ),
    "an article that stands there twice": (
        "articles.csv",
        b"\n0000000007",
        b"\n0108775015",
        r"articles\.csv, line 3: the article '0108775015' is already in the file",
    ),
    "an article without an id": (
        "articles.csv",
        b"\n0000000007",
        b"\n",
        r"articles\.csv, line 3: the article has no article_id",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_named_with_its_line_and_nothing_is_written(write, case):
    name, old, new, message = DAMAGE[case]
    paths = write()
    damage(paths["articles"].with_name(name), old, new)

    with pytest.raises(UserError, match=message):
        convert(paths)
    assert not paths["output"].exists()


def test_a_line_is_found_behind_line_breaks_in_values_and_across_blocks(
    write, monkeypatch
):
    monkeypatch.setattr(reading, "_CSV_BLOCK_BYTES", 2000)
    articles = [article(f"{n:04}", detail_desc="one\ntwo") for n in range(100)]
    paths = write(articles, [purchase("anna", "0001")] * 200)
    damage(paths["articles"], b"\n0090,", b"\n0089,")
    # A header and then two lines an article.
    with pytest.raises(UserError, match=r"articles\.csv, line 182: the article '0089'"):
        convert(paths)

    paths = write(articles, [purchase("anna", "0001")] * 199 + [purchase("b", "2", "")])
    with pytest.raises(UserError, match=r"transactions\.csv, line 201: t_dat is ''"):
        convert(paths)

    cut = paths["transactions"].read_bytes().splitlines(keepends=True)
    cut[150] = b"2020-09-16,anna\n"
    paths["transactions"].write_bytes(b"".join(cut))
    with pytest.raises(UserError, match=r"transactions\.csv, line 151: .*got 2"):
        convert(paths)


def test_byte_order_mark_windows_line_ends_and_empty_lines_are_no_obstacle(write):
    paths = write()
    plain, _, _ = convert(paths)
    for path in (paths["articles"], paths["transactions"]):
        content = path.read_bytes().replace(b"\n", b"\r\n\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + content)
    windows, _, _ = convert(paths)

    pd.testing.assert_frame_equal(plain, windows)


def test_a_parquet_row_is_named_by_its_number(write):
    purchases = [*PURCHASES[:2], purchase("anna", "77")]
    with pytest.raises(UserError, match=r"transactions\.parquet, row 3: .*'77'"):
        convert(write(purchases=purchases, kind="parquet"))


def test_ids_stored_as_numbers_are_refused(write):
    articles = [{**article("1"), "article_id": 108775015}]
    with pytest.raises(UserError, match="'article_id' is stored as int64.*zeros"):
        convert(write(articles, kind="parquet"))


def test_an_article_that_gives_no_request_is_named(write):
    nothing = dict.fromkeys(hm.REQUESTS["category"], "Unknown")
    with pytest.raises(UserError, match="'1' has none of index_group_name, garment"):
        convert(write([article("1", **nothing)], [purchase("anna", "1")]))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_without_rows_is_said_to_be_empty(write, kind):
    paths = write(kind=kind)
    for name, what in (("transactions", "purchases"), ("articles", "articles")):
        write(kind=kind)
        empty = pd.DataFrame([article("1") | purchase("anna", "1")]).iloc[:0]
        if kind == "csv":
            empty.to_csv(paths[name], index=False)
        else:
            empty.to_parquet(paths[name])
        with pytest.raises(UserError, match=f"{name}.{kind}: this file has no {what}"):
            convert(paths)


@pytest.mark.parametrize(
    "name, message",
    [
        ("missing.csv", "missing.csv: this file does not exist"),
        ("missing.txt", "missing.txt: .* ends in .parquet, .csv, .tsv"),
        ("empty.parquet", "empty.parquet: this file cannot be read as parquet"),
        ("empty.csv", "empty.csv: there is no column 'article_id'.*Found: none"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(write, tmp_path, name, message):
    if name.startswith("empty"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        convert({**write(), "articles": tmp_path / name})


def test_an_output_that_is_a_file_is_refused_before_anything_is_read(write, tmp_path):
    (tmp_path / "hm").write_text("mine")
    with pytest.raises(UserError, match="the dataset was not written"):
        convert({**write(), "articles": tmp_path / "missing.csv"})
    assert (tmp_path / "hm").read_text() == "mine"


@pytest.mark.parametrize("broken", ["hm.item", "hm.request", "hm.inter"])
def test_an_interrupted_conversion_leaves_the_old_data_set_whole(
    write, monkeypatch, broken
):
    paths = write()
    convert(paths)
    before = files(paths["output"])

    def interrupted(path, columns, rows):
        if path.name == broken:
            raise KeyboardInterrupt
        return write_atomic(path, columns, rows)

    write_atomic = atomic.write_atomic
    monkeypatch.setattr(atomic, "write_atomic", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(paths, requests="attributes", seed=1)
    assert files(paths["output"]) == before


def test_other_files_in_the_folder_stay(write):
    paths = write()
    paths["output"].mkdir()
    (paths["output"] / "notes.txt").write_text("mine")
    convert(paths)
    assert (paths["output"] / "notes.txt").read_text() == "mine"


@pytest.mark.skipif(
    not REAL.is_dir(), reason="needs H&M's files in ../shared/data/hm (not shipped)"
)
def test_a_real_week_holds_what_plain_pandas_finds_in_it(tmp_path):
    paths = {
        "articles": REAL / "articles.parquet",
        "transactions": REAL / "transactions_week.parquet",
        "output": tmp_path / "hm",
    }
    inter, item, request = convert(paths, min_user_inter=3, min_item_inter=5)

    expected = pd.read_parquet(paths["transactions"])
    expected = expected.sort_values("t_dat", kind="stable")
    expected = expected.drop_duplicates(["customer_id", "article_id"])
    before = None
    while before != len(expected):
        before = len(expected)
        bought = expected.groupby("customer_id")["article_id"].transform("size")
        expected = expected[bought >= 3]
        sold = expected.groupby("article_id")["customer_id"].transform("size")
        expected = expected[sold >= 5]
    catalogue = pd.read_parquet(paths["articles"]).set_index("article_id")

    assert len(inter) == len(expected) == 85_109
    assert inter["user_id"].nunique() == 17_043
    assert inter["item_id"].nunique() == len(item) == 4_160
    days = pd.to_datetime(inter["timestamp"].astype(np.int64), unit="s").dt.date
    found = zip(inter["user_id"], inter["item_id"], days)
    columns = ("customer_id", "article_id", "t_dat")
    assert set(found) == set(zip(*(expected[column] for column in columns)))
    assert days.is_monotonic_increasing

    bought = catalogue.loc[inter["item_id"]]
    parts = [
        bought[column].replace("Unknown", "") for column in hm.REQUESTS["category"]
    ]
    texts = (parts[0] + " " + parts[1] + " " + parts[2]).str.split().str.join(" ")
    assert request["request"].tolist() == texts.tolist()
    assert request["request_id"].tolist() == inter["request_id"].tolist()
    titles = catalogue.loc[item["item_id"], "prod_name"]
    assert item["title"].str.split().tolist() == titles.str.split().tolist()


def test_a_parquet_file_that_is_damaged_inside_is_named(write):
    paths = write([article(f"{n:04}") for n in range(500)], kind="parquet")
    content = bytearray(paths["articles"].read_bytes())
    content[40:2000] = bytes(1960)
    paths["articles"].write_bytes(content)
    with pytest.raises(UserError, match="articles.parquet: this file cannot be read"):
        convert(paths)


def test_the_line_of_a_quote_that_never_ends_is_named(write):
    paths = write()
    damage(paths["transactions"], b"bea,0000000007", b'"bea,0000000007')
    with pytest.raises(UserError, match=r"transactions\.csv, line 5: "):
        convert(paths)
