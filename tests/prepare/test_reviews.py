"""Reviews as requests: each published layout, and the rules that all sources share."""

import gzip
import json
from pathlib import Path

import pytest

from recbole_whisperlite import prepare
from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import amazon, renttherunway, reviews, yelp
from recbole_whisperlite.prepare.reviews import Review

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "amazon"

REVIEWS = [
    Review("anna", "boots", "warm boots", 30),
    Review("anna", "boots", "I bought them again", 40),
    Review("bea", "boots", "too small", 20),
    Review("bea", "scarf", "soft", 50),
    Review("anna", "scarf", "soft and red", 60),
    Review("anna", "hat", "", 70),
    Review("bea", "ghost", "nobody describes it", 80),
]
ITEMS = [
    ("boots", "Winter boots"),
    ("scarf", ""),
    ("scarf", "Red scarf"),
    ("hat", "Hat"),
]


def write(folder, given=REVIEWS, items=ITEMS, **settings):
    output = folder / "shop"
    counts = reviews.write_reviews(
        output,
        lambda: iter(given),
        items and (lambda: iter(items)),
        ["title"],
        source="a test",
        settings={},
        **settings,
    )
    return counts, *read(output)


def read(output):
    return tuple(
        read_atomic(output / f"{output.name}.{kind}")[0]
        for kind in ("inter", "item", "request")
    )


def asked(inter, request):
    """Return {(user, item): (request text, time)}."""
    text = dict(zip(request["request_id"], request["request"]))
    return {
        (row.user_id, row.item_id): (text[row.request_id], row.timestamp)
        for row in inter.itertuples()
    }


def lines(path, records, pack=False):
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if pack else text)
    return path


def test_a_review_is_a_request_and_the_earliest_of_an_item_counts(tmp_path):
    counts, inter, item, request = write(tmp_path)

    assert asked(inter, request) == {
        ("anna", "boots"): ("warm boots", "30"),
        ("bea", "boots"): ("too small", "20"),
        ("bea", "scarf"): ("soft", "50"),
        ("anna", "scarf"): ("soft and red", "60"),
    }
    # of an id that comes twice, the first that has a text
    assert item.to_numpy().tolist() == [
        ["boots", "Winter boots"],
        ["scarf", "Red scarf"],
    ]
    assert counts == {
        "reviews": 7,
        "without_text": 1,
        "of_items_without_text": 1,
        "too_few": 0,
        "interactions": 4,
        "users": 2,
        "items": 2,
        "requests": 4,
    }


def test_the_folder_says_that_requests_are_reviews(tmp_path):
    counts, *_ = write(tmp_path)

    about = json.loads((tmp_path / "shop" / "shop.request.json").read_text())
    assert (about["composed"], about["kind"]) == (False, "review")
    assert about["counts"] == counts


def test_the_same_words_posted_below_two_items_are_one_request(tmp_path):
    given = [
        Review("anna", "boots", "great!", 1),
        Review("bea", "boots", "great!", 1),  # another user
        Review("anna", "scarf", "great!", 1),
        Review("anna", "hat", "great!", 2),  # another time
    ]
    _, inter, _, request = write(tmp_path, given)

    assert inter["request_id"].tolist() == ["1", "2", "1", "3"]
    assert request["request"].tolist() == ["great!"] * 3


def test_few_reviews_are_filtered_until_all_have_enough(tmp_path):
    given = REVIEWS[:5] + [Review("cleo", "hat", "mine", 1)]
    counts, inter, item, _ = write(tmp_path, given, min_user_inter=2, min_item_inter=2)

    assert set(inter["user_id"]) == {"anna", "bea"}
    assert set(item["item_id"]) == {"boots", "scarf"}
    assert counts["too_few"] == 1


def test_a_filter_that_leaves_nothing_is_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(UserError, match="none of 7 reviews is left.*--min_user_inter"):
        write(tmp_path, min_user_inter=9)
    assert not (tmp_path / "shop").exists()


