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
    """
    wishes, refusals = [], []
    for clause in _clauses(text.translate(_QUOTES)):
        if _BACK.search(clause) and wishes:
            refusals.append(wishes.pop())
            continue
        wish, refusal = _split_clause(clause)
        wishes += [wish] if wish else []
        refusals += [refusal] if refusal else []
    return ", ".join(wishes), ", ".join(refusals)


def _clauses(text):
    # the "but" of "anything but", "nothing but" and the like does not end a clause
    begin = 0
    for end in _END_OF_CLAUSE.finditer(text):
        if end[0].lower() == "but" and re.search(
            r"\b(?:anything|nothing|everything|all) $",
            text[: end.start()],
            re.IGNORECASE,
        ):
            continue
        yield text[begin : end.start()]
        begin = end.end()
    yield text[begin:]


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
