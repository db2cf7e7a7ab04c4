"""Feedback of the service, joined to the data of its model."""

import json
import shutil

import pytest

from export.exported_shop import write_shop
from recbole_whisperlite import cli
from recbole_whisperlite.data.atomic import read_atomic, write_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.feedback import Feedback, Row
from recbole_whisperlite.prepare import feedback
from tiny import write_tiny

URL = "sqlite:///feedback.db"
NOON = 1_700_000_000  # of 14 November 2023


def store(*words, url=URL):
    """Store words: user, request, item, outcome, answer; one a second."""
    database = Feedback(url)
    rows = []
    for second, (user, request, item, outcome, answer) in enumerate(words):
        id_ = f"{user}-{answer}-{item}-{outcome}-{second}"
        rows.append(
            Row(id_, NOON + second, user, request, item, outcome, answer, "shop", 1)
        )
    database.add(rows).result(10)
    database.close()


def joined(folder, name="tiny2"):
    """The new rows of .inter, the new requests, and what is said of them."""
    inter = read_atomic(folder / f"{name}.inter")[0].to_numpy().tolist()
    requests = read_atomic(folder / f"{name}.request")[0].to_numpy().tolist()
    about = json.loads((folder / f"{name}.request.json").read_text("utf-8"))
    return (
        inter[13:],
        [row for row in requests if row[0].startswith("feedback-")],
        about,
    )


WORDS = (
    ("u1", "a red dress", "i5", "shown", "a1"),
    ("u1", "a red dress", "i6", "tried", "a1"),
    ("u1", "a red dress", "i6", "kept", "a1"),
    ("u1", "a red dress", "i7", "tried", "a1"),
    ("u1", "a red dress", "i8", "not_tried", "a1"),
    ("new", " warm socks\t", "i9", "kept", "a2"),
    ("new", "", "i2", "kept", "a3"),
    ("new", "bad", "i3", "not_tried", "a4"),
)


@pytest.fixture
def convert(tiny, tmp_path):
    def run(data=tiny / "tiny", output="tiny2", **options):
        counts = feedback.convert(URL, data, tmp_path / "out" / output, **options)
        return *joined(tmp_path / "out" / output, output), counts

    return run


def test_what_was_kept_or_tried_becomes_requests_and_their_interactions(convert, tiny):
    store(*WORDS)
    inter, requests, about, counts = convert()
    (first, text), (second, typed) = requests
    assert (text, typed) == ("a red dress", "warm socks")
    assert inter == [
        ["u1", "i6", first, str(NOON), "KEEP"],
        ["u1", "i7", first, str(NOON), "TRY"],
        ["new", "i9", second, str(NOON + 5), "KEEP"],
        ["new", "i2", "", str(NOON + 6), "KEEP"],
    ]
    del counts["notes"]
    assert counts == {
        **{"words": 8, "left_out": 0, "requests": 2, "answers": 3, "history": 1},
        **{"users": 2, "new_users": 1, "replaced": 0, "interactions": 17},
    }
    assert about["feedback"][0]["requests"] == 2 and "composed" not in about


def test_old_rows_stay_and_an_outcome_that_they_lack_is_empty(convert, tiny, tmp_path):
    store(*WORDS)
    convert()
    old = read_atomic(tiny / "tiny/tiny.inter")[0]
    new, types = read_atomic(tmp_path / "out/tiny2/tiny2.inter")
    assert types["outcome"] == "token" and {*new["outcome"][:13]} == {""}
    assert new.iloc[:13, :4].equals(old)
    for suffix in ("item", "request"):
        old = (tiny / f"tiny/tiny.{suffix}").read_text("utf-8")
        new = (tmp_path / f"out/tiny2/tiny2.{suffix}").read_text("utf-8")
        assert new.startswith(old)