def test_reviews_that_describe_an_item_are_no_requests(tmp_path):
    counts, inter, item, request = write(tmp_path, items=None, describing=1)

    described = dict(item.to_numpy().tolist())
    assert described == {"boots": "too small", "scarf": "soft"}
    assert asked(inter, request) == {
        ("anna", "boots"): ("warm boots", "30"),
        ("anna", "scarf"): ("soft and red", "60"),
    }
    assert counts["describing_items"] == 3  # the ghost's only one too


def test_amazons_2014_layout_is_read(tmp_path):
    given = lines(
        tmp_path / "reviews.json.gz",
        [
            {
                "reviewerID": "A1",
                "asin": "0001",
                "reviewText": 'I said "red"\tand\nmeant it',
                "overall": 5.0,
                "summary": "Red",
                "unixReviewTime": 1400000000,
            }
        ],
        pack=True,
    )
    metadata = tmp_path / "meta.json"
    metadata.write_text(
        "{'asin': '0001', 'title': \"Bo's dress\", 'categories': [['Clothing', "
        "'Dresses']], 'brand': 'Bo', 'description': 'A <b>red</b> &amp; long dress'}\n"
    )
    amazon.convert(given, tmp_path / "az", metadata)
    inter, item, request = read(tmp_path / "az")

    assert inter.to_numpy().tolist() == [["A1", "0001", "1", "1400000000"]]
    assert request["request"].tolist() == ['I said "red" and meant it']
    assert item.to_numpy().tolist() == [
        ["0001", "Bo's dress", "Bo", "Clothing, Dresses", "", "A red & long dress"]
    ]


def test_amazons_2018_layout_is_read(tmp_path):
    one = {
        "reviewerID": "A1",
        "asin": "B1",
        "overall": 5.0,
        "unixReviewTime": 1500000000,
    }
    given = lines(
        tmp_path / "reviews.json",
        [
            {**one, "reviewText": "soft", "style": {"Size:": " S"}},
            {**one, "asin": "B2"},
        ],
    )
    metadata = lines(
        tmp_path / "meta.json",
        [
            {
                "asin": "B1",
                "title": "Scarf",
                "brand": "Bo",
                "category": ["Clothing", "Scarves"],
                "feature": ["wool", "red"],
                "description": ["Soft.", "Long."],
            }
        ],
    )
    counts = amazon.convert(given, tmp_path / "az", metadata)
    inter, item, _ = read(tmp_path / "az")

    assert inter.to_numpy().tolist() == [["A1", "B1", "1", "1500000000"]]
    assert counts["without_text"] == 1
    assert item.to_numpy().tolist() == [
        ["B1", "Scarf", "Bo", "Clothing, Scarves", "wool, red", "Soft. Long."]
    ]


def test_amazons_2023_layout_is_read(tmp_path):
    given = lines(
        tmp_path / "reviews.jsonl.gz",
        [
            {
                "rating": 4.0,
                "title": "Nice",
                "text": "nice hat",
                "asin": "B9",
                "parent_asin": "B1",
                "user_id": "AE1",
                "timestamp": 1588687728923,
            }
        ],
        pack=True,
    )
    metadata = lines(
        tmp_path / "meta.jsonl",
        [
            {
                "parent_asin": "B1",
                "title": "Hat",
                "store": "Bo",
                "categories": [],
                "features": ["wool"],
                "description": [],
            }
        ],
    )
    amazon.convert(given, tmp_path / "az", metadata)
    inter, item, _ = read(tmp_path / "az")

    assert inter.to_numpy().tolist() == [["AE1", "B1", "1", "1588687728"]]
    assert item.to_numpy().tolist() == [["B1", "Hat", "Bo", "", "wool", ""]]


