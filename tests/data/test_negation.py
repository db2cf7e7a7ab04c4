"""What requests ask for and what they rule out."""

import random

import pytest

from recbole_whisperlite.data.negation import (
    names_of,
    split_refusals,
    unread_language,
)


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


GERMAN = """
ein rotes Kleid ohne Streifen | ein rotes Kleid | Streifen
ein Sommerkleid, keine Streifen oder Punkte | ein Sommerkleid | Streifen oder Punkte
Turnschuhe, aber nicht weiß | Turnschuhe | weiß
eine Jacke, nicht zu lang, für die Arbeit | eine Jacke, für die Arbeit | lang
ein Mantel, bitte keine Wolle | ein Mantel | Wolle
Schuhe ohne Absatz für den Alltag | Schuhe für den Alltag | Absatz
keine Jeans, Pullover oder Spitze, ein Kleid | ein Kleid | Jeans, Pullover oder Spitze
ein Kleid, Spitze mag ich nicht | ein Kleid | Spitze
eine Bluse, Rüschen gehen gar nicht | eine Bluse | Rüschen
ein Hemd, auf keinen Fall kariert | ein Hemd | kariert
nichts als Leinen | nichts als Leinen |
ein Kleid, nicht nur für den Sommer | ein Kleid, nicht nur für den Sommer |
eine Tasche, alles außer Gelb | eine Tasche | Gelb
ein Pullover, weder Streifen noch Punkte | ein Pullover | Streifen noch Punkte
einen Rock statt einer Hose | einen Rock | einer Hose
warum nicht ein Kleid | warum nicht ein Kleid |
"""
FRENCH = """
une robe rouge sans dentelle | une robe rouge | dentelle
une robe, pas de rayures ni de pois | une robe | rayures ni de pois
des baskets, mais pas blanches | des baskets | blanches
un manteau pas trop long pour le travail | un manteau pour le travail | long
je n’aime pas le cuir, un sac en toile | un sac en toile | cuir
une jupe, surtout pas d'imprimé | une jupe | imprimé
un pull, tout sauf jaune | un pull | jaune
des bottes sans talons en marron | des bottes en marron | talons
une chemise, jamais de polyester | une chemise | polyester
un pantalon, pourquoi pas en lin | un pantalon, pourquoi pas en lin |
sans doute une robe bleue | sans doute une robe bleue |
je ne veux pas de fourrure, un manteau chaud | un manteau chaud | fourrure
un sac, le cuir très peu pour moi | un sac | le cuir
un jean au lieu d'une jupe | un jean | une jupe
"""
SPANISH = """
un vestido rojo sin encaje | un vestido rojo | encaje
un vestido, nada de rayas ni lunares | un vestido | rayas ni lunares
zapatillas, pero no blancas | zapatillas | blancas
un abrigo no muy largo para el trabajo | un abrigo para el trabajo | largo
no me gusta el cuero, busco un bolso de tela | busco un bolso de tela | cuero
una blusa, el encaje no me gusta | una blusa | el encaje
un bolso, todo menos amarillo | un bolso | amarillo
botas sin tacón en marrón | botas en marrón | tacón
una camisa que no sea de poliéster | una camisa | poliéster
no quiero nada de piel, una chaqueta | una chaqueta | piel
un vestido, no solo para el verano | un vestido, no solo para el verano |
una falda en vez de un pantalón | una falda | un pantalón
sin duda un vestido azul | sin duda un vestido azul |
"""
#: Languages whose refusals are not read; Italian and Portuguese have a "no" and a "nada".
OTHERS = """
vestito rosso, non troppo lungo, no pizzo
jurk zonder strepen, niet te lang
vestido vermelho sem renda, nada de poliéster
czerwona sukienka bez koronki, nie za długa
赤いワンピース、レースなし
红色连衣裙，不要条纹
"""


@pytest.mark.parametrize("row", filter(None, (GERMAN + FRENCH + SPANISH).split("\n")))
def test_what_is_ruled_out_is_read_in_four_languages(row):
    text, wish, refusal = map(str.strip, row.split("|"))
    assert split_refusals(text) == (wish, refusal)


@pytest.mark.parametrize("text", OTHERS.strip().split("\n"))
def test_other_languages_are_left_alone(text):
    assert split_refusals(text) == (text, "")


def test_requests_in_a_language_that_is_not_read_are_known():
    chinese = [f"红色连衣裙，不要条纹 {n}" for n in range(30)]
    italian = [f"un vestito rosso per il mare, non troppo lungo {n}" for n in range(30)]
    english = [f"a red dress for the sea, not too long {n}" for n in range(300)]
    assert unread_language(chinese) == "zh"
    assert unread_language(italian + english[:30]) == "it"
    assert unread_language(italian + english) is None  # few
    assert unread_language(["Ladieswear Dresses Ladies Dress", "Boots"]) is None
    assert unread_language([]) is None


@pytest.mark.parametrize(
    "text, wish, refusal",
    [
        # nobody asks for nothing
        ("no collar shirt", "shirt", "collar"),
        ("not too long dress", "dress", "long"),
        ("never too many black dresses", "never too many black dresses", ""),
        # but these say what they do not want
        ("no heels please", "", "heels please"),
        ("no stripes or dots", "", "stripes or dots"),
        ("a linen dress. No lace tops", "a linen dress", "lace tops"),
    ],
)
def test_what_is_left_of_a_request_is_its_noun(text, wish, refusal):
    assert split_refusals(text) == (wish, refusal)


def test_names_of_products_are_no_refusals():
    names = names_of(
        ["No show socks, black", "a shirt, no collar", "Nothing Blue jeans"]
    )
    assert names == {"no show", "nothing blue"}
    assert split_refusals("black no show socks, no wool", names) == (
        *("black no show socks", "wool"),
    )
    assert split_refusals("NO SHOW SOCKS", names) == ("NO SHOW SOCKS", "")
    assert split_refusals("a dress, no showy lace", names) == ("a dress", "showy lace")
