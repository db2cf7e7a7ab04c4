"""What the stylists send for a request, and what becomes of it.

A product's appeal is the sum of what it fulfils of the wishes and of the shopper's
lasting tastes; its utility adds its popularity. A pick is the product with the highest
utility plus Gumbel noise: products are picked in proportion to exp(utility).
"""

import numpy as np

from recbole_whisperlite.stylist_mini import vocabulary as words
from recbole_whisperlite.stylist_mini.catalogue import pick

#: In units of the noise of one pick.
GARMENT_UTILITY = 9.0
WISH_UTILITY = 2.6
NEAR_COLOUR_UTILITY = 1.3
RULED_OUT_UTILITY = -30.0

#: A product's popularity falls with its rank as rank ** -POPULARITY (Zipf's law).
POPULARITY = 0.75

#: Picks per request, and their relative frequency.
PICKS = {1: 12, 2: 20, 3: 26, 4: 20, 5: 13, 6: 9}

#: Label noise. This often a pick is any product, drawn blindly, and this often one for
#: which the stylist forgot what was ruled out.
BLIND = 0.03
FORGETFUL = 0.08

#: Appeal, relative to the most appealing product of the catalogue, from which a product
#: is tried and kept, and the scale of the logistic noise on it.
TRY_FROM = -3.6
KEEP_FROM = -1.7
OUTCOME_NOISE = 1.0


def draw_popularity(rng, n_items):
    """Return float64 ``[n_items]``: every product's popularity as a utility."""
    return -POPULARITY * np.log1p(rng.permutation(n_items))


def appeal(stock, shopper, intent):
    """How well each product suits shopper and request.

    Args:
        stock (stock.Stock): The catalogue.
        shopper (shoppers.Shopper): Whose tastes count.
        intent (intents.Intent): What is asked for and ruled out.

    Returns:
        tuple: float64 ``[n_items]`` and bool ``[n_items]``: the appeal, before anything
        is ruled out, and what is ruled out.
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


def draw_picks(rng, suits, ruled_out, popularity, sent):
    """Draw a stylist's picks for one request.

    Args:
        rng (numpy.random.RandomState): The picks' random stream.
        suits, ruled_out (numpy.ndarray): As returned by :func:`appeal`.
        popularity (numpy.ndarray): float64 ``[n_items]``.
        sent (numpy.ndarray): bool ``[n_items]``, what this shopper was sent before; it
            is not sent again, and is updated here.

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
