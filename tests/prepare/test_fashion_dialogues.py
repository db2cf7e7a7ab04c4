"""Sessions as requests, on files small enough to be checked by eye and on the real ones."""

import gzip
import json
from pathlib import Path

import pytest

from recbole_whisperlite import prepare
from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import fashion_dialogues

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "fashion-dialogues"
URL = "http://pictures/1.jpg"
SESSIONS = [
    {
        "target": [URL, "A3"],
        "reference": [
            [URL, ["is darker.", " has a\nDandelion  print"], "A1"],
            [URL, ["", "Has longer sleeves"], "A2"],
        ],
    },
    {"target": [URL, "A1"], "reference": [[URL, ["   "], "A2"]]},  # says nothing
    {"target": [URL, "A2"], "reference": [[URL, ["is red", "red", "a hat"], "A4"]]},
]
ATTRIBUTES = {
    "A1": [
        ["dress", "tank top"],
        [],
        ["Camouflage\n"],
        [],
        ["v-neck"],
        ["red，bright"],
    ],
    # two annotations of one garment, and the beginning of a third
    "A2": [*[[""], ["plain"], [""], [""], [""], ["grey"]] * 2, ["tee"]],
    "A3": [["", " "], [], [], [], [], []],
    "A9": [["never shown"], [], [], [], [], []],
}


def write(folder, sessions=SESSIONS, attributes=ATTRIBUTES, packed=False):
    home = folder / "source"
    home.mkdir()
    for name, content in (("sessions", sessions), ("attributes", attributes)):
        content = json.dumps(content).encode()
        path = home / (f"{name}.json.gz" if packed else f"{name}.json")
        path.write_bytes(gzip.compress(content) if packed else content)
    return home


def convert(home, **settings):
    output = home.parent / "dialogues"
    counts = fashion_dialogues.convert(home, output, **settings)
    return counts, *(
        read_atomic(output / f"dialogues.{kind}")[0].to_numpy().tolist()
        for kind in ("inter", "item", "request")
    )


@pytest.mark.parametrize("packed", [True, False])
def test_shown_garments_are_history_and_the_wanted_one_is_the_answer(tmp_path, packed):
    counts, inter, item, request = convert(write(tmp_path, packed=packed))

    assert inter == [
        ["s1", "A1", "", "1"],
        ["s1", "A2", "", "2"],
        ["s1", "A3", "1", "3"],
        ["s3", "A4", "", "1"],
        ["s3", "A2", "3", "2"],
    ]
    assert request == [
        ["1", "is darker. has a Dandelion print. Has longer sleeves"],
        ["3", "is red. red. a hat"],
    ]
    assert item == [
        ["A1", "dress tank top", "", "camouflage", "", "v-neck", "red bright"],
        ["A2", "tee", "plain", "", "", "", "grey"],
        ["A3", "garment", "", "", "", "", ""],  # known by name only
        ["A4", "garment", "", "", "", "", ""],
    ]
    assert counts == {
        "sessions": 3,
        "feedback": 6,
        "without_feedback": 1,
        "requests": 2,
        "distinct_requests": 2,
        "history": 3,
        "items": 4,
        "items_without_attributes": 2,
    }


def test_the_last_feedback_alone_can_be_the_request(tmp_path):
    _, inter, _, request = convert(write(tmp_path), feedback="last")
    assert request == [["1", "Has longer sleeves"], ["3", "is red. red. a hat"]]
    assert len(inter) == 5


def test_the_command_writes_what_it_says(tmp_path, capsys):
    home, output = write(tmp_path), tmp_path / "dataset" / "talks"
    prepare.main(["fashion-dialogues", f"--input={home}", f"--output={output}"])
    told = capsys.readouterr().out
    assert "Kept 2 requests and 3 garments shown before them; 4 garments" in told
    about = json.loads((output / "talks.request.json").read_text())
    assert about["counts"]["history"] == 3 and about["kind"] == "dialogue"
    assert about["settings"] == {"input": str(home), "feedback": "all"}


def session(target=(URL, "A"), reference=((URL, ["red"], "B"),)):
    return {"target": target, "reference": reference}


@pytest.mark.parametrize(
    "sessions, told",
    [
        ({}, r"sessions.json: {} is not a list of sessions"),
        ([session(), 5], r"session 2: 5 is not an object with target and reference"),
        ([{"target": [URL, "A"]}], r"session 1: there is no 'reference'"),
        ([session(target=["A"])], r"session 1, target: \[\"A\"\] is not \[picture"),
        ([session(target=[URL, None])], r"session 1, target: null is not the id"),
        ([session(reference="B")], r"session 1, reference: \"B\" is not a list"),
        (
            [session(reference=[[URL, "B"]])],
            r"session 1, reference 1: .* is not \[pict",
        ),
        (
            [session(reference=[[URL, "red", "B"]])],
            r"reference 1: \"red\" is not a list",
        ),
        ([session(reference=[[URL, [3], "B"]])], r"reference 1: 3 is not feedback"),
        (
            [session(reference=[[URL, ["red"], " "]])],
            r"reference 1: \" \" is not the id",
        ),
        ([session(reference=[])], r"none of 1 sessions has feedback"),
    ],
)
def test_a_malformed_session_is_named(tmp_path, sessions, told):
    with pytest.raises(UserError, match=told):
        convert(write(tmp_path, sessions=sessions))
    assert not (tmp_path / "dialogues").exists()


@pytest.mark.parametrize(
    "attributes, told",
    [
        ([], r"attributes.json: \[\] is not an object of garments"),
        ({"A1": "red"}, r"garment 'A1': \"red\" is not lists of category"),
        ({"A1": [[], "red"]}, r"garment 'A1', list 2: \"red\" is not a list"),
        ({"A1": [["a", 1]]}, r"garment 'A1', list 1: 1 is not a word"),
    ],
)
def test_malformed_attributes_are_named(tmp_path, attributes, told):
    with pytest.raises(UserError, match=told):
        convert(write(tmp_path, attributes=attributes))


@pytest.mark.parametrize(
    "content, told",
    [
        (b'[{"target": ', "this is not JSON .*line 1"),
        (b'["\xe4"]', "line 1: byte 0xe4 is not valid UTF-8"),
        (gzip.compress(b"[]" * 99, mtime=0)[:-9], "the gzip file is damaged"),
        (b"", "this is not JSON"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path, content, told):
    home = write(tmp_path)
    (home / "sessions.json").write_bytes(content)
    with pytest.raises(UserError, match=f"sessions.json[:,] {told}"):
        convert(home)


def test_a_missing_file_is_named_with_what_the_folder_holds(tmp_path):
    home = write(tmp_path)
    (home / "attributes.json").unlink()
    with pytest.raises(UserError, match="no attributes.json.gz .* holds sessions.json"):
        convert(home)
    with pytest.raises(UserError, match="this folder does not exist"):
        convert(tmp_path / "nowhere")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real sessions are not here")
def test_the_real_sessions(tmp_path):
    output = tmp_path / "dialogues"
    counts = fashion_dialogues.convert(REAL, output)
    known = counts["items"] - counts["items_without_attributes"]
    assert (counts["sessions"], counts["requests"], known) == (9106, 9106, 9656)
    assert (counts["history"], counts["items"]) == (20894, 10398)
    item, columns = read_atomic(output / "dialogues.item")
    assert list(columns) == ["item_id", *fashion_dialogues.ATTRIBUTES]
    # noted twice in the source, the second time with one word more
    (row,) = item[item.item_id == "B000RKVLQA"].to_numpy().tolist()
    assert row[1:] == ["", "", "wrinkle", "", "", "happy simple white"]
