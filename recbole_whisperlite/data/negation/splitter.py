"""Rules that separate a wish from what it rules out, given the phrases of a language."""

import re

from recbole_whisperlite.data.negation.phrases import Patterns, Phrases

#: The most words of a noun in a list.
_LONGEST_NOUN = 4
_WORD = re.compile(r" [\w'-]+")


class Splitter:
    """Splits requests in one language.

    Args:
        phrases (Phrases): Of the language.
    """

    def __init__(self, phrases: Phrases):
        self._is = Patterns(phrases)

    def knows(self, text: str) -> bool:
        """Return whether a text has a phrase that negates."""
        return any(not cue["pseudo"] for cue in self._is.cue.finditer(text))

    def negated_start(self, text: str) -> str:
        """Return the phrase that a text begins with and the next word; "" if it begins
        otherwise."""
        cue = self._is.cue.match(text)
        if not cue or not cue["beginning"]:
            return ""
        word = _WORD.match(text, cue.end())
        return text[: word.end()] if word else ""

    def split(self, text: str) -> tuple[str, str]:
        """Return the wish and the refusals of a text, without the negating words."""
        wishes, refusals = [], []
        for clause in self._with_lists([*self._clauses(text)]):
            if self._is.back.search(clause) and wishes:
                refusals.append(wishes.pop())
                continue
            wish, refusal = self._split_clause(clause)
            wishes += [wish] if wish else []
            refusals += [refusal] if refusal else []
        wish, refusal = ", ".join(wishes), ", ".join(refusals)
        return (wish, refusal) if wish else self._of_compound(text, refusal)

    def _of_compound(self, text, refusal):
        """Return the noun as the wish where nothing else is wished for.

        Nobody asks a shop for nothing, so "no collar shirt" asks for a shirt.
        """
        words = self._is.polite.sub("", refusal).split()
        negated = text[: text.find(refusal)] if refusal else ""
        if not self._is.compound.search(negated) or not 1 < len(words) <= _LONGEST_NOUN:
            return "", refusal
        if "," in refusal or self._is.coordination.search(refusal):
            return "", refusal
        return words[-1], " ".join(words[:-1])

    def _clauses(self, text):
        """Yield clauses, each with the text that ends it."""
        begin = 0
        for end in self._is.end_of_clause.finditer(text):
            # the "but" of "anything but", "nothing but" and the like does not end a clause
            is_word = end[0][0].isalpha()
            if is_word and self._is.bound.search(text[: end.start()]):
                continue
            yield text[begin : end.start()], end[0]
            begin = end.end()
        yield text[begin:], ""

    def _with_lists(self, clauses):
        """Return clauses, those that commas part from a refused list joined with it."""
        joined, at = [], 0
        while at < len(clauses):
            last = self._end_of_list(clauses, at)
            joined.append(", ".join(clause for clause, _ in clauses[at : last + 1]))
            at = last + 1
        return joined

    def _end_of_list(self, clauses, first):
        """Return the last clause of the list that a clause begins by refusing; the clause
        itself if it begins none.

        The sign of a list is the "or" before its last noun.
        """
        keeps = self._is.keep.match(clauses[first][0])
        if not keeps and not self._refuses_to_its_end(clauses[first][0]):
            return first
        for at in range(first + 1, len(clauses)):
            if clauses[at - 1][1] != ",":
                break
            clause = clauses[at][0].strip()
            is_kept_away = self._is.keep_away.search(clause)
            clause = self._is.keep_away.sub("", clause)
            clause = self._is.polite.sub("", clause).strip()
            scope = self._is.end_of_scope.search(clause)
            nouns = self._is.coordination.split(
                clause[: scope.start()] if scope else clause
            )
            nouns = nouns[not nouns[0].strip() :]
            if not all(map(self._is_noun, nouns)):
                break
            if self._is.coordination.search(clause):
                return at if is_kept_away or not keeps else first
            if scope:
                break
        return first

    def _refuses_to_its_end(self, clause):
        """Return whether a clause ends with something that it refuses."""
        at, cues = 0, []
        while cue := self._is.cue.search(clause, at):
            at = cue.end()
            cues.append(cue)
        if not cues or not cues[-1]["beginning"]:
            return False
        refused = clause[at:]
        return bool(refused.strip()) and not self._is.end_of_scope.search(refused, 1)

    def _is_noun(self, text):
        is_short = 0 < len(text.split()) <= _LONGEST_NOUN
        return (
            is_short
            and not self._is.no_noun.search(text)
            and not self._is.cue.search(text)
        )

    def _split_clause(self, clause):
        wish, refusal, done, at = [], [], 0, 0
        while cue := self._is.cue.search(clause, at):
            at = cue.end()
            if cue["pseudo"]:
                continue
            if cue["ending"]:
                refusal.append(self._is.keep.sub("", clause[done : cue.start()]))
                done = at
                continue
            scope = self._is.end_of_scope.search(clause, at + 1)
            end = scope.start() if scope else len(clause)
            wish.append(clause[done : cue.start()])
            refusal.append(clause[at:end])
            done = at = end
        wish.append(clause[done:])
        return _tidy(wish), _tidy(refusal)


def _tidy(parts):
    return " ".join(" ".join(parts).split())
