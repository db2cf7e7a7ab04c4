import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.requests_file import RequestsFile

ROWS = [
    {
        "id": "a",
        "request": 'say "yes", or\nno',
        "user": "u1",
        "history": ["i1", "i2"],
        "exclude": ["i3"],
        "exclude_seen": False,
    },
    {"id": "b", "request": "NA", "user": None, "history": None, "exclude": None},
    {"id": None, "request": "", "user": "null", "history": ["i9"], "exclude": []},
]


def write_csv(path):
    path.write_text(
        "id,request,user,history,exclude,exclude_seen,colour\n"
        'a,"say ""yes"", or\nno",u1,i1  i2,i3,False,x\n'
        "\n"
        "b,NA,,,,,x\n"
        ",,null,i9,,,x\n",
        "utf-8-sig",
    )


def write_jsonl(path):
    path.write_text("\n\n".join(map(json.dumps, ROWS)), "utf-8")


def write_parquet(path):
    pq.write_table(pa.Table.from_pylist(ROWS), path)


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def file(request, tmp_path):
    path = tmp_path / f"requests.{request.param}"
    globals()[f"write_{request.param}"](path)
    return RequestsFile(path)


def test_the_three_kinds_say_the_same(file):
    first, second, third = file
    assert first[1:] == ("a", ROWS[0]["request"], "u1", ["i1", "i2"], ["i3"], False)
    assert second[1:] == ("b", "NA", None, None, [], None)
    # without an id it is its number; an id called null is an id
    assert third[1:] == ("3", "", "null", ["i9"], [], None)
    assert file.check(unique_ids=True) == 3


def test_places_are_those_an_editor_shows(tmp_path):
    write_csv(tmp_path / "a.csv")
    write_jsonl(tmp_path / "a.jsonl")
    places = [
        [asked.where for asked in RequestsFile(tmp_path / name)]
        for name in ("a.csv", "a.jsonl")
    ]
    assert places == [["line 2", "line 5", "line 6"], ["line 1", "line 3", "line 5"]]


def test_an_empty_list_is_an_empty_history_and_an_empty_cell_is_none(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"request": "x", "history": []}')
    (tmp_path / "a.csv").write_text("request,history\nx,\n")
    assert [asked.history for asked in RequestsFile(tmp_path / "a.jsonl")] == [[]]
    assert [asked.history for asked in RequestsFile(tmp_path / "a.csv")] == [None]


def test_numbers_are_ids_also_as_pandas_writes_them(tmp_path):
    table = pa.table({"request": ["x", "y"], "user": [17.0, None]})
    pq.write_table(table, tmp_path / "a.parquet")
    users = [asked.user for asked in RequestsFile(tmp_path / "a.parquet")]
    assert users == ["17", None]


def test_columns_that_are_not_read_are_told(tmp_path):
    (tmp_path / "a.csv").write_text("request,usr,price\nx,u1,3\n")
    ignored = RequestsFile(tmp_path / "a.csv").ignored()
    assert ignored == ["usr Did you mean 'user'?", "price"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", "", "no column 'request'"),
        (
            "a.csv",
            "req,user\nx,u\n",
            "no column 'request' in the first line, only 'req'",
        ),
        ("a.csv", "request,user\n", "has no requests"),
        (
            "a.csv",
            "request,user\nred, or blue,u1\n",
            "line 2: there are 3 values for 2",
        ),
        ("a.csv", 'request\nfine\n"red\n', "line 3: unexpected end"),
        ("a.csv", "request,request\nx,y\n", "two columns"),
        ("a.csv", "request,exclude_seen\nx,perhaps\n", "line 2: exclude_seen must be"),
        ("a.csv", b"request\nx\n\xff\n", "not UTF-8"),
        ("a.jsonl", '{"request": "x"}\n{"request": \n', "line 2: this is not JSON"),
        ("a.jsonl", "\n", "has no requests"),
        ("a.jsonl", '["x"]\n', "line 1: a line is an object"),
        ("a.jsonl", '{"reqest": "x"}', "line 1: there is no 'request' here"),
        ("a.jsonl", '{"request": 7}', "line 1: a request is a text, not 7"),
        ("a.jsonl", '{"request": "x", "user": ["u"]}', "line 1: user must be the id"),
        ("a.jsonl", '{"request": "x", "history": "i1"}', "history must be a list"),
        ("a.jsonl", '{"request": "x", "exclude": [null]}', "exclude must be a list"),
        ("a.jsonl", b'{"request": "\xff"}', "line 1: this is not UTF-8"),
        ("a.jsonl", "[" * 100_000, "line 1: this is not JSON"),
        ("a.parquet", b"PAR1", "cannot be read as parquet"),
        ("a.txt", "x", "is a .csv, .parquet or .jsonl file"),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(tmp_path, name, content, message):
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        RequestsFile(tmp_path / name).check(unique_ids=False)
    assert message in str(error.value) and name in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        RequestsFile(tmp_path / "a.csv")


def test_ids_of_a_run_file_are_unique_and_have_no_spaces(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,request\na,x\nb,y\na,z\n")
    assert RequestsFile(path).check(unique_ids=False) == 3
    with pytest.raises(UserError, match="line 4: the id 'a' is that of line 2, too"):
        RequestsFile(path).check(unique_ids=True)
    path.write_text("id,request\nfirst one,x\n")
    with pytest.raises(UserError, match="line 2: the id 'first one' has spaces"):
        RequestsFile(path).check(unique_ids=True)
