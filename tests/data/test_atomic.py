import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_whisperlite.data import atomic
from recbole_whisperlite.data.atomic import read_atomic, read_header, write_atomic
from recbole_whisperlite.errors import UserError

COLUMNS = {"request_id": "token", "request": "token"}


def test_what_recboles_reader_would_swallow_comes_back_as_it_was(tmp_path):
    texts = ['a "quoted', "NA", "null", "None", "", " spaced ", "👗", "nan", "#x", "'"]
    path = tmp_path / "a.request"
    assert write_atomic(path, COLUMNS, enumerate(texts)) == len(texts)
    frame, columns = read_atomic(path)
    assert columns == COLUMNS
    assert frame["request"].tolist() == texts
    assert frame["request_id"].tolist() == [str(n) for n in range(len(texts))]


def test_tabs_and_line_breaks_become_spaces_when_written(tmp_path):
    path = tmp_path / "a.request"
    write_atomic(path, COLUMNS, [("r1", "one\ttwo\nthree\r\nfour")])
    assert read_atomic(path)[0]["request"].tolist() == ["one two three  four"]


def test_windows_line_ends_do_not_belong_to_the_text(tmp_path):
    path = tmp_path / "a.request"
    path.write_bytes(b"request_id:token\trequest:token\r\nr1\tred\r\nr2\tblue")
    assert read_atomic(path)[0]["request"].tolist() == ["red", "blue"]


def test_a_byte_order_mark_does_not_belong_to_the_first_column(tmp_path):
    path = tmp_path / "a.request"
    path.write_text("\ufeffrequest_id:token\trequest:token\nr1\tred\n", "utf-8")
    assert list(read_header(path)) == ["request_id", "request"]
    assert list(read_atomic(path)[0]) == ["request_id", "request"]


@pytest.mark.parametrize(
    "content, told",
    [
        (b"", ["line 1", "empty"]),
        (b"request_id:token\trequest:token\n", ["no line after the header"]),
        (
            b"request_id\trequest:token\nr1\tx\n",
            ["line 1", "'request_id'", "name:type"],
        ),
        (b"request_id:text\trequest:token\nr1\tx\n", ["line 1", "request_id:text"]),
        (b"a:token\ta:token\nr1\tx\n", ["line 1", "'a'", "twice"]),
        (b"a:token\tb:token\n1\t2\n3\n", ["line 3", "1 fields", "2 (a, b)"]),
        (b"a:token\tb:token\n1\t2\t3\n", ["line 2", "3 fields"]),
        (b"a:token\tb:token\n1\t2\n\n3\t4\n", ["line 3", "1 fields"]),
        (b"a:token\tb:token\n1\t2\n3\t\xff\n", ["line 3", "0xff", "utf-8"]),
    ],
)
def test_a_malformed_file_is_named_with_its_line(tmp_path, content, told):
    path = tmp_path / "bad.request"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_atomic(path)
    for part in [str(path), *told]:
        assert part in str(error.value)


def test_a_failed_write_leaves_neither_a_file_nor_a_part_of_one(tmp_path):
    def rows():
        yield "r1", "red"
        raise RuntimeError("out of rows")

    with pytest.raises(RuntimeError):
        write_atomic(tmp_path / "a.request", COLUMNS, rows())
    assert list(tmp_path.iterdir()) == []


ANY = st.text(
    st.characters(exclude_characters="\t\n\0", exclude_categories=["Cs"]), max_size=8
)


@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_a_field_is_whatever_is_between_two_tabs(tmp_path_factory, rows):
    """Whichever parser reads it: that of pandas where there is a carriage return."""
    path = tmp_path_factory.mktemp("any") / "a.item"
    lines = ["item_id:token\ttitle:token\tkind:token", *map("\t".join, rows)]
    path.write_bytes("\n".join(lines).encode() + b"\n")
    # before a line break a carriage return is a part of it
    expected = [(*row[:2], row[2].removesuffix("\r")) for row in rows]
    frame, _ = read_atomic(path)
    assert [*frame.itertuples(index=False, name=None)] == expected


def test_a_line_may_be_longer_than_what_is_parsed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_BLOCK", 64)
    path = tmp_path / "a.item"
    path.write_text("item_id:token\ttitle:token\ni1\tshort\ni2\t" + "long " * 99 + "\n")
    frame, _ = read_atomic(path)
    assert frame["title"].tolist() == ["short", "long " * 99]


@pytest.mark.parametrize("content", ["i1\n\ni3\n", "i1\r\n\r\ni3\r\n"])
def test_an_empty_line_of_one_column_is_an_empty_value(tmp_path, content):
    path = tmp_path / "a.item"
    path.write_bytes(b"item_id:token\n" + content.encode())
    assert read_atomic(path)[0]["item_id"].tolist() == ["i1", "", "i3"]
