"""Records that stream from files of JSON lines, and what is said of broken ones."""

import gzip

import pytest

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.records import as_text, need, read_records


def test_plain_gzipped_and_python_literal_lines_are_read_alike(tmp_path):
    json_line, python_line = b'{"a": "it\'s"}\n', b"{'a': \"it's\"}\n"
    plain = tmp_path / "plain.json"
    plain.write_bytes(json_line + b"\n" + python_line)
    packed = tmp_path / "packed.json"  # gzipped under a name that does not say so
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    wanted = [(1, {"a": "it's"}), (3, {"a": "it's"})]
    assert list(read_records(plain)) == wanted
    assert list(read_records(packed)) == wanted


@pytest.mark.parametrize(
    ("second_line", "told"),
    [
        (b'{"a": 1', "line 2: this is not a JSON object"),
        (b"[1]", "line 2: this is not a JSON object"),
        (b'{"a": "\xff"}', "line 2: byte 0xff is not valid UTF-8"),
        (b"__import__('os').getcwd()", "line 2: this is not a JSON object"),
        (b"[" * 100_000, "line 2: this is not a JSON object"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path, second_line, told):
    file = tmp_path / "broken.json"
    file.write_bytes(b'{"a": 1}\n' + second_line + b"\n")

    with pytest.raises(UserError, match=told):
        list(read_records(file))


def test_a_gzip_file_that_ends_early_is_named(tmp_path):
    file = tmp_path / "half.json.gz"
    whole = gzip.compress(b'{"a": 1}\n' * 1000)
    file.write_bytes(whole[:-10])

    with pytest.raises(UserError, match="half.json.gz, line .* damaged from here on"):
        list(read_records(file))


def test_a_file_without_records_is_named(tmp_path):
    for content in ("", "\n \n"):
        (tmp_path / "empty.json").write_text(content)
        with pytest.raises(UserError, match="empty.json: the file is empty"):
            list(read_records(tmp_path / "empty.json"))
    with pytest.raises(UserError, match="this is a folder, not a file"):
        list(read_records(tmp_path))
    with pytest.raises(UserError, match="none.json: this file does not exist"):
        list(read_records(tmp_path / "none.json"))


def test_a_missing_value_is_told_with_what_the_record_has():
    with pytest.raises(UserError, match="f, line 7: .*'asin'.*'asins'.*has asins, b"):
        need({"asins": 1, "b": 2}, "asin", "f", 7)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (" ", "asin is empty"),
        (None, "asin is empty"),
        (["B1"], "asin is .'B1'., not a text"),
    ],
)
def test_an_id_that_is_none_is_named(value, told):
    with pytest.raises(UserError, match=f"f, line 7: {told}"):
        need({"asin": value}, "asin", "f", 7)


def test_ids_are_text_that_utf_8_can_hold():
    assert need({"asin": 7}, "asin", "f", 1) == "7"
    assert need({"asin": "B\ud800"}, "asin", "f", 1) == "B?"


def test_values_become_text_that_utf_8_can_hold():
    assert as_text([["Clothing", "Shoes"], "Boots", None]) == "Clothing, Shoes, Boots"
    assert as_text(None) == ""
    assert as_text("half a face \ud83d ") == "half a face ?"
