"""What the stylists send for a request, and what becomes of it.

A product's appeal sums the weights of the wishes and lasting tastes that it matches;
its utility adds its popularity. A pick is the product with the highest utility plus
Gumbel noise, so products are picked with probability proportional to exp(utility).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.stylist_mini import vocabulary as words
from recbole_whisperlite.stylist_mini.catalogue import pick

if TYPE_CHECKING:
    from recbole_whisperlite.stylist_mini.intents import Intent
    from recbole_whisperlite.stylist_mini.shoppers import Shopper
    from recbole_whisperlite.stylist_mini.stock import Stock

#: Utilities, in units of the scale of a pick's Gumbel noise.
GARMENT_UTILITY = 9.0
WISH_UTILITY = 2.6
NEAR_COLOUR_UTILITY = 1.3
RULED_OUT_UTILITY = -30.0

#: A product's popularity falls with its rank as rank ** -POPULARITY (Zipf's law).
POPULARITY = 0.75

#: Relative frequency of each number of picks per request.
PICKS = {1: 12, 2: 20, 3: 26, 4: 20, 5: 13, 6: 9}

#: Label noise: the share of picks drawn uniformly from all products, and of picks for
#: which the stylist forgot what was ruled out.
BLIND = 0.03
FORGETFUL = 0.08

#: Appeal, relative to the most appealing product of the catalogue, above which a
#: product is tried or kept, and the scale of the logistic noise added to it.
TRY_FROM = -3.6
KEEP_FROM = -1.7
OUTCOME_NOISE = 1.0


def draw_popularity(rng: np.random.RandomState, n_items: int) -> np.ndarray:
    """Return every product's popularity as a utility, float64 ``[n_items]``."""
    return -POPULARITY * np.log1p(rng.permutation(n_items))


def appeal(
    stock: Stock, shopper: Shopper, intent: Intent
) -> tuple[np.ndarray, np.ndarray]:
    """Compute how well each product suits shopper and request.

    Args:
        stock (stock.Stock): The catalogue.
        shopper (shoppers.Shopper): Who makes the request.
        intent (intents.Intent): What is asked for and ruled out.

    Returns:
        tuple: The appeal before anything is ruled out, float64 ``[n_items]``, and what
        is ruled out, bool ``[n_items]``.
    """
    weights = np.zeros(len(stock.facts))
    for fact, taste in shopper.taste.items():
        if fact in stock.index:
            weights[stock.index[fact]] += taste
    for column, value in intent.wishes:
        weights[stock.index[column, value]] += WISH_UTILITY
        if column == "colour":
            for near in words.NEAR_COLOURS[value]:
                if (column, near) in stock.index:
                    weights[stock.index[column, near]] += NEAR_COLOUR_UTILITY
    suits = stock.table @ weights + GARMENT_UTILITY * stock.of(intent.garments)
    return suits, stock.matching(intent.ruled_out)


def draw_picks(
    rng: np.random.RandomState,
    suits: np.ndarray,
    ruled_out: np.ndarray,
    popularity: np.ndarray,
    sent: np.ndarray,
) -> list[tuple[int, str]]:
    """Draw a stylist's picks for one request.

    Args:
        rng (numpy.random.RandomState): The picks' random stream.
        suits, ruled_out (numpy.ndarray): As returned by :func:`appeal`.
        popularity (numpy.ndarray): float64 ``[n_items]``.
        sent (numpy.ndarray): bool ``[n_items]``, True for products this shopper was
            sent before, which are not sent again; updated in place.

    Returns:
        list of (int, str): Product index and KEEP, TRY or NOTTRY.
    """
    noisy = suits + popularity + rng.gumbel(size=len(suits))
    satisfaction = suits + RULED_OUT_UTILITY * ruled_out
    satisfaction -= satisfaction.max()
    picks = []
    for _ in range(pick(rng, PICKS)):
        mishap = rng.random_sample()
        if mishap < BLIND:
            scores = rng.random_sample(len(suits))
        elif mishap < BLIND + FORGETFUL:
            scores = noisy
        else:
            scores = noisy + RULED_OUT_UTILITY * ruled_out
        item = int(np.argmax(np.where(sent, -np.inf, scores)))
        sent[item] = True
        picks.append((item, _outcome(rng, satisfaction[item])))
    return picks


def _outcome(rng, satisfaction):
    felt = satisfaction + rng.logistic(scale=OUTCOME_NOISE)
    return "KEEP" if felt > KEEP_FROM else "TRY" if felt > TRY_FROM else "NOTTRY"
