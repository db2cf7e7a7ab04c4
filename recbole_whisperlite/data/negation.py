"""What a request rules out: negated phrases, separated from the wish by rules.

The vectors of "a dress, no stripes" and "a dress with stripes" are close: text encoders are
nearly blind to negation. If the two parts are encoded separately, a model can learn to move
away from the second.

The method is that of NegEx (Chapman et al., "A Simple Algorithm for Identifying Negated
Findings and Diseases in Discharge Summaries", J. Biomed. Inform. 2001): phrases that negate
what follows or what precedes, others that only look like a negation, and a scope that ends
with the clause. The phrases are those of English-speaking shoppers and guests instead of
clinicians.
"""

import functools
import re

#: Negate what follows, up to the end of the scope.
BEGINNING = (
    "anything but",
    "(?:everything|all) but",
    "anything except",
    "(?:do|does|did|would) ?n[o']?t (?:really )?(?:want|like|need|wear|do|care for)",
    "do not (?:want|like|need|wear|send)",
    "do ?n'?t (?:give me|send|include|pick|choose)",
    "(?:can ?not|can'?t) (?:stand|wear|bear|afford|eat|have)",
    "not a (?:big |great )?fan of",
    "not (?:keen on|fond of|interested in|into|looking for)",
    "(?:fed up|done) with",
    "(?:tired|sick) of",
    "(?:please )?(?:avoid|skip|exclude|omit|leave out)",
    "hate",
    "dislike",
    "loathe",
    "detest",
    "allergic to",
    "free of",
    "stay(?:ing)? away from",
    "instead of",
    "rather than",
    "other than",
    "apart from",
    "except(?: for)?",
    "without",
    "never(?: wear| buy| eat| again)?",
    "neither",
    "nor",
    "none of",
    "nothing",
    "(?:is|are|was|were|does|do|did) ?n'?t",
    "not?(?!-)(?: too| so| very| any| overly)?",
)
#: Negate what precedes them in the clause.
ENDING = (
    "(?:does|do|did) nothing for me",
    "(?:does|do|did|is|are|was|were) ?(?:not|n'?t) (?:for me|my thing|suit me|work for me)",
    "(?:is|are) (?:a no|out|off the table|a deal ?breaker)",
    "away from me",
)
#: Look like negations but are not. "So not those" refers back and is handled below.
PSEUDO = (
    "nothing but",
    "no (?:matter|idea|doubt|problem|worries|rush|hurry|preference|pressure|wonder)",
    "no (?:more|less|later|fewer|longer|shorter|bigger|smaller|higher|lower) than",
    "not only",
    "not just",
    "not sure",
    "not bad",
    "not (?:un)?necessarily",
    "why not",
    "whether or not",
    "if not",
    "(?:can ?not|can'?t) (?:wait|help|get enough)",
    "never mind",
    "do ?n'?t (?:mind|care|worry|know|forget)",
    "without (?:a )?doubt",
    "could ?n'?t (?:agree|be|care)",
    "have ?n'?t",
    "has ?n'?t",
)
# "I always push up long sleeves, so not those"
_REFERRING_BACK = "(?:so |but )?(?:not|no) (?:those|them|these|that|it|this)(?= *$)"
# A preposition begins a new wish, unless it belongs to the negation itself.
_END_OF_SCOPE = re.compile(r"(?<=\w) (?:but|for|in|with|at|because|so)\b")
_END_OF_CLAUSE = re.compile(
    r"[.!?;,\n:]+(?=\s|$)|[()\[\]]+|\s[-–—]+\s|\b(?:but|however)\b"
)
_QUOTES = str.maketrans("’‘`´“”", "''''\"\"")


def _phrases(*phrases):
    return r"\b(?:" + "|".join(phrases) + r")\b"


_CUE = re.compile(
    f"(?P<pseudo>{_phrases(*PSEUDO)})|(?P<ending>{_phrases(*ENDING)})"
    f"|(?P<beginning>{_phrases(*BEGINNING)})",
    re.IGNORECASE,
)
# "no jeans, jumpers or lace": a list of bare nouns is refused to its end. What begins
# with another word than a noun or an adjective is a wish or a remark of its own.
_NO_NOUN = re.compile(
    r"\b(?:an?|one|some|the|this|that|these|those|my|our|your|his|her|their"
    r"|i|i'm|i'd|i'll|i've|we|you|he|she|it|they|me|us|who|which|something|anything"
    r"|just|only|maybe|perhaps|preferably|ideally|rather|then|instead|also|otherwise"
    r"|need|needs|want|wants|love|loves|like|likes|prefer|prefers|looking|am|is|are|was"
    r"|were|be|will|would|can|could|should|have|has|had|do|does|did|please|thanks|thank)\b",
    re.IGNORECASE,
)
_COORDINATION = re.compile(r"(?:^|(?<=\s))n?or\s", re.IGNORECASE)
_POLITE = re.compile(r"\s*\b(?:please|thanks|thank you)$", re.IGNORECASE)
_KEEP_AWAY = re.compile(r"\baway from me\s*$", re.IGNORECASE)
#: The most words of a noun in a list.
_LONGEST_NOUN = 4
_BACK = re.compile(r"^\W*" + _REFERRING_BACK, re.IGNORECASE)
_KEEP = re.compile(r"^\W*(?:please )?keep\b", re.IGNORECASE)