def test_columns_that_feedback_lacks_are_empty(convert, tiny):
    store(*WORDS)
    for suffix, column in (
        ("inter", "rating:float"),
        ("request", "ruled_out:token_seq"),
    ):
        path = tiny / f"tiny/tiny.{suffix}"
        head, *lines = path.read_text("utf-8").splitlines()
        lines = [f"{column}\t{head}", *(f"3\t{line}" for line in lines)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    shutil.copy(tiny / "tiny/tiny.item", tiny / "tiny/tiny.kg")
    inter, _, _, _ = convert()
    assert [row[0] for row in inter] == [""] * 4


def test_the_last_word_counts_and_what_is_withdrawn_was_not_chosen(convert):
    store(
        ("u1", "a red dress", "i6", "kept", "a1"),
        ("u1", "a red dress", "i7", "kept", "a1"),
        ("u1", "a red dress", "i5", "kept", "a1"),
        ("u1", "shoes", "i6", "kept", "a2"),
        ("u2", "shoes", "i6", "kept", "a3"),
        ("u1", "", "i6", "withdrawn", ""),  # wherever it was chosen
        ("u1", "a red dress", "i5", "not_tried", "a1"),
        ("u1", "hats", "i6", "tried", "a4"),  # again, later
    )
    inter, requests, _, _ = convert()
    assert [(row[0], row[1], row[4]) for row in inter] == [
        ("u1", "i7", "KEEP"),
        ("u2", "i6", "KEEP"),
        ("u1", "i6", "TRY"),
    ]
    assert [text for _, text in requests] == ["a red dress", "shoes", "hats"]


def test_what_was_not_tried_comes_along_where_it_is_asked_for(convert):
    store(*WORDS)
    inter, requests, _, _ = convert(outcomes=["kept", "tried", "not_tried"])
    assert ["u1", "i8", requests[0][0], str(NOON), "NOTTRY"] in inter
    assert "bad" not in [text for _, text in requests]  # nothing was chosen for it


def test_of_several_models_some_may_be_asked_for(convert):
    database = Feedback(URL)
    rows = [
        Row(model, NOON, "u1", "a hat", item, "kept", "a", model)
        for model, item in (("shoes", "i1"), ("hats", "i2"))
    ]
    database.add(rows).result(10)
    database.close()
    assert [row[1] for row in convert(models=["hats"])[0]] == ["i2"]
    assert len(convert()[0]) == 2
    with pytest.raises(
        UserError, match="no feedback in it yet of x, only of shoes, hats"
    ):
        convert(models=["x"])


def test_without_an_answer_the_texts_of_a_day_are_one_request(convert):
    database = Feedback(URL)
    days = (0, 60, 86400)
    rows = [
        Row(str(day), NOON + day, "u1", "a hat", item, "kept")
        for day, item in zip(days, ("i1", "i2", "i3"))
    ]
    database.add(rows).result(10)
    database.close()
    inter, requests, _, _ = convert()
    assert len(requests) == 2
    assert [row[2] for row in inter] == [requests[n][0] for n in (0, 0, 1)]


def test_joined_again_nothing_is_doubled_and_later_words_count(convert, tmp_path):
    store(*WORDS)
    first = convert()
    again = convert(tmp_path / "out/tiny2", "tiny3")
    assert again[:2] == first[:2] and again[3]["replaced"] == 4
    assert len(again[2]["feedback"]) == 2
    more = (
        ("u1", "a red dress", "i7", "withdrawn", "a1"),
        ("u1", "a red dress", "i4", "kept", "a1"),
        ("new", "", "i2", "withdrawn", "a3"),
    )
    database = Feedback(URL)
    rows = [Row(f"m{n}", NOON + 99, *each) for n, each in enumerate(more)]
    database.add(rows).result(10)
    database.close()
    later = convert(tmp_path / "out/tiny3", "tiny4")
    assert later[:2] == convert(output="tiny5")[:2]
    assert [row[1] for row in later[0]] == ["i6", "i4", "i9"]


def test_another_database_is_joined_beside_the_first(convert, tiny, tmp_path):
    store(*WORDS)
    convert()
    store(("u3", "a hat", "i1", "kept", "b1"), url="sqlite:///second.db")
    output = tmp_path / "out" / "tiny3"
    feedback.convert("sqlite:///second.db", tmp_path / "out/tiny2", output)
    assert len(joined(output, "tiny3")[0]) == 5


def test_unknown_products_and_those_without_a_text_are_left_out(convert, tiny):
    path = tiny / "tiny/tiny.item"
    path.write_text(path.read_text("utf-8").replace("i9\tThing 9", "i9\t"), "utf-8")
    store(
        *WORDS,
        *(("u1", "hats", f"x{n}", "kept", "a9") for n in range(7)),
    )
    inter, requests, _, counts = convert()
    assert len(inter) == 3 and [text for _, text in requests] == ["a red dress"]
    assert counts["left_out"] == 8
    assert (
        "Left out: 8 interactions with 8 products that the old data have not: 'i9', 'x0', "
        "'x1', 'x2', 'x3' and 3 more." in counts["notes"]
    )


@pytest.mark.parametrize(
    "old, written, said",
    [
        (4, str(NOON), "positions or small numbers"),
        (1_500_000_000, str(NOON), "Unix seconds"),
        (1.5e12, f"{NOON}000", "Unix milliseconds"),
        (1.5e15, f"{NOON}000000", "Unix microseconds"),
        (1.5e18, f"{NOON}000000000", "Unix nanoseconds"),
    ],
)
def test_times_are_written_in_the_unit_of_the_old_ones(tmp_path, old, written, said):
    store(*WORDS)
    write_tiny(tmp_path, choices=[("u1", "i1", "r1", old)])
    counts = feedback.convert(URL, tmp_path / "tiny", tmp_path / "tiny2")
    inter = read_atomic(tmp_path / "tiny2/tiny2.inter")[0]
    assert inter["timestamp"][1] == written
    assert said in counts["notes"][0]


def test_data_without_requests_or_items_or_times_are_joined_too(tmp_path):
    store(*WORDS)
    types = {"user_id": "token", "item_id": "token"}
    write_atomic(tmp_path / "old/old.inter", types, [("u9", "i6"), ("u9", "i7")])
    counts = feedback.convert(URL, tmp_path / "old", tmp_path / "new")
    inter, types = read_atomic(tmp_path / "new/new.inter")
    assert list(types) == ["user_id", "item_id", "request_id", "outcome"]
    assert inter["request_id"].tolist()[:2] == ["", ""] and len(inter) == 4
    assert any("request_template is not used" in note for note in counts["notes"])
    assert not (tmp_path / "new/new.item").exists()


def test_what_is_said_of_composed_requests_still_holds(convert, tiny):
    store(*WORDS)
    about = {"composed": True, "template": "{title}", "counts": {"requests": 12}}
    (tiny / "tiny/tiny.request.json").write_text(json.dumps(about))
    _, _, new, counts = convert()
    assert {**about, "feedback": new["feedback"]} == new
    assert any("those of feedback were typed" in note for note in counts["notes"])


def test_pictures_are_found_from_the_new_folder(tmp_path):
    write_shop(tmp_path / "data")
    store(("u1", "a hat", "i1", "kept", "a1"))
    output = tmp_path / "elsewhere" / "shop2"
    feedback.convert(URL, tmp_path / "data/shop", output)
    items = read_atomic(output / "shop2.item")[0]
    assert (output / items["image"][1]).resolve() == (
        tmp_path / "data/shop/pictures/i1.png"
    )
    assert items["image"][0] == ""


@pytest.mark.parametrize(
    "words, options, said",
    [
        (None, [], "there is no such file"),
        ((), [], "there is no feedback in it yet"),
        (WORDS[-1:], [], "none says kept or tried"),
        (WORDS, ["--data", "nowhere"], "this is no dataset"),
        (WORDS, ["--output", "tiny/../tiny"], "is the folder of --data"),
        (WORDS, ["--from", "mysql://u:secret@h/d"], "is not supported"),
        (WORDS, ["--from", "nonsense"], "is no address of a database"),
        (WORDS, ["--from", "sqlite:///tiny/tiny.item"], "file is not a database"),
        (WORDS, ["--from", "sqlite:///other.db"], "there is no feedback in it"),
        (WORDS, ["--from", "postgresql://u:secret@127.0.0.1:9/d"], "cannot be used"),
    ],
)
def test_refusals_are_sentences_and_write_nothing(tiny, capsys, words, options, said):
    if words is not None:
        store(*words)
    import sqlite3

    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE t (x)")
    before = sorted(tiny.rglob("*"))
    argv = ["prepare", "feedback", "--from", URL, "--data", "tiny", "--output", "tiny2"]
    assert cli.main([*argv, *options]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and said in printed
    assert "Traceback" not in printed and "secret" not in printed
    assert sorted(tiny.rglob("*")) == before


@pytest.mark.parametrize(
    "suffix, content, said",
    [
        ("inter", "user:token\titem_id:token\nu\ti1\n", "there is no column 'user_id'"),
        ("request.json", "[]", "this is no JSON object"),
        ("request", "request_id:token\nr1\n", "there is no column 'request'"),
        (
            "inter",
            "user_id:token\titem_id:token\ttimestamp:token\nu\ti1\tx\n",
            "has no numbers",
        ),
    ],
)
def test_data_that_cannot_be_joined_are_refused(tiny, suffix, content, said):
    store(*WORDS)
    (tiny / f"tiny/tiny.{suffix}").write_text(content)
    with pytest.raises(UserError, match=said):
        feedback.convert(URL, tiny / "tiny", tiny / "tiny2")
    assert not (tiny / "tiny2").exists()


def test_the_loop_closes(tmp_path, capsys):
    """A model of the joined data knows the new user and what they kept."""
    from recbole_whisperlite import Recommender

    write_shop(tmp_path)
    words = [
        ("anna", f"a red {thing}", f"i{n}", "kept", f"a{n}")
        for n, thing in enumerate(("dress", "shoes", "hat", "coat", "heels"))
    ]
    store(*words, ("u1", "something blue", "i7", "tried", "b"))
    argv = ["prepare", "feedback", "--from", URL, "--data", "shop", "--output", "shop2"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr().out
    assert "Joined 6 requests with 6 interactions" in printed
    assert "of 2 users, 1 of them new" in printed
    from recbole.quick_start import run_recbole

    settings = {
        **{"data_path": ".", "encoder": "tfidf", "encoder_dim": 16, "epochs": 1},
        **{"state": "ERROR", "export": "model", "show_progress": False},
    }
    run_recbole("WhisperLitePlus", "shop2", config_dict=settings)
    shop = Recommender.load("model")
    assert "anna" in shop.users
    assert shop.history("anna") == ["i0", "i1", "i2", "i3", "i4"]
    assert shop.times_chosen("a red dress", "i0") >= 1
