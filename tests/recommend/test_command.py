"""One request and the prompt; the shop has 30 items, "<colour> <garment>", 10.5 each."""

import io
import json
import os
import sys

import pytest

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend import arguments, show
from recbole_whisperlite.recommend.answer import Answer, Recommendation

COLUMNS = {"price": "float", "colour": "token", "kinds": "token_seq"}


def items(*columns):
    return [row.split()[1] for row in "\n".join(columns).splitlines()[1:]]


def test_the_table_has_what_the_recommender_finds(ask, shop):
    status, out, _ = ask("a red dress, no heels", "--user", "u3", "--k", 4)
    answer = shop.recommend("a red dress, no heels", "u3", k=4)
    assert status == 0
    lines = out.splitlines()
    assert lines[:2] == ["wanted: a red dress", "ruled out: heels"]
    assert lines[2].split()[:3] == ["item", "score", "text"]
    for rank, (line, each) in enumerate(zip(lines[3:], answer), start=1):
        assert line.split()[:3] == [str(rank), each.item, f"{each.score:.3f}"]
        assert line.endswith(each.text)  # whole, as this is no terminal
        for value in each.parts.values():
            assert f"{value:.3f}" in line
    assert len(lines) == 3 + 4


def test_json_is_one_object_and_nothing_else(ask, shop):
    status, out, _ = ask("blue coat, no hat", "--user", "nobody", "--json")
    found = json.loads(out)
    answer = shop.recommend("blue coat, no hat", "nobody")
    assert (status, found["ruled_out"], found["wish"]) == (0, "hat", "blue coat")
    assert "'nobody' is unknown" in found["notes"][0]
    assert [each["item"] for each in found["items"]] == [each.item for each in answer]
    for each in found["items"]:
        assert sum(each["parts"].values()) == pytest.approx(each["score"], abs=1e-4)


def test_options_choose_the_items(ask):
    def found(*options):
        status, out, _ = ask("dress", "--json", "--k", 30, *options)
        assert status == 0
        return {each["item"] for each in json.loads(out)["items"]}

    everything = {f"i{n}" for n in range(30)}
    assert found() == everything
    assert found("--exclude", "i0,i1", "--exclude", "i2") == everything - {
        "i0",
        "i1",
        "i2",
    }
    assert found("--among", "i4, i7") == {"i4", "i7"}
    # prices are 0.5, 10.5, 20.5, …
    assert found("--where", "price=10.5..30.5") == {"i1", "i2", "i3"}
    assert found("--where", "price=..11") == {"i0", "i1"}
    assert found("--where", "price=280..") == {"i28", "i29"}
    assert found("--where", "price=40.5") == {"i4"}
    assert found("--where", "title=red hat", "--where", "title=blue hat") == {
        "i2",
        "i8",
    }
    assert found("--where", "kinds=hat", "--where", "price=..100") == {"i2", "i8"}
    assert found("--history", "i5,i6") == everything - {"i5", "i6"}
    assert found("--history", "i5,i6", "--seen") == everything


def test_similar_and_explain(ask, shop):
    _, out, _ = ask("--similar", "i3", "--k", 2)
    assert items(out) == [each.item for each in shop.similar("i3", 2)]
    _, out, _ = ask("red dress", "--explain", "i3", "--user", "u1", "--json")
    explained, wanted = json.loads(out), shop.explain("red dress", "i3", "u1")
    assert explained["rank"] == wanted.rank and explained["of"] == wanted.of
    assert [each["item"] for each in explained["history"]] == [
        item for item, _ in wanted.history
    ]
    _, out, _ = ask("red dress", "--explain", "i3")
    assert out.startswith("[i3] red coat")


@pytest.mark.parametrize(
    "given, message",
    [
        (["x", "--where", "price"], "is no condition"),
        (["x", "--where", "price=cheap"], "neither a number nor a range"),
        (["x", "--where", "title=1..5"], "it has no range"),
        (["x", "--where", "prise=1..5"], "Did you mean 'price'"),
        (["x", "--where", "price=1..5", "--where", "price=7"], "one of them a range"),
        (["x", "--exclude", "i99"], "no item 'i99'"),
        (["x", "--output", "found.csv"], "needs a file of requests"),
        (["--similar", "i1", "--user", "u1"], "--user has no effect with --similar"),
        (["x", "--similar", "i1"], "a request has no effect with --similar"),
        (["x", "--explain", "i1", "--seen"], "--seen has no effect with --explain"),
        (
            ["--requests", "a.csv", "--output", "b.csv", "--user", "u"],
            "--user does not",
        ),
        (["--requests", "a.csv"], "needs --output"),
        (["--sheet", "a.html"], "needs a request"),
        (["x", "--sheet", "a.pdf"], "give an .html file"),
        (["x", "--image", "none.png"], "knows no pictures"),
    ],
)
def test_what_has_no_effect_or_no_meaning_is_refused(ask, given, message):
    status, out, err = ask(*given)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and message in err


