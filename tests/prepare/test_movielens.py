"""Tags as requests, on files small enough to be checked by eye and on a real release."""

import csv
import json
from pathlib import Path

import pytest

from recbole_whisperlite import prepare
from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import movielens

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "ml-latest-small"

DAY = 86400
MOVIES = [
    ("1", "Heat (1995)", "Action|Crime"),
    ("2", "Ronin (1998)", "Action"),
    ("3", "Alien, The (1979)", "(no genres listed)"),
    ("4", "Nobody's film", "Drama"),
]
TAGS = [
    ("7", "1", "Twist  Ending ", 20),
    ("7", "1", "heist", 10),
    ("7", "1", "HEIST", 30),  # typed twice
    ("7", "2", "In Netflix queue", 40),
    ("8", "1", "heist", 50),
    ("8", "2", "Heist", 60),
    ("8", "3", "heist", 2 * DAY),
]
RATINGS = [
    ("7", "1", "5.0", 5),  # tagged: no history
    ("7", "2", "4.0", 6),  # its only tag is junk
    ("7", "3", "3.5", 7),  # too low
    ("9", "3", "4.5", 8),
]


def release(folder, tags=TAGS, ratings=RATINGS, movies=MOVIES, kind="csv"):
    home = folder / "ml-tiny"
    home.mkdir()
    for name, rows in (("tags", tags), ("ratings", ratings), ("movies", movies)):
        with open(home / f"{name}.{kind}", "w", encoding="utf-8", newline="") as file:
            if kind == "dat":
                file.writelines("::".join(map(str, row)) + "\n" for row in rows)
            else:
                csv.writer(file).writerows([movielens._COLUMNS[name], *rows])
    return home


def convert(home, **settings):
    output = home.parent / "ml-tags"
    counts = movielens.convert(home, output, **settings)
    return counts, *(
        read_atomic(output / f"ml-tags.{kind}")[0].to_numpy().tolist()
        for kind in ("inter", "item", "request")
    )


@pytest.mark.parametrize("kind", ["csv", "dat"])
def test_the_tags_of_a_film_are_one_request_in_the_order_of_typing(tmp_path, kind):
    counts, inter, item, request = convert(release(tmp_path, kind=kind))

    assert request == [["1", "heist, twist ending"], ["2", "heist"], ["3", "heist"]]
    assert inter == [
        ["7", "1", "1", "10"],  # the time of the first tag
        ["8", "1", "2", "50"],  # the same text on the same day: one request
        ["8", "2", "2", "50"],
        ["8", "3", "3", str(2 * DAY)],  # another day
        ["7", "2", "", "6"],  # history
        ["9", "3", "", "8"],
    ]
    assert item == [  # nobody has chosen the fourth
        ["1", "Heat", "1995", "Action Crime"],
        ["2", "Ronin", "1998", "Action"],
        ["3", "Alien, The", "1979", ""],
    ]
    assert counts["junk"] == {"in netflix queue": 1}
    assert counts["repeated_answers"] == 0


def test_each_tag_can_be_a_request(tmp_path):
    counts, inter, _, request = convert(release(tmp_path), requests="tag")

    assert [text for _, text in request] == ["heist", "twist ending", "heist", "heist"]
    assert inter[:2] == [["7", "1", "1", "10"], ["7", "1", "2", "20"]]
    assert counts["repeated_answers"] == 1  # user 7 has film 1 in two requests


@pytest.mark.parametrize(
    "tag",
    "in netflix queue|dvd|my dvds|not seen|to see|seen at the cinema|?|x".split("|"),
)
def test_junk_is_dropped(tag):
    assert movielens.junk(tag)


@pytest.mark.parametrize(
    "tag",
    "i see dead people|007|9/11|unseen evil|watchmen|tv|owen wilson|名作".split("|"),
)
def test_wishes_are_kept(tag):
    assert movielens.junk(tag) is None


def test_the_folder_and_the_command_say_what_was_dropped(tmp_path, capsys):
    home, output = release(tmp_path), tmp_path / "ml-tags"
    prepare.main(["movielens", f"--input={home}", f"--output={output}"])

    told = capsys.readouterr().out
    assert "Dropped as junk: 1\n       1  in netflix queue" in told
    assert "Kept 3 requests of 2 users with 2 distinct texts and 4 positives" in told
    about = json.loads((output / "ml-tags.request.json").read_text())
    assert (about["composed"], about["kind"]) == (False, "tag")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            {"tags": [*TAGS, ("7", "1", "x y", "noon")]},
            "tags.csv, line 9: the timestamp",
        ),
        (
            {"ratings": [("7", "2", "good", 1)]},
            "ratings.csv, line 2: the rating 'good'",
        ),
        (
            {"tags": [*TAGS, ("7", "1", "x y", "nan")]},
            "tags.csv, line 9: the timestamp 'nan' is not a number",
        ),
        (
            {"tags": [*TAGS, ("7", "1", "x y", "1e999")]},
            "tags.csv, line 9: the timestamp '1e999' is not a number",
        ),
        (
            {"tags": [*TAGS, ("", "1", "x y", "1")]},
            "tags.csv, line 9: the userId is empty",
        ),
        (
            {"ratings": [("7", "2", "nan", 1)]},
            "ratings.csv, line 2: the rating 'nan' is not a number",
        ),
        (
            {"ratings": [("7", "", "5", 1)]},
            "ratings.csv, line 2: the movieId is empty",
        ),
        ({"movies": MOVIES[:2]}, "movies.csv: the movie '3' .* 1 are missing"),
        ({"tags": [("7", "1", "dvd", 1)]}, "none of 1 tags is left"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(tmp_path, broken, told):
    home = release(tmp_path, **broken)

    with pytest.raises(UserError, match=told):
        convert(home)
    assert not (tmp_path / "ml-tags").exists()


def test_a_line_of_a_dat_file_with_too_few_values_is_named(tmp_path):
    home = release(tmp_path, kind="dat")
    (home / "ratings.dat").write_text("1::2::5::3\n1::2\n")

    with pytest.raises(UserError, match="ratings.dat, line 2: 2 values"):
        convert(home)


def test_a_release_without_tags_is_told(tmp_path):
    home = release(tmp_path)
    (home / "tags.csv").unlink()

    with pytest.raises(UserError, match="no tags.csv .* holds movies.csv, ratings.csv"):
        convert(home)


def test_a_real_release_is_converted(tmp_path):
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is not here: real data are no part of the repository")
    movielens.convert(REAL, tmp_path / "ml-tags")
    inter, _ = read_atomic(tmp_path / "ml-tags" / "ml-tags.inter")
    item, _ = read_atomic(tmp_path / "ml-tags" / "ml-tags.item")
    asked = inter[inter["request_id"] != ""]

    # nobody answers two requests with the same film, or has it in the history as well
    assert not inter.duplicated(["user_id", "item_id"]).any()
    with open(REAL / "ratings.csv", encoding="utf-8") as file:
        liked = {
            (row["userId"], row["movieId"])
            for row in csv.DictReader(file)
            if float(row["rating"]) >= 4
        }
    pairs = set(zip(asked["user_id"], asked["item_id"]))
    assert len(inter) - len(asked) == len(liked - pairs)
    assert asked["user_id"].nunique() == 58
    assert set(item["item_id"]) == set(inter["item_id"])
