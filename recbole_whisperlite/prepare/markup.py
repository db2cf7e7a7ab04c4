"""Texts without HTML: descriptions as shops have them, as the words that people read."""

import html.entities
import re
from html.parser import HTMLParser

#: Tags inside of words and lines. Any other tag ends a word: ``a<br>b`` is two words.
INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark nobr "
    "q s samp small span strike strong sub sup time tt u var wbr".split()
)
#: Elements whose content is not for reading. The parser takes it literally, tags too.
_HIDDEN = frozenset(("script", "style"))
_REFERENCE = re.compile(r"&(#[0-9]+;|#[xX][0-9a-fA-F]+;|[a-zA-Z][a-zA-Z0-9]*;)?")
_SOFT_HYPHEN = "\xad"


def plain_text(text: str) -> str:
    """Return a text without tags, comments, scripts and entities.

    What is no tag for a browser stays: ``size < 40 > 36``, ``R&D``. Only entities with
    their semicolon count: in ``slim&regular`` there is none. HTML that was escaped
    (``&lt;p&gt;``) is HTML, too, so that a second call changes nothing.

    Args:
        text (str): A text that may hold HTML.

    Returns:
        str: The text. If it held any markup, runs of whitespace, such as ``&nbsp;`` and
        line breaks, are one space, and soft hyphens are gone.

    >>> plain_text("<p>Soft &amp; warm.<br>100&nbsp;% <b>W</b>ool</p>")
    'Soft & warm. 100 % Wool'
    """
    while "<" in text or "&" in text or _SOFT_HYPHEN in text:
        parser = _Words()
        parser.feed(_for_parser(text))
        parser.close()
        shown = " ".join("".join(parser.parts).replace(_SOFT_HYPHEN, "").split())
        if shown == text:
            break
        text = shown
    return text


class _Words(HTMLParser):
    """Collects in ``parts`` what a browser would show."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts = []

    def handle_starttag(self, tag, attrs):
        if tag not in INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag):
        if tag not in INLINE:
            self.parts.append(" ")

    def handle_data(self, data):
        if self.cdata_elem not in _HIDDEN:
            self.parts.append(data)

    def parse_marked_section(self, i, report=1):
        # Word writes <![if !mso]>, at which the base class may raise an AssertionError
        return self.parse_bogus_comment(i, report)


def _for_parser(text):
    """Escape what Python's versions of the parser treat differently."""
    if "<![CDATA[" in text:
        text = text.replace("<![CDATA[", " ").replace("]]>", " ")
    # no ">" follows, so that no tag begins here: "size <M"
    before, end, after = text.rpartition(">")
    text = before + end + after.replace("<", "&lt;")
    return _REFERENCE.sub(_whole_reference, text)


def _whole_reference(match):
    name = match[1] or ""
    known = name.startswith("#") or name in html.entities.html5
    return match[0] if known else f"&amp;{name}"
