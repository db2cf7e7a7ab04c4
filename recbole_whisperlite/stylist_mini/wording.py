"""An intent in the shopper's words: keywords or prose, chatter, typos, emoji."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recbole_whisperlite.stylist_mini import vocabulary as words
from recbole_whisperlite.stylist_mini.catalogue import join, pick

if TYPE_CHECKING:
    import numpy as np

    from recbole_whisperlite.stylist_mini.intents import Intent

#: Probabilities of keywords only, lower case, typos, an emoji, quotes around a wish.
TERSE = 0.2
LOWER_CASE = 0.3
CARELESS = 0.12
EMOTICON = 0.1
QUOTING = 0.06

#: Wishes that begin with one of these directly follow a noun ("a skirt in red").
PREPOSITIONS = ("in", "with", "without", "for", "made", "at", "on", "down", "off")


def write(rng: np.random.RandomState, intent: Intent) -> str:
    """Put an intent into words.

    Every wish and every refusal of the intent is expressed; mere tastes are not.
    Refusals are never misspelt.

    Args:
        rng (numpy.random.RandomState): The wording's random stream.
        intent (intents.Intent): What is wanted.

    Returns:
        str: 3 to 200 words, one line.
    """
    wishes = [_wish(rng, column, value) for column, value in intent.wishes]
    if intent.length <= 8 or (intent.length <= 25 and rng.random_sample() < TERSE):
        text = _terse(rng, intent, wishes)
    else:
        text = _prose(rng, intent, wishes)
    if len(text.split()) < 3:
        text += pick(rng, (" please", ", thank you", " for me please"))
    if rng.random_sample() < LOWER_CASE:
        text = text.lower()
    if rng.random_sample() < EMOTICON:
        text += " " + pick(rng, words.EMOJI)
    return text


def _wish(rng, column, value):
    if column == "colour":
        # The first word is by far the most frequent.
        first, *others = words.COLOUR_WORDS[value]
        wish = "in " + (first if rng.random_sample() < 0.6 else pick(rng, others))
    else:
        wish = pick(rng, words.WISHES[column][value])
    return f'"{wish}"' if rng.random_sample() < QUOTING else wish


def _nouns(rng, intent):
    if intent.group:
        return [pick(rng, words.GROUP_NOUNS[intent.group])]
    if not intent.garments:
        return [pick(rng, words.ANYTHING_NOUNS)]
    return [pick(rng, words.GARMENTS[name].request_nouns) for name in intent.garments]


def _terse(rng, intent, wishes):
    """Write keywords: ``flats, black, office, no heels``."""
    bare = [re.sub(r"^(in|with|for|that|a|an|the) ", "", wish) for wish in wishes]
    nouns = [re.sub(r"^(a|an|some) ", "", noun) for noun in _nouns(rng, intent)]
    refused = [f"no {pick(rng, ban.things)}" for ban in intent.bans]
    return ", ".join(nouns + bare + refused)


def _prose(rng, intent, wishes):
    what = join(_nouns(rng, intent), "and")
    rest = list(wishes)
    if rest:
        wish = rest.pop(0)
        fits = wish.split()[0].strip('"') in PREPOSITIONS
        what = f"{what} {wish}" if fits else f"{what}, something {wish}"
    core = [pick(rng, words.NEEDS).format(what=what)]
    while rest:
        wish = join(
            [rest.pop() for _ in range(min(len(rest), 1 + rng.randint(2)))], "and"
        )
        core.append(pick(rng, words.WISH_SENTENCES).format(wish=wish))
    refusals = _refusals(rng, intent.bans)
    if rng.random_sample() < 0.25:
        core = refusals + core
    else:
        core = core + refusals

    sentences = _with_chatter(rng, core, intent.length)
    if rng.random_sample() < CARELESS:
        sentences = [
            (
                text
                if text in refusals or rng.random_sample() < 0.4
                else _mistype(rng, text)
            )
            for text in sentences
        ]
    return _punctuate(rng, sentences)


def _refusals(rng, bans):
    if len(bans) > 1 and rng.random_sample() < 0.5:
        things = join([pick(rng, ban.things) for ban in bans], "or")
        return [pick(rng, words.BAN_SENTENCES).format(things=things)]
    return [
        (
            pick(rng, ban.sentences)
            if ban.sentences and rng.random_sample() < 0.45
            else pick(rng, words.BAN_SENTENCES).format(things=pick(rng, ban.things))
        )
        for ban in bans
    ]


def _with_chatter(rng, core, length):
    """Fill up to ``length`` words with greeting, closing and chatter around the core."""
    sentences = list(core)
    room = length - _count_words(sentences)
    greeting = closing = None
    if room > 2 and rng.random_sample() < 0.6:
        greeting = _fill(rng, pick(rng, words.GREETINGS))
    if room > 5 and rng.random_sample() < 0.5:
        closing = _fill(rng, pick(rng, words.CLOSINGS))
    room -= _count_words([text for text in (greeting, closing) if text])
    for chosen in rng.permutation(len(words.CHATTER)):
        if room < 3:
            break
        text = _fill(rng, words.CHATTER[chosen])
        if _count_words([text]) <= room:
            sentences.insert(rng.randint(len(sentences) + 1), text)
            room -= _count_words([text])
    return [text for text in (greeting, *sentences, closing) if text]


def _fill(rng, template):
    return re.sub(r"{(\w+)}", lambda slot: pick(rng, words.SLOTS[slot[1]]), template)


def _count_words(sentences):
    return sum(len(text.split()) for text in sentences)


def _mistype(rng, text):
    """Swap, drop or double one letter inside one word of five letters or more."""
    parts = text.split(" ")
    long_words = [i for i, part in enumerate(parts) if len(part) >= 5]
    if not long_words:
        return text
    chosen = pick(rng, long_words)
    word = parts[chosen]
    at = 1 + rng.randint(len(word) - 3)
    parts[chosen] = pick(
        rng,
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[: at + 1] + word[at:],
        ),
    )
    return " ".join(parts)


def _punctuate(rng, sentences):
    """End sentences, mostly with full stops; some shoppers shout or use commas only."""
    habit = pick(rng, {".": 6, "!": 1, ",": 1})
    marked = []
    for number, text in enumerate(sentences):
        asks = text.startswith(("Could you", "Can you"))
        greets = number == 0 and text.split()[0] in (
            "Hi",
            "Hello",
            "Hey",
            "Good",
            "Dear",
        )
        marked.append(text + ("?" if asks else "," if greets else habit))
    text = " ".join(marked)
    return text.rstrip(",") if habit == "," else text
