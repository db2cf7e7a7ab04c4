"""What a language negates with, as regular expressions."""

import re
from typing import NamedTuple


class Phrases(NamedTuple):
    """The phrases of one language, each a regular expression of whole words.

    Attributes:
        beginning (tuple): Negate what follows, up to the end of the scope.
        ending (tuple): Negate what precedes them in the clause.
        pseudo (tuple): Look like negations but are not.
        referring_back (str): Negates the clause before, at the end of a clause of its own:
            "so not those".
        scope_ends (tuple): Prepositions and conjunctions that begin a new wish, unless they
            belong to the negation itself.
        clause_ends (tuple): Conjunctions that begin a new clause.
        bound (tuple): Words that a conjunction of ``clause_ends`` belongs to if it follows:
            "anything but".
        no_nouns (tuple): Words that begin a wish or a remark, not a noun of a list.
        coordination (tuple): Stand before the last noun of a refused list.
        polite (tuple): May end a refusal and are no part of it.
        keeps (tuple): Two: the words around what is to stay away.
        of_compounds (tuple): Before an adjective and a noun they may rule out the
            adjective alone: "no collar shirt".
    """

    beginning: tuple[str, ...]
    ending: tuple[str, ...] = ()
    pseudo: tuple[str, ...] = ()
    referring_back: str = "(?!)"
    scope_ends: tuple[str, ...] = ()
    clause_ends: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    no_nouns: tuple[str, ...] = ()
    coordination: tuple[str, ...] = ()
    polite: tuple[str, ...] = ()
    keeps: tuple[str, str] = ("(?!)", "(?!)")
    of_compounds: tuple[str, ...] = ()


class Patterns:
    """The compiled :class:`Phrases` of one language.

    Args:
        phrases (Phrases): Of the language.
    """

    def __init__(self, phrases: Phrases):
        self.cue = _compiled(
            f"(?P<pseudo>{_any(phrases.pseudo)})|(?P<ending>{_any(phrases.ending)})"
            # not the "no" of "no-iron"
            f"|(?P<beginning>{_any(phrases.beginning)}(?!-))"
        )
        self.end_of_clause = _compiled(
            r"[.!?;,\n:]+(?=\s|$)|[()\[\]]+|\s[-–—]+\s|" + _any(phrases.clause_ends)
        )
        self.bound = _compiled(rf"{_any(phrases.bound)} $")
        self.end_of_scope = _compiled(rf"(?<=\w) {_any(phrases.scope_ends)}")
        self.no_noun = _compiled(_any(phrases.no_nouns))
        self.coordination = _compiled(rf"(?:^|(?<=\s)){_any(phrases.coordination)}\s")
        self.polite = _compiled(rf"\s*{_any(phrases.polite)}$")
        before, after = phrases.keeps
        self.keep = _compiled(rf"^\W*{before}\b")
        self.keep_away = _compiled(rf"\b{after}\s*$")
        self.back = _compiled(rf"^\W*{phrases.referring_back}(?= *$)")
        self.compound = _compiled(rf"^\W*{_any(phrases.of_compounds)} *$")


def _any(phrases):
    return r"\b(?:" + "|".join(phrases or ("(?!)",)) + r")\b"


def _compiled(pattern):
    return re.compile(pattern, re.IGNORECASE)
