"""Is a text file in the encoding that its mapping says?"""

import codecs
import re
import zlib
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.reading import unpacked

_BLOCK_BYTES = 1 << 20
# In ISO 8859, control characters that no text has; in cp1252 the euro sign and dashes.
_CONTROL = re.compile(r"[\x80-\x84\x86-\x9f]")
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def encoding_name(name: str) -> str | None:
    """Return Python's name of an encoding of text, None if there is no such.

    >>> encoding_name("Latin1"), encoding_name("UTF8"), encoding_name("base64")
    ('iso8859-1', 'utf-8', None)
    """
    try:
        "".encode(name)  # LookupError for those that are not of text, too
        return codecs.lookup(name).name.removesuffix("-sig")
    except (LookupError, ValueError):
        return None


def check_encoding(path: str | Path, encoding: str) -> None:
    """Decode a whole file once, block by block.

    Args:
        path (str or Path): A csv or tsv file, gzipped or not.
        encoding (str): From :func:`encoding_name`.

    Raises:
        UserError: If a byte is not valid in the encoding, or is a control character in
            ISO 8859; the message counts lines and bytes from 1. Or if the encoding has
            one byte a character but the file is UTF-8: ``ä`` would silently become
            ``Ã¤``.
    """
    try:
        if _one_byte_a_character(encoding) and _is_utf8(path):
            raise UserError(
                f"{path}: this file is UTF-8, not {encoding}: as {encoding}, its letters "
                "beyond ASCII would be garbled. Leave encoding out, or set encoding: "
                "utf-8."
            )
        _decode(path, encoding)
    except (UnicodeError, OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: this file cannot be read as {encoding}. {error}"
        ) from None


def _decode(path, encoding):
    decoder = codecs.getincrementaldecoder(encoding)()
    control = _CONTROL.search if encoding.startswith("iso8859") else lambda text: None
    position, line = 0, 1
    with unpacked(path) as file:
        for block in _blocks(file):
            kept = len(decoder.getstate()[0])  # bytes of a character cut in two
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                start, content = error.start, error.object
                before = content[:start].decode(encoding, "replace")
                at, value = position - kept + start, content[start]
            else:
                wrong = control(text)
                if not wrong:
                    position += len(block)
                    line += text.count("\n")
                    continue
                before = text[: wrong.start()]
                at, value = position + wrong.start(), ord(wrong[0])
            raise UserError(
                f"{path}, line {line + before.count(chr(10))}: byte {at + 1:,} of the "
                f"file, 0x{value:02x}, is not valid {encoding}. Set encoding to that of "
                f"the file, such as {_other_than(encoding, path)}."
            ) from None


def _blocks(file):
    """Yield the blocks of a file, and an empty one at its end."""
    block = True
    while block:
        block = file.read(_BLOCK_BYTES)
        yield block


def _other_than(encoding, path):
    with unpacked(path) as file:
        if file.read(2) in _UTF_16_MARKS:
            return "utf-16"
    return "cp850 (DOS)" if encoding == "cp1252" else "cp1252 (Windows, Excel)"


def _one_byte_a_character(encoding):
    return len("ä".encode().decode(encoding, "replace")) == 2


def _is_utf8(path):
    """Whether a file is valid UTF-8 with characters beyond ASCII."""
    decoder, beyond_ascii = codecs.getincrementaldecoder("utf-8")(), False
    with unpacked(path) as file:
        try:
            for block in _blocks(file):
                beyond_ascii |= not block.isascii()
                decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            return False
    return beyond_ascii