# A request that is asked is split when it is scored, answered and noted.
@functools.lru_cache(maxsize=4096)
def split_refusals(text: str) -> tuple[str, str]:
    """Separate what a request asks for from what it rules out.

    Args:
        text (str): A request in English. In other languages, some words may be mistaken
            for negations.

    Returns:
        tuple: (str, str), the wish and the refusals, without the negating words. Either
        may be empty.

    Examples::

        >>> split_refusals("a red dress, no stripes or dots please")
        ('a red dress', 'stripes or dots please')
        >>> split_refusals("no stripes, dots or checks, a red dress")
        ('a red dress', 'stripes, dots or checks')
    """
    wishes, refusals = [], []
    for clause in _with_lists([*_clauses(text.translate(_QUOTES))]):
        if _BACK.search(clause) and wishes:
            refusals.append(wishes.pop())
            continue
        wish, refusal = _split_clause(clause)
        wishes += [wish] if wish else []
        refusals += [refusal] if refusal else []
    return ", ".join(wishes), ", ".join(refusals)


def _clauses(text):
    """Yield clauses, each with the text that ends it."""
    # the "but" of "anything but", "nothing but" and the like does not end a clause
    begin = 0
    for end in _END_OF_CLAUSE.finditer(text):
        if end[0].lower() == "but" and re.search(
            r"\b(?:anything|nothing|everything|all) $",
            text[: end.start()],
            re.IGNORECASE,
        ):
            continue
        yield text[begin : end.start()], end[0]
        begin = end.end()
    yield text[begin:], ""


def _with_lists(clauses):
    """Return clauses, those that commas part from a refused list joined with it."""
    joined, at = [], 0
    while at < len(clauses):
        last = _end_of_list(clauses, at)
        joined.append(", ".join(clause for clause, _ in clauses[at : last + 1]))
        at = last + 1
    return joined


def _end_of_list(clauses, first):
    """Return the last clause of the list that a clause begins by refusing; the clause
    itself if it begins none.

    The sign of a list is the "or" before its last noun.
    """
    keeps = _KEEP.match(clauses[first][0])
    if not keeps and not _refuses_to_its_end(clauses[first][0]):
        return first
    for at in range(first + 1, len(clauses)):
        if clauses[at - 1][1] != ",":
            break
        clause = clauses[at][0].strip()
        is_kept_away = _KEEP_AWAY.search(clause)
        clause = _POLITE.sub("", _KEEP_AWAY.sub("", clause)).strip()
        scope = _END_OF_SCOPE.search(clause)
        nouns = _COORDINATION.split(clause[: scope.start()] if scope else clause)
        nouns = nouns[not nouns[0].strip() :]
        if not all(map(_is_noun, nouns)):
            break
        if _COORDINATION.search(clause):
            return at if is_kept_away or not keeps else first
        if scope:
            break
    return first


def _refuses_to_its_end(clause):
    """Return whether a clause ends with something that it refuses."""
    at, cues = 0, []
    while cue := _CUE.search(clause, at):
        at = cue.end()
        cues.append(cue)
    if not cues or not cues[-1]["beginning"]:
        return False
    refused = clause[at:]
    return bool(refused.strip()) and not _END_OF_SCOPE.search(refused, 1)


def _is_noun(text):
    is_short = 0 < len(text.split()) <= _LONGEST_NOUN
    return is_short and not _NO_NOUN.search(text) and not _CUE.search(text)


def _split_clause(clause):
    wish, refusal, done, at = [], [], 0, 0
    while cue := _CUE.search(clause, at):
        at = cue.end()
        if cue["pseudo"]:
            continue
        if cue["ending"]:
            refusal.append(_KEEP.sub("", clause[done : cue.start()]))
            done = at
            continue
        scope = _END_OF_SCOPE.search(clause, at + 1)
        end = scope.start() if scope else len(clause)
        wish.append(clause[done : cue.start()])
        refusal.append(clause[at:end])
        done = at = end
    wish.append(clause[done:])
    return _tidy(wish), _tidy(refusal)


def _tidy(parts):
    return " ".join(" ".join(parts).split())