def test_amazon_needs_something_that_describes_items(tmp_path):
    with pytest.raises(UserError, match="--metadata.*--item_text_from_reviews"):
        amazon.convert("reviews.json", tmp_path / "az")
    with pytest.raises(UserError, match="--metadata.*--item_text_from_reviews"):
        amazon.convert("reviews.json", tmp_path / "az", "meta.json", 3)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"stars": 5}, "line 1: this is not an Amazon review.*has stars"),
        (
            {"reviewerID": "A1", "asin": "B1", "unixReviewTime": "today"},
            "line 1: unixReviewTime is 'today'",
        ),
        *(
            (
                {"reviewerID": "A1", "asin": "B1", "unixReviewTime": time},
                f"line 1: unixReviewTime is '{told}'",
            )
            for time, told in (
                (float("nan"), "nan"),
                (float("inf"), "inf"),
                (True, "True"),
                (10**30, 10**30),
            )
        ),
    ],
)
def test_what_amazon_cannot_use_is_named(tmp_path, record, told):
    given = lines(tmp_path / "reviews.json", [record])

    with pytest.raises(UserError, match=f"reviews.json, {told}"):
        amazon.convert(given, tmp_path / "az", item_text_from_reviews=1)


def test_yelps_layout_is_read(tmp_path):
    review = {
        "review_id": "r",
        "user_id": "u",
        "business_id": "b",
        "stars": 3.0,
        "text": "We sat outside.",
        "date": "1970-01-02 00:00:05",
    }
    business = {"business_id": "b", "name": "Bo's", "city": "Reno", "stars": 4}
    given = lines(tmp_path / "review.json", [review])
    yelp.convert(given, lines(tmp_path / "business.json", [business]), tmp_path / "y")
    inter, item, request = read(tmp_path / "y")

    assert inter.to_numpy().tolist() == [["u", "b", "1", "86405"]]
    assert item.to_numpy().tolist() == [["b", "Bo's", "", "Reno"]]
    assert request["request"].tolist() == ["We sat outside."]

    lines(given, [review, {**review, "date": "yesterday"}])
    with pytest.raises(
        UserError, match="review.json, line 2: the date is 'yesterday', not a date"
    ):
        yelp.convert(given, tmp_path / "business.json", tmp_path / "y")


def test_rent_the_runways_garments_are_described_by_their_own_facts_only(tmp_path):
    review = {
        "fit": "fit",
        "user_id": "420272",
        "item_id": "2260466",
        "rating": "10",
        "rented for": "vacation",
        "review_text": "An adorable romper!",
        "review_summary": "So many compliments!",
        "category": "romper",
        "size": 14,
        "review_date": "January 2, 1970",
    }
    given = lines(tmp_path / "rtr.json.gz", [review], pack=True)
    renttherunway.convert(given, tmp_path / "rtr")
    inter, item, request = read(tmp_path / "rtr")

    assert inter.to_numpy().tolist() == [["420272", "2260466", "1", "86400"]]
    assert item.to_numpy().tolist() == [["2260466", "romper"]]
    assert request["request"].tolist() == ["An adorable romper!"]

    lines(given, [{**review, "review_date": "1970-01-02"}])
    with pytest.raises(
        UserError, match="line 1: the review_date is '1970-01-02', not a date"
    ):
        renttherunway.convert(given, tmp_path / "rtr")


@pytest.mark.parametrize("file", ["AMAZON_FASHION_5", "All_Beauty_5"])
def test_real_reviews_are_converted(tmp_path, capsys, file):
    path = REAL / f"{file}.json.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not here: real data are no part of the repository")
    with gzip.open(path, "rt") as stream:
        records = [json.loads(line) for line in stream]
    told = [r for r in records if r.get("reviewText", "").strip()]
    pairs = {(r["reviewerID"], r["asin"]) for r in told}

    prepare.main(
        ["amazon", f"--reviews={path}", f"--output={tmp_path / 'az'}"]
        + ["--item_text_from_reviews=1"]
    )
    inter, item, request = read(tmp_path / "az")

    assert (
        f"Read {len(records):,} reviews: {len(records) - len(told)} without text"
        in (capsys.readouterr().out)
    )
    # one review of each item describes it, the others are choices
    assert len(inter) == len(pairs) - len({asin for _, asin in pairs})
    assert set(zip(inter["user_id"], inter["item_id"])) < pairs
    assert set(inter["request_id"]) == set(request["request_id"])
    assert set(item["item_id"]) == set(inter["item_id"])
