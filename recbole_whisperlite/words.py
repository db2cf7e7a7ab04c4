"""The words of a text, in languages that put spaces between them and in those that do not.

A shop whose texts have no spaces would have one "word" a sentence, which no request
repeats. There, runs of characters are counted instead: what Lucene's CJKAnalyzer does for
Chinese, Japanese and Korean (bigrams), with single characters for Han, where one may be a
word, and trigrams for Thai, Lao, Burmese and Khmer, whose words are longer. Everything else
is split as scikit-learn and bm25s do it.
"""

import re

# Hiragana and Katakana (also of half width), Han
_HAN = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN += "\U00020000-\U000323af"
# Thai and Lao, Burmese, Khmer; with their marks, which are no letters to Python
_LONG = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u1000-\u1049\u1050-\u109f\u1780-\u17d3"
# Marks of words that do have spaces: accents, Hebrew, Arabic, the scripts of India
_MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
_RUNS = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<long>[{_LONG}]+)|(?:(?![{_HAN}{_LONG}])[\w{_MARKS}])+"
)
_WORDS = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, in order.

    Args:
        text (str): In any language.

    Returns:
        list of str: For a run of Chinese or Japanese its characters and pairs of
        neighbouring characters, for Thai, Lao, Burmese and Khmer pairs and triples.

    Examples::

        >>> words_of("Red dress, size M")
        ['red', 'dress', 'size', 'm']
        >>> words_of("红色连衣裙 XL")
        ['红', '色', '连', '衣', '裙', '红色', '色连', '连衣', '衣裙', 'xl']
    """
    text = text.lower()
    if text.isascii():
        return _WORDS.findall(text)
    found = []
    for match in _RUNS.finditer(text):
        run = match.group()
        if match.lastgroup is None:
            found.append(run)
        else:
            found += _pieces(run, (1, 2) if match.lastgroup == "han" else (2, 3))
    return found


def _pieces(run, sizes):
    pieces = [
        run[begin : begin + size]
        for size in sizes
        for begin in range(len(run) - size + 1)
    ]
    return pieces or [run]
