"""A large shop, made up: for measurements of size, not of quality.

Products have a colour, a material, a kind and a brand, drawn by Zipf's law, and so is how
often each is chosen. A request names some of what the product has that is chosen for it,
so requests reveal attributes of their targets: nothing is to be learned from a metric here.

    python tests/big_shop.py dataset/big --items 200000 --users 200000 --interactions 2000000
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

WORDS = {"colour": 40, "material": 120, "kind": 800, "brand": 5000}
#: Which attributes a request names, and how it is said.
PHRASES = (
    (("colour", "kind"), "a {} {} please"),
    (("material", "kind"), "i need something in {}, a {}"),
    (("kind", "brand"), "{} by {}"),
    (("colour", "material", "kind"), "looking for a {} {} {}"),
)
_BLOCK = 1_000_000  # lines written at once


def write_big_shop(folder, n_items, n_users, n_interactions, seed=0, per_request=2):
    """Write ``.inter``, ``.request`` and ``.item`` of a shop to its own folder.

    Args:
        folder (str or Path): The dataset's folder; its name is the dataset's.
        n_items, n_users, n_interactions (int): The size. All of the items are in the
            catalogue; some are never chosen.
        seed (int): Of all that is drawn.
        per_request (int): The number of interactions of each request.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / folder.name
    rng = np.random.default_rng(seed)
    values = {
        name: _zipf(rng, count, n_items, 0.8).astype(np.int32)
        for name, count in WORDS.items()
    }
    lines = _lines("i{}\t{} {} {} by {}", np.arange(n_items), *_words(values, None))
    _write(home.with_suffix(".item"), "item_id:token\ttitle:token", n_items, lines)

    n_requests = n_interactions // per_request
    item = _zipf(rng, n_items, n_interactions, 0.9).astype(np.int32)
    item = rng.permutation(n_items).astype(np.int32)[item]
    user = rng.integers(n_users, size=n_requests, dtype=np.int32)
    time = np.sort(rng.integers(10**9, size=n_requests))
    phrase = rng.integers(len(PHRASES), size=n_requests)
    first = item[::per_request][:n_requests]
    _write(
        home.with_suffix(".request"),
        "request_id:token\trequest:token",
        n_requests,
        _requests(values, first, phrase),
    )
    of = np.repeat(np.arange(n_requests), per_request)
    _write(
        home.with_suffix(".inter"),
        "user_id:token\titem_id:token\trequest_id:token\ttimestamp:float",
        len(of),
        _lines("u{}\ti{}\tr{}\t{}", user[of], item[: len(of)], of, time[of]),
    )


def _zipf(rng, n, size, exponent):
    """Draw numbers below ``n``; the k-th is drawn in proportion to (k + 10) ** -exponent."""
    weight = np.cumsum((np.arange(n) + 10.0) ** -exponent)
    return np.searchsorted(weight, rng.random(size) * weight[-1])


def _words(values, rows):
    names = {
        name: np.array([f"{name}{k}" for k in range(n)]) for name, n in WORDS.items()
    }
    chosen = slice(None) if rows is None else rows
    return [names[name][values[name][chosen]] for name in WORDS]


def _lines(pattern, *columns):
    def block(begin, end):
        return map(pattern.format, *(column[begin:end].tolist() for column in columns))

    return block


def _requests(values, item, phrase):
    names = {name: [f"{name}{k}" for k in range(n)] for name, n in WORDS.items()}

    def block(begin, end):
        for number in range(begin, end):
            fields, text = PHRASES[phrase[number]]
            words = (names[field][values[field][item[number]]] for field in fields)
            yield f"r{number}\t{text.format(*words)}"

    return block


def _write(path, header, n, block):
    with open(path, "w") as file:
        file.write(header + "\n")
        for begin in tqdm(range(0, n, _BLOCK), path.name, disable=None):
            file.write("\n".join(block(begin, min(begin + _BLOCK, n))) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name in ("items", "users", "interactions"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_big_shop(args.folder, args.items, args.users, args.interactions, args.seed)
