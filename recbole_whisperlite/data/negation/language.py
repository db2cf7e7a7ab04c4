"""The language of a request, as far as it matters for what it rules out."""

import functools
import math

#: The languages written in Latin letters that are told apart, by ISO 639 code.
_LATIN = frozenset(
    ("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "fi", "pl", "cs", "sk")
    + ("ro", "hu", "tr", "hr")
)
#: The least probability of a language: below it, a text is too short to tell.
SURE = 0.5


def language_of(text: str, among: frozenset[str] | None = _LATIN) -> str | None:
    """Return the language of a text.

    Args:
        text (str): Of any length.
        among (frozenset of str or None): Languages to tell apart, ISO 639 codes; None for
            all that `py3langid <https://github.com/adbar/py3langid>`_ knows.

    Returns:
        str or None: Its code; None where the text does not say.
    """
    code, probability = max(_probabilities(text, among).items(), key=lambda of: of[1])
    return code if probability >= SURE else None


@functools.lru_cache(maxsize=4096)
def _probabilities(text, among):
    # it reads its model when it is first asked, which few requests need
    import py3langid

    scores = {
        code: score
        for code, score in py3langid.rank(text)
        if among is None or code in among
    }
    # long texts make the likelihoods of naive Bayes too sure; so does the library itself
    scale = 1 / math.sqrt(len(text.encode("utf-8", "replace")) or 1)
    best = max(scores.values())
    odds = {code: math.exp((score - best) * scale) for code, score in scores.items()}
    total = sum(odds.values())
    return {code: each / total for code, each in odds.items()}