@pytest.mark.parametrize("k", ["0", "-1", "many", "2.5"])
def test_k_is_a_number_above_0(ask, k, capsys):
    with pytest.raises(SystemExit) as stopped:
        ask("x", f"--k={k}")
    assert stopped.value.code == 2
    assert "whole number above 0" in capsys.readouterr().err


def test_ranges_and_values_of_conditions():
    assert arguments.conditions(None, COLUMNS) is None
    parsed = arguments.conditions(
        ["price=-1e2..0.5", "colour=a=b", "kinds=x", "kinds=y"], COLUMNS
    )
    assert parsed == {"price": (-100.0, 0.5), "colour": "a=b", "kinds": ["x", "y"]}
    assert arguments.conditions(["price=1", "price=2"], COLUMNS) == {
        "price": [1.0, 2.0]
    }
    assert arguments.conditions(["colour=so.. so"], COLUMNS) == {"colour": "so.. so"}
    with pytest.raises(UserError, match="neither a number nor a range"):
        arguments.conditions(["price=nan"], COLUMNS)


@pytest.fixture
def pipe(ask, monkeypatch):
    def run(text, *options):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return ask(*options)

    return run


def test_each_line_of_a_pipe_is_a_request(pipe, shop):
    status, out, err = pipe("red dress\n\nblue hat\n", "--json", "--k", 3)
    found = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert [each["request"] for each in found] == ["red dress", "blue hat"]
    for each in found:
        wanted = [item.item for item in shop.recommend(each["request"], k=3)]
        assert [item["item"] for item in each["items"]] == wanted


def test_commands_of_the_prompt(pipe, shop):
    lines = ":user u1\n:k 2\nred dress\n:explain i3\n:similar i3\n:user\nhat\n:quit\nno"
    status, out, _ = pipe(lines, "--json")
    asked, explained, similar, last = map(json.loads, out.splitlines())
    assert status == 0
    assert asked["user"] == "u1" and len(asked["items"]) == 2
    assert explained["item"] == "i3" and explained["user"] == "u1"
    assert explained["request"] == "red dress"
    assert len(similar["items"]) == 2
    assert last["user"] is None


def test_an_error_does_not_end_the_prompt(pipe):
    lines = [":explain i1", ":k none", ":similar", ":similar i77", ":usr u1", "red hat"]
    status, out, err = pipe("\n".join(lines), "--json", "--k", "1")
    found = [json.loads(line) for line in out.splitlines()]
    assert status == 2  # not all lines were answered
    assert ["error" in each for each in found] == [True] * 5 + [False]
    assert err.count("error: ") == 5
    assert "Did you mean 'user'?" in found[4]["error"]


def test_help_lists_every_command(pipe):
    status, out, _ = pipe(":help")
    assert status == 0
    for command in (":user", ":k", ":explain", ":similar", ":help", ":quit"):
        assert command in out


def answer(*texts, parts=None):
    parts = parts or {"text": 1.0, "memory": -0.25, "history": 0.5, "neighbors": 0.1}
    found = [
        Recommendation(f"i{n}", 1.35, text, None, parts) for n, text in enumerate(texts)
    ]
    return Answer(found, "x", None, "x", "", ("a note",))


@pytest.mark.parametrize("width", [20, 40, 60, 80, 132])
@pytest.mark.parametrize("text", ["word " * 60, "红色连衣裙" * 30, "👗" * 99, "x"])
def test_a_table_fits_the_terminal(width, text):
    shown = show.answer_text(answer(text, text), width)
    assert all(show._width(line) <= width for line in shown.splitlines())
    assert "note: a note" in shown and "i1" in shown and "1.35" in shown


def test_texts_cannot_control_the_terminal():
    shown = show.answer_text(answer("red\x1b[2J\ndress\x9b1m\u202e"), 80)
    assert "\x1b" not in shown and "\x9b" not in shown and "\u202e" not in shown
    assert "red [2J dress 1m" in shown


def test_one_part_is_the_score_and_not_told_twice():
    shown = show.answer_text(answer("x", parts={"similarity": 1.35}), None)
    assert "similarity" not in shown and shown.count("1.35") == 1


def test_a_terminal_is_asked_for_its_width(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    wide = os.terminal_size((57, 9))
    # pytest asks, too, with arguments
    monkeypatch.setattr("shutil.get_terminal_size", lambda *args, **named: wide)
    assert show.terminal_width() == 57
