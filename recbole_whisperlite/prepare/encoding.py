"""Is a text file in the encoding that its mapping says?"""

import codecs
import zlib
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.reading import unpacked

_BLOCK_BYTES = 1 << 20
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
        UserError: If a byte is not valid in the encoding; the message counts lines and
            bytes from 1. Or if the encoding has one byte a character, and the file is
            UTF-8 beyond ASCII: ``ä`` would silently become ``Ã¤``.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    as_utf8 = _Utf8()
    position, line, first = 0, 1, b""
    try:
        with unpacked(path) as file:
            while True:
                block = file.read(_BLOCK_BYTES)
                first = first or block[:4]
                kept = len(decoder.getstate()[0])  # bytes of a character cut in two
                text = decoder.decode(block, final=not block)
                as_utf8.feed(block, text)
                if not block:
                    break
                position += len(block)
                line += text.count("\n")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line += before.decode(encoding, "replace").count("\n")
        byte = error.object[error.start]
        hint = "utf-16" if first[:2] in _UTF_16_MARKS else "cp1252 (Windows, Excel)"
        raise UserError(
            f"{path}, line {line}: byte {position - kept + error.start + 1:,} of the "
            f"file, 0x{byte:02x}, is not valid {encoding}. Set encoding to that of the "
            f"file, such as {hint}."
        ) from None
    except (UnicodeError, OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: this file cannot be read as {encoding}. {error}"
        ) from None
    if encoding != "utf-8" and as_utf8.likely:
        raise UserError(
            f"{path}: this file is UTF-8, not {encoding}: as {encoding}, its letters "
            "beyond ASCII would be garbled. Leave encoding out, or set encoding: utf-8."
        )


class _Utf8:
    """Looks at a file of one byte a character with the eyes of UTF-8."""

    def __init__(self):
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._valid, self._beyond_ascii = True, False

    @property
    def likely(self):
        return self._valid and self._beyond_ascii

    def feed(self, block, text):
        if not self._valid:
            return
        if len(block) != len(text):
            self._valid = False  # several bytes a character: nothing is compared
            return
        self._beyond_ascii |= not block.isascii()
        try:
            self._decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            self._valid = False
