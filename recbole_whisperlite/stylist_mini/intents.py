"""What a shopper wants at one moment, before it is put into words.

An intent is drawn from the shopper's needs and tastes and from the whole catalogue,
never from a single product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recbole_whisperlite.stylist_mini import vocabulary as words
from recbole_whisperlite.stylist_mini.catalogue import pick
from recbole_whisperlite.stylist_mini.shoppers import DAY, YEAR_BEGIN

if TYPE_CHECKING:
    from recbole_whisperlite.stylist_mini.shoppers import Shopper
    from recbole_whisperlite.stylist_mini.stock import Stock

REQUEST_WORDS = (3, 200)

#: Target number of words: log-normal with the paper's median 23 and 90th percentile 54.
MEDIAN_WORDS = 23
SPREAD_WORDS = np.log(54 / 23) / 1.2816

#: Relative frequency of requests for one garment type, two, a group (all shoes, ...) or
#: anything.
SCOPES = {"one": 11, "two": 4, "group": 3, "anything": 2}

#: Probability that a request rules something out, and the target length from which it
#: may.
BAN_CHANCE = 0.56
SHORTEST_WITH_BAN = 6
#: A ban must apply to a share of the products asked for within these bounds.
BAN_REACH = (0.03, 0.6)
#: All bans together leave at least this share of the products asked for.
LEFT_OVER = 0.35

#: First day of summer and first day after it, as days of the year from 0.
SUMMER = (120, 270)
#: Factor by which winter garments are less requested in summer, and vice versa.
UNSEASONAL = 0.4


class Intent(NamedTuple):
    """One request before it is put into words.

    ``garments`` are the types asked for (empty: anything); ``group`` is set if a whole
    group is meant, else ""; ``wishes`` are ``(column, value)``; ``bans`` are
    :class:`vocabulary.Ban`; ``length`` is the target number of words.
    """

    garments: tuple[str, ...]
    group: str
    wishes: tuple[tuple[str, str], ...]
    bans: tuple[words.Ban, ...]
    length: int

    @property
    def wished(self) -> list[str]:
        """The predicates ``column=value`` of what is asked for."""
        if self.group:
            what = [f"group={self.group}"]
        else:
            what = [f"garment={garment}" for garment in self.garments]
        return what + [f"{column}={value}" for column, value in self.wishes]

    @property
    def ruled_out(self) -> list[str]:
        """The predicates ``column=value`` of what is refused, each once."""
        return list(dict.fromkeys(p for ban in self.bans for p in ban.predicates))


def draw_intent(
    rng: np.random.RandomState, shopper: Shopper, stock: Stock, timestamp: int
) -> Intent:
    """Draw what one shopper wants at one moment.

    Args:
        rng (numpy.random.RandomState): The intents' random stream.
        shopper (shoppers.Shopper): Provides needs and tastes.
        stock (stock.Stock): The catalogue, which limits what can be wished for.
        timestamp (int): Unix seconds; decides the season.

    Returns:
        Intent: Its garments, wishes, bans and target length.
    """
    fewest, most = REQUEST_WORDS
    length = int(np.exp(rng.normal(np.log(MEDIAN_WORDS), SPREAD_WORDS)))
    # Greeting, emoji and the wishes themselves may slightly exceed the target.
    length = min(max(length, fewest), most - 10)
    garments, group = _draw_scope(rng, shopper, stock, timestamp)
    asked = stock.of(garments)
    intent = Intent(garments, group, (), (), length)
    intent = intent._replace(wishes=_draw_wishes(rng, shopper, stock, asked, intent))
    if length >= SHORTEST_WITH_BAN and rng.random_sample() < BAN_CHANCE:
        intent = intent._replace(bans=_draw_bans(rng, shopper, stock, asked, intent))
    return intent


def _draw_scope(rng, shopper, stock, timestamp):
    """Draw the garment types asked for, and the group if they are a whole group."""
    day = (timestamp - YEAR_BEGIN) // DAY
    unseasonal = "winter" if SUMMER[0] <= day < SUMMER[1] else "summer"
    chances = {
        name: chance * (UNSEASONAL if words.GARMENTS[name].season == unseasonal else 1)
        for name, chance in shopper.garments.items()
        if ("garment", name) in stock.index
    }
    scope = pick(rng, SCOPES)
    first = pick(rng, chances)
    if scope == "anything":
        return (), ""
    if scope == "group":
        group = words.GARMENTS[first].group
        return (
            tuple(g for g in words.GARMENTS if words.GARMENTS[g].group == group),
            group,
        )
    if scope == "two":
        del chances[first]
        return (first, pick(rng, chances)), ""
    return (first,), ""


def _draw_wishes(rng, shopper, stock, asked, intent):
    """Draw wishes: attributes that most products asked for have, with their values."""
    counts = {}
    for (column, value), count in zip(stock.facts, asked @ stock.table):
        if count and column in words.WISH_WEIGHTS:
            counts.setdefault(column, {})[value] = count
    weights = {
        column: words.WISH_WEIGHTS[column]
        for column, found in counts.items()
        if len(found) > 1 and sum(found.values()) > asked.sum() / 2
    }
    wishes = []
    for _ in range(min(1 + rng.poisson(intent.length / 22), 5, len(weights))):
        column = pick(rng, weights)
        del weights[column]
        liked = {
            value: count * np.exp(shopper.taste.get((column, value), 0))
            for value, count in counts[column].items()
        }
        wishes.append((column, pick(rng, liked)))
    return tuple(wishes)


def _draw_bans(rng, shopper, stock, asked, intent):
    """Draw bans that apply to some products asked for, preferably to disliked ones."""
    wished = {column for column, _ in intent.wishes if column != "colour"}
    least, most = BAN_REACH
    chances = {}
    reaches = asked @ stock.bans / asked.sum()
    for number, (ban, reach) in enumerate(zip(words.BANS, reaches)):
        column = ban.predicates[0].split("=")[0]
        idle = column == "garment" and len(intent.garments) in (1, 2)
        if idle or column in wished or not least <= reach <= most:
            continue
        if set(ban.predicates) & set(intent.wished):
            continue
        tastes = [shopper.taste.get(tuple(p.split("=")), 0) for p in ban.predicates]
        mean_taste = sum(tastes) / len(tastes)
        chances[number] = words.BAN_WEIGHTS[column] * np.exp(-mean_taste)
    bans, left = [], asked.copy()
    for _ in range(pick(rng, {1: 6, 2: 3, 3: 1})):
        if not chances:
            break
        number = pick(rng, chances)
        del chances[number]
        still_left = left & (stock.bans[:, number] == 0)
        if still_left.sum() >= LEFT_OVER * asked.sum():
            left = still_left
            bans.append(words.BANS[number])
    return tuple(bans)
