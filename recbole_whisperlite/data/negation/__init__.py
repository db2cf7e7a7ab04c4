"""What a request rules out: negated phrases, separated from the wish by rules.

The vectors of "a dress, no stripes" and "a dress with stripes" are close: text encoders are
nearly blind to negation. If the two parts are encoded separately, a model can learn to move
away from the second.

The method is that of NegEx (Chapman et al., "A Simple Algorithm for Identifying Negated
Findings and Diseases in Discharge Summaries", J. Biomed. Inform. 2001): phrases that negate
what follows or what precedes, others that only look like a negation, and a scope that ends
with the clause. The phrases are those of shoppers and guests instead of clinicians, in
English, French, German and Spanish, a file each. Requests in other languages are left as
they are.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable

from recbole_whisperlite.data.negation.language import language_of
from recbole_whisperlite.data.negation.english import ENGLISH
from recbole_whisperlite.data.negation.french import FRENCH
from recbole_whisperlite.data.negation.german import GERMAN
from recbole_whisperlite.data.negation.phrases import Phrases
from recbole_whisperlite.data.negation.spanish import SPANISH
from recbole_whisperlite.data.negation.splitter import Splitter

#: The languages that are read, by ISO 639 code.
_SPLITTERS = {
    "en": Splitter(ENGLISH),
    "de": Splitter(GERMAN),
    "fr": Splitter(FRENCH),
    "es": Splitter(SPANISH),
}
#: For other languages: nothing negates.
_NONE = Splitter(Phrases(beginning=()))
_QUOTES = str.maketrans("’‘`´“”", "''''\"\"")
#: A letter that no text has, in place of the spaces of a name.
_JOINT = "\uffa0"
#: How many requests are read for the language of all, and the share of one that counts.
_SAMPLE, _MANY = 200, 0.2
#: The characters of a product's text that its name begins in.
_START = 80


# A request that is asked is split when it is scored, answered and noted.
@functools.lru_cache(maxsize=32768)
def split_refusals(text: str, names: frozenset[str] = frozenset()) -> tuple[str, str]:
    """Separate what a request asks for from what it rules out.

    Args:
        text (str): A request. One that is not in English, French, German or Spanish rules
            nothing out. Where too few words say which language it is, it is read as
            English, unless only another language has its phrase: "ohne".
        names (frozenset of str): From :func:`names_of`: these negate nothing.

    Returns:
        tuple: (str, str), the wish and the refusals, without the negating words. Either
        may be empty.

    Examples::

        >>> split_refusals("a red dress, no stripes or dots please")
        ('a red dress', 'stripes or dots please')
        >>> split_refusals("no stripes, dots or checks, a red dress")
        ('a red dress', 'stripes, dots or checks')
        >>> split_refusals("ein Kleid ohne Streifen")
        ('ein Kleid', 'Streifen')
        >>> split_refusals("no show socks", names_of(["No show socks, black"]))
        ('no show socks', '')
    """
    text = _without_names(text.translate(_QUOTES), names)
    wish, refusal = _splitter(text).split(text)
    return wish.replace(_JOINT, " "), refusal.replace(_JOINT, " ")


def names_of(item_texts: Iterable[str]) -> frozenset[str]:
    """Return the names of products that begin like a refusal: "no show" of "No show socks".

    Args:
        item_texts (iterable of str): The text of each item, its name first.

    Returns:
        frozenset of str: In lower case, each up to the first word after the negation.
    """
    found = set()
    for text in item_texts:
        text = text[:_START].translate(_QUOTES)
        for splitter in _SPLITTERS.values():
            if name := splitter.negated_start(text):
                found.add(name.lower())
    return frozenset(found)


def unread_language(texts: list[str]) -> str | None:
    """Return the language of many requests where what they rule out is not read.

    Args:
        texts (list of str): The requests.

    Returns:
        str or None: The ISO 639 code; None where there is no such language.
    """
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    found = Counter(language_of(text, among=None) for text in sample)
    for code, times in found.most_common():
        if code is not None and code not in _SPLITTERS and times > _MANY * len(sample):
            return code
    return None


def _splitter(text):
    """Return the splitter that reads a text; one that finds nothing in other languages."""
    knowing = [code for code, each in _SPLITTERS.items() if each.knows(text)]
    if not knowing:
        return _SPLITTERS["en"]
    code = language_of(text)
    if code is None:
        code = knowing[0]
    return _SPLITTERS.get(code, _NONE)


def _without_names(text, names):
    if not names:
        return text
    pattern = _any_of(names)
    return pattern.sub(lambda name: name[0].replace(" ", _JOINT), text)


@functools.lru_cache(maxsize=64)
def _any_of(names):
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(
        r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b", re.IGNORECASE
    )
