"""The products: their attributes and the copywriter's texts about them.

They are drawn before any shopper exists, from their own random stream, so no text can
depend on who was sent what.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

from recbole_whisperlite.stylist_mini import vocabulary as words

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

DESCRIPTION_WORDS = (9, 50)

#: How often a product has its line's style and, independently, its line's price band.
LINE_IS_TYPICAL = 0.65
#: A style's typical colours and patterns are this many times as frequent in products of
#: that style, and so are a garment's usual colours in that garment.
PREFERENCE = 3.0


def pick(rng: np.random.RandomState, choices: dict[T, float] | Sequence[T]) -> T:
    """Draw one key of ``{value: relative frequency}``, or one element of a sequence."""
    if not isinstance(choices, dict):
        return choices[rng.randint(len(choices))]
    totals = list(accumulate(choices.values()))
    return list(choices)[bisect(totals, rng.random_sample() * totals[-1])]


def make_products(rng: np.random.RandomState, n_items: int) -> list[dict[str, str]]:
    """Draw the catalogue.

    Args:
        rng (numpy.random.RandomState): The catalogue's random stream.
        n_items (int): Number of products.

    Returns:
        list of dict: One per product, every value a str: ``item_id``, ``title``,
        ``description``, ``shade``, and :data:`vocabulary.ATTRIBUTES` ("" if an
        attribute does not apply).
    """
    width = len(str(n_items))
    products = []
    for number in range(1, n_items + 1):
        product = _draw_attributes(rng)
        product["shade"] = pick(rng, tuple(words.SHADES[product["colour"]]))
        noun = pick(rng, words.GARMENTS[product["garment"]].product_nouns)
        material = pick(rng, words.MATERIAL_WORDS[product["material"]])
        product["title"] = _title(rng, product, noun, material)
        product["description"] = _description(rng, product, noun, material)
        product["item_id"] = f"p{number:0{width}d}"
        products.append(product)
    return products


def _draw_attributes(rng):
    name = pick(rng, {key: garment.share for key, garment in words.GARMENTS.items()})
    garment = words.GARMENTS[name]
    product = dict.fromkeys(words.ATTRIBUTES, "")
    product.update(
        group=garment.group, garment=name, line=pick(rng, tuple(words.LINES))
    )
    for column, options in garment.options.items():
        product[column] = pick(rng, options)

    line_style, line_price = words.LINES[product["line"]]
    typical = rng.random_sample(2) < LINE_IS_TYPICAL
    style = line_style if typical[0] else pick(rng, tuple(words.STYLES))
    product["style"] = style
    product["price_band"] = line_price if typical[1] else pick(rng, words.PRICE_BANDS)

    own_colours, own_patterns = words.STYLES[style]
    usual_colours = words.USUAL_COLOURS.get(name, ())
    product["colour"] = pick(
        rng, _prefer(_prefer(words.COLOUR_SHARES, own_colours), usual_colours)
    )
    plain = name in words.ALWAYS_PLAIN or product["material"] in words.PLAIN_MATERIALS
    product["pattern"] = (
        "plain" if plain else pick(rng, _prefer(words.PATTERN_SHARES, own_patterns))
    )
    product["season"] = _season(rng, garment, product)
    return product


def _prefer(shares, own):
    return {
        value: share * (PREFERENCE if value in own else 1)
        for value, share in shares.items()
    }


def _season(rng, garment, product):
    """Draw a season: that of the garment, else what material or sleeves suggest."""
    if garment.season != "all":
        return pick(rng, {garment.season: 4, "all": 1})
    if garment.group == "accessories":
        return "all"
    if product["material"] in ("wool", "cashmere", "suede"):
        return pick(rng, {"winter": 3, "all": 2})
    if product["material"] in ("linen", "straw") or product["sleeve"] == "sleeveless":
        return pick(rng, {"summer": 3, "all": 2})
    return pick(rng, {"all": 4, "summer": 1, "winter": 1})


def _title(rng, product, noun, material):
    parts = [product["line"]]
    if rng.random_sample() < 0.6:
        parts.append(product["shade"])
    if rng.random_sample() < 0.3:
        parts.append(material)
    return " ".join([*parts, noun])


def _description(rng, product, noun, material):
    """Write an opening with details, then remarks and fillers in random order."""
    fillers = rng.permutation(words.FILLERS).tolist()
    optional = _tell(rng, product, words.REMARKS)
    optional += [fillers.pop() for _ in range(rng.randint(3))]
    rng.shuffle(optional)

    least, most = DESCRIPTION_WORDS
    text = _opening(rng, product, noun, material)
    while optional or len(text.split()) < least:
        longer = f"{text} {optional.pop() if optional else fillers.pop()}"
        if len(longer.split()) <= most:
            text = longer
    return text


def _opening(rng, product, noun, material):
    shade = product["shade"]
    pair = product["garment"] in words.PAIRS
    text = pick(rng, words.OPENINGS).format(
        a_noun=_with_article(noun, pair),
        a_shade_noun=_with_article(f"{shade} {noun}", pair),
        shade=shade,
        material=material,
        line=product["line"],
    )
    details = _tell(rng, product, words.DETAILS)
    rng.shuffle(details)
    if details:
        text += " with " + join(details, "and")
    return text[0].upper() + text[1:] + "."


def _with_article(phrase, pair):
    if pair:
        return f"a pair of {phrase}"
    return f"an {phrase}" if phrase[0].lower() in "aeiou" else f"a {phrase}"


def _tell(rng, product, table):
    """Return phrases for those attributes in ``table`` that the copywriter mentions."""
    phrases = []
    for column, choices in table.items():
        value = product[column]
        unremarkable = (column, value) in words.UNREMARKABLE
        chance = words.UNREMARKABLE_TOLD if unremarkable else words.TOLD[column]
        if value and rng.random_sample() < chance:
            phrases.append(pick(rng, choices[value]))
    return phrases


def join(parts: Sequence[str], conjunction: str) -> str:
    """Join at least one part: ``["a", "b", "c"]``, ``"and"`` give ``"a, b and c"``."""
    *first, last = parts
    return f"{', '.join(first)} {conjunction} {last}" if first else last
