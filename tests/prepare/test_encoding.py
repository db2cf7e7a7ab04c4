"""Encodings: the byte that does not fit, and those that fit by accident."""

import pytest

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import encoding
from recbole_whisperlite.prepare.encoding import check_encoding, encoding_name


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        ("ä\nb€".encode() + b"\xff", "utf-8", "line 2: byte 8 .* 0xff, .* utf-8"),
        ("ä\nb€".encode()[:-1], "utf-8", "line 2: byte 5 .* 0xe2"),
        ("ä\nbü".encode("cp1252"), "utf-8", "line 1: byte 1 .* such as cp1252"),
        ("ä\nbü".encode("utf-16"), "utf-8", "line 1: byte 1 .* such as utf-16"),
        (
            "ä\nb€".encode("cp1252"),
            "latin-1",
            "line 2: byte 4 .* 0x80.* such as cp1252",
        ),
        (b"\xe4\n\x81", "cp1252", "line 2: byte 3 .* 0x81"),
        (b"ab\nc\xe4", "ascii", "line 2: byte 5 .* 0xe4"),
        ("ä\nß€".encode(), "cp1252", "this file is UTF-8, not cp1252"),
        ("ß".encode(), "latin-1", "this file is UTF-8, not iso8859-1"),
    ],
)
def test_a_wrong_encoding_is_told_by_its_first_byte(
    tmp_path, monkeypatch, content, name, told, block
):
    monkeypatch.setattr(encoding, "_BLOCK_BYTES", block)
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"a.csv(, |: ){told}"):
        check_encoding(tmp_path / "a.csv", encoding_name(name))


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    "name",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "iso-8859-15", "gbk"],
)
def test_the_right_encoding_is_accepted(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(encoding, "_BLOCK_BYTES", block)
    text = "价格\n" if name == "gbk" else "ä\nb€\n"
    (tmp_path / "a.csv").write_bytes(text.encode(name))
    check_encoding(tmp_path / "a.csv", encoding_name(name))


def test_names_of_encodings_are_those_of_text():
    assert encoding_name("Latin1") == encoding_name("iso-8859-1")
    assert encoding_name("UTF8") == encoding_name("utf-8-sig") == "utf-8"
    for name in ("windoof", "base64", "rot13", "", "undefined", "a\0b"):
        assert encoding_name(name) is None
