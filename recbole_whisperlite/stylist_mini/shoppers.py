"""The shoppers: their lasting tastes, and when they make requests."""

from typing import NamedTuple

import numpy as np

from recbole_whisperlite.stylist_mini import vocabulary as words
from recbole_whisperlite.stylist_mini.catalogue import pick

REQUESTS_PER_SHOPPER = (3, 12)

#: 2025-01-01 00:00 UTC; requests are spread over the year that follows.
YEAR_BEGIN = 1_735_689_600
DAY = 86_400

#: Utilities of tastes, in units of the scale of a pick's noise (see :mod:`picks`).
LIKED = {
    "colour": 1.4,
    "style": 1.5,
    "pattern": 0.9,
    "fit": 1.2,
    "heel": 1.2,
    "line": 1.8,
    "price_band": 1.2,
}
DISLIKED = {"colour": -2.0, "pattern": -1.6, "material": -1.6, "price_band": -1.2}


class Shopper(NamedTuple):
    """One shopper.

    ``taste`` maps ``(column, value)`` to a utility that applies to every request,
    stated or not; ``garments`` maps garment types to the relative frequency of requests
    for them.
    """

    user_id: str
    taste: dict[tuple[str, str], float]
    garments: dict[str, float]


def make_shoppers(rng: np.random.RandomState, n_users: int) -> list[Shopper]:
    """Draw the shoppers.

    Each has a style. Together with chance it determines the favourite colours, pattern
    and lines: shoppers of the same style resemble one another.

    Returns:
        list of Shopper: ``n_users`` of them.
    """
    width = len(str(n_users))
    return [
        Shopper(f"u{number:0{width}d}", _draw_taste(rng), _draw_garments(rng))
        for number in range(1, n_users + 1)
    ]


def _draw_taste(rng):
    taste = {}
    style = pick(rng, tuple(words.STYLES))
    colours, patterns = words.STYLES[style]
    taste["style", style] = LIKED["style"]

    ranking = rng.permutation(list(words.SHADES)).tolist()
    favourites = [pick(rng, colours), pick(rng, colours), ranking[0]]
    refused = [colour for colour in ranking if colour not in favourites][:2]
    for colour in favourites:
        taste["colour", colour] = LIKED["colour"]
    for colour in refused:
        taste["colour", colour] = DISLIKED["colour"]

    own_lines = [line for line, (kind, _) in words.LINES.items() if kind == style]
    for line in (pick(rng, own_lines), pick(rng, tuple(words.LINES))):
        taste["line", line] = LIKED["line"]

    favourite = pick(rng, patterns)
    taste["pattern", favourite] = LIKED["pattern"]
    pattern = pick(rng, tuple(words.PATTERN_SHARES))
    if pattern not in ("plain", favourite):
        taste["pattern", pattern] = DISLIKED["pattern"]

    taste["fit", pick(rng, ("tight", "regular", "loose"))] = LIKED["fit"]
    taste["heel", pick(rng, {"flat": 3, "low": 2, "high": 2})] = LIKED["heel"]
    if rng.random_sample() < 0.3:
        material = pick(rng, ("wool", "leather", "polyester", "silk"))
        taste["material", material] = DISLIKED["material"]
    band = pick(rng, {"low": 4, "mid": 4, "high": 2})
    taste["price_band", band] = LIKED["price_band"]
    if band != "mid":
        other = {"low": "high", "high": "low"}[band]
        taste["price_band", other] = DISLIKED["price_band"]
    return taste


def _draw_garments(rng):
    shares = {name: garment.share for name, garment in words.GARMENTS.items()}
    return {name: share * rng.gamma(1.5) for name, share in shares.items()}


def make_visits(
    rng: np.random.RandomState, n_users: int, n_requests: int
) -> list[tuple[int, int]]:
    """Draw when which shopper makes a request.

    Returns:
        list of (int, int): ``(timestamp in Unix seconds, shopper's index)`` of every
        request, ordered by time. Each shopper makes 3 to 12, on different days.
    """
    fewest, most = REQUESTS_PER_SHOPPER
    counts = np.full(n_users, fewest)
    activity = rng.gamma(0.6, size=n_users)
    while (left := n_requests - counts.sum()) > 0:
        chance = np.where(counts < most, activity, 0)
        counts += rng.multinomial(left, chance / chance.sum())
        counts = np.minimum(counts, most)

    visits = []
    for shopper, count in enumerate(counts):
        days = rng.choice(365, size=count, replace=False)
        hours = np.clip(rng.normal(18, 4, size=count), 0, 23.99)
        seconds = YEAR_BEGIN + days * DAY + (hours * 3600).astype(int)
        visits += [(int(second), shopper) for second in seconds]
    return sorted(visits)
