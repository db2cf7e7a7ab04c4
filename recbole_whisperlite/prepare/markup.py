"""Texts without HTML: descriptions as shops have them, as the words that people read."""

import html.entities
import re
from html.parser import HTMLParser

#: Tags inside of words and lines.
INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark nobr "
    "q s samp small span strike strong sub sup time tt u var wbr".split()
)
#: Tags that end a word: ``a<br>b`` is two words.
BREAKING = frozenset(
    "address applet area article aside audio base basefont blockquote body br button "
    "canvas caption center col colgroup datalist dd details dialog dir div dl dt embed "
    "fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header "
    "hgroup hr html iframe img input label legend li link main map marquee menu meta "
    "meter nav noframes noscript object ol optgroup option output p param path picture "
    "pre progress rp rt ruby script section select slot source style summary svg table "
    "tbody td template textarea tfoot th thead title tr track ul video".split()
)
#: Elements whose content is not for reading. The parser takes it literally, tags too.
_HIDDEN = frozenset(("script", "style"))
_REFERENCE = re.compile(r"&(#[0-9]+;|#[xX][0-9a-fA-F]+;|[a-zA-Z][a-zA-Z0-9]*;)?")
_SOFT_HYPHEN = "\xad"


def plain_text(text: str) -> str:
    """Return a text without tags, comments, scripts and entities.

    What is no tag of HTML stays: ``size < 40 > 36``, ``<XL>``. Only entities with their
    semicolon count: there is none in ``slim&regular``. HTML that was escaped
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
        if not _is_html(tag, attrs):
            self.parts.append(self.get_starttag_text())
        elif tag not in INLINE:
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


def _is_html(tag, attributes):
    if tag in INLINE or tag in BREAKING:
        return True
    # Word's <o:p>, a page's own <shop-price>, and whatever has name="value"
    return ":" in tag or "-" in tag or any(value for _, value in attributes)


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
