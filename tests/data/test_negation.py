"""What requests ask for and what they rule out."""

import random

import pytest

from recbole_whisperlite.data.negation import split_refusals


@pytest.mark.parametrize(
    "text, wish, refusal",
    [
        # a negation ends with its clause
        ("a red dress, no heels", "a red dress", "heels"),
        ("no heels, a red dress", "a red dress", "heels"),
        ("a red dress. No stripes or dots!", "a red dress", "stripes or dots"),
        ("a dress - not black - for work", "a dress, for work", "black"),
        ("a skirt but not a mini", "a skirt", "a mini"),
        ("no lace, no silk, no wool", "", "lace, silk, wool"),
        ("no red but something blue", "something blue", "red"),
        # or with a wish that a preposition opens
        (
            "a dress without any print for a wedding",
            "a dress for a wedding",
            "any print",
        ),
        ("boots with no heels in brown", "boots with in brown", "heels"),
        ("no lace for work without wool in summer", "for work in summer", "lace wool"),
        # the words that negate
        ("a bag, nothing yellow", "a bag", "yellow"),
        ("a bag, anything but yellow", "a bag", "yellow"),
        ("a bag; anything except yellow", "a bag", "yellow"),
        ("a bag, not too big", "a bag", "big"),
        ("a bag, never leather", "a bag", "leather"),
        ("a bag, please avoid leather", "a bag", "leather"),
        ("a bag, not a fan of leather", "a bag", "leather"),
        ("a bag, rather than a backpack", "a bag", "a backpack"),
        ("a bag other than leather", "a bag", "leather"),
        ("a bag, I don't want leather", "a bag, I", "leather"),
        ("a bag, I dont like leather", "a bag, I", "leather"),
        ("a bag, I do not like leather", "a bag, I", "leather"),
        ("a bag, I can't stand leather", "a bag, I", "leather"),
        ("a bag, I hate leather", "a bag, I", "leather"),
        ("a bag, I'm allergic to leather", "a bag, I'm", "leather"),
        ("a bag, sick of leather", "a bag", "leather"),
        # they may stand behind
        ("keep sequins away from me, I want wool", "I want wool", "sequins"),
        ("please keep sequins away from me", "", "sequins"),
        ("lace does nothing for me, silk does", "silk does", "lace"),
        ("a top, sequins are out", "a top", "sequins"),
        ("a top, polyester is a no", "a top", "polyester"),
        ("a top, ruffles aren't my thing", "a top", "ruffles"),
        (
            "a top. I always push up long sleeves, so not those",
            "a top",
            "I always push up long sleeves",
        ),
        ("so not those", "so", "those"),  # there is nothing to point back at
        # what only looks like a negation
        ("nothing but linen trousers", "nothing but linen trousers", ""),
        ("I can't wait to wear red", "I can't wait to wear red", ""),
        ("red, no matter the price", "red, no matter the price", ""),
        ("no more than two pockets", "no more than two pockets", ""),
        ("not only red", "not only red", ""),
        ("not sure, no lace", "not sure", "lace"),
        ("why not a dress", "why not a dress", ""),
        ("I don't mind red", "I don't mind red", ""),
        (
            "I can't wait, no lace, nothing but silk",
            *("I can't wait, nothing but silk", "lace"),
        ),
        ("a knot, a note and another nose", "a knot, a note and another nose", ""),
        # however it is written
        ("A RED DRESS, NO HEELS", "A RED DRESS", "HEELS"),
        ("Nothing But Linen", "Nothing But Linen", ""),
        ("a bag, I don’t want leather", "a bag, I", "leather"),
        ("a bag, I can’t stand leather", "a bag, I", "leather"),
        ("I can’t wait to wear red", "I can't wait to wear red", ""),
        ("  a  red\tdress,\n no   heels  ", "a red dress", "heels"),
        # nothing to find
        ("", "", ""),
        (" .,;!? ", "", ""),
        ("a red dress", "a red dress", ""),
        ("no", "", ""),
        ("ein rotes Kleid ohne Streifen", "ein rotes Kleid ohne Streifen", ""),
        ("une robe sans rayures", "une robe sans rayures", ""),
        ("赤いドレス、ヒールなし", "赤いドレス、ヒールなし", ""),
        ("👗 3.5 cm", "👗 3.5 cm", ""),
    ],
)
def test_the_wish_is_told_from_what_is_ruled_out(text, wish, refusal):
    assert split_refusals(text) == (wish, refusal)


CUES = (
    "no not n't nothing never anything but without can't so those away from me".split()
)
WORDS = (
    "a red dress heels for with in I want keep is out does wait - , . ( ) ’ 👗".split()
)


def words_of(text):
    return [word.strip(".,;:!?()[]") for word in text.split()]


@pytest.mark.parametrize("seed", range(20))
def test_no_text_is_too_odd(seed):
    draw = random.Random(seed)
    for _ in range(50):
        text = " ".join(draw.choices(CUES + WORDS, k=draw.randrange(25)))
        wish, refusal = split_refusals(text)
        assert wish == " ".join(wish.split()) and refusal == " ".join(refusal.split())
        # nothing is invented, and nothing is said twice
        left = words_of(text.replace("’", "'"))
        for word in words_of(wish) + words_of(refusal):
            if word:
                left.remove(word)
        noise = "".join(chr(draw.randrange(1, 0x3000)) for _ in range(200))
        split_refusals(noise)


@pytest.mark.parametrize("seed", range(5))
def test_a_text_without_a_cue_is_a_wish_as_it_is(seed):
    draw = random.Random(seed)
    plain = ["a", "red", "dress", "for", "with", "wedding", "I", "want", "3.5", "👗"]
    for _ in range(50):
        words = draw.choices(plain, k=draw.randrange(1, 20))
        assert split_refusals(" ".join(words)) == (" ".join(words), "")
        commas = ", ".join(words)
        assert split_refusals(f" {commas} !") == (commas, "")
        assert split_refusals(". ".join(words)) == (commas, "")


def test_a_clause_of_many_refusals_is_split_to_its_end():
    wish, refusal = split_refusals("no lace for me " * 20)
    assert refusal == " ".join(["lace"] * 20)
    assert wish == " ".join(["for me"] * 20)


def test_a_clause_may_be_as_long_as_it_likes():
    split_refusals("no lace for me " * 2000)


@pytest.mark.parametrize("text", ["everything but heels", "all but heels"])
def test_everything_but_rules_out(text):
    assert split_refusals(text)[1] == "heels"


def test_brackets_are_a_clause():
    text = "a coat (no fur) that is warm"
    assert split_refusals(text) == ("a coat, that is warm", "fur")


@pytest.mark.parametrize("text", ["a no-iron shirt", "no-show socks"])
def test_a_name_that_begins_with_no_rules_nothing_out(text):
    assert split_refusals(text) == (text, "")


@pytest.mark.parametrize(
    "text, wish, refusal",
    [
        # the "or" before its last noun tells a list
        ("anything but jeans, lace or fur", "", "jeans, lace or fur"),
        ("no jeans, lace, or fur, a red dress", "a red dress", "jeans, lace, or fur"),
        ("neither jeans, lace nor fur", "", "jeans, lace nor fur"),
        (
            "I don't want wide jeans, lace or fur please. A bag",
            *("I, A bag", "wide jeans, lace or fur please"),
        ),
        ("keep jeans, lace or fur away from me, a bag", "a bag", "jeans, lace or fur"),
        # up to a preposition, as in a single clause
        ("no jeans, lace or fur for work", "for work", "jeans, lace or fur"),
        ("no jeans for work, lace or fur", "for work, lace or fur", "jeans"),
        # what is said of a wish is none
        ("no stripes, a red dress", "a red dress", "stripes"),
        ("no stripes, red dress", "red dress", "stripes"),
        ("no stripes, a dress or a skirt", "a dress or a skirt", "stripes"),
        ("no stripes, I need jeans or a skirt", "I need jeans or a skirt", "stripes"),
        ("no stripes, bag, a dress or skirt", "bag, a dress or skirt", "stripes"),
        ("no stripes. Jeans or lace", "Jeans or lace", "stripes"),
        ("no stripes, no lace or fur", "", "stripes, lace or fur"),
        (
            "no stripes, very wide jeans that fit well or lace",
            *("very wide jeans that fit well or lace", "stripes"),
        ),
        ("keep it simple, red or blue", "keep it simple, red or blue", ""),
    ],
)
def test_a_list_is_refused_to_its_end(text, wish, refusal):
    assert split_refusals(text) == (wish, refusal)
