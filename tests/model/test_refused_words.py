"""Which words of products a refusal means, beside plain loops."""

import math

import numpy as np
import pytest
import torch
from close import assert_close_relative

from recbole_whisperlite.model import refused_words
from recbole_whisperlite.model.refused_words import RefusedWords
from recbole_whisperlite.model.terms import Candidates

ITEMS = ["", *["slim fit jeans", "loose fit jeans", "slim dress", "loose dress"] * 3]
# text: what it asks for, what it rules out, and what was chosen for it
ASKED = [
    ("clingy jeans", "", [1, 5, 9] * 20),
    ("wide jeans", "", [2, 6, 10] * 20),
    ("clingy dress", "", [3, 7, 11] * 20),
    ("wide dress", "", [4, 8, 12] * 20),
    ("jeans", "skinny", [2, 6, 10] * 20),
    ("dress", "skinny", [4, 8, 12] * 20),
]
WISHES, REFUSALS = (["", *(each[part] for each in ASKED)] for part in (0, 1))
REQUEST = np.repeat(np.arange(1, 7), 60)
ITEM = np.concatenate([each[2] for each in ASKED])


def made(refusals=REFUSALS, items=ITEMS, request=REQUEST, item=ITEM, wishes=WISHES):
    return RefusedWords(wishes, refusals, items, request, item)


def score(part, request, items=range(len(ITEMS))):
    items = torch.tensor([*items])
    candidates = Candidates(items, int(items.max()) + 1)
    return [each[0].tolist() for each in part(torch.tensor([request]), candidates)]


def table(part, name, word, item_word):
    row, column = part.refused_words.index(word), part.item_words.index(item_word)
    return part.tables[("meant", "avoided").index(name)][row, column]


def plain_translation():
    """IBM model 1 with an empty word, in loops."""
    pairs = [
        (WISHES[r].split() + [None], ITEMS[i].split()) for r, i in zip(REQUEST, ITEM)
    ]
    words_of_items = sorted({t for _, text in pairs for t in text})
    n = sum(len(text) for _, text in pairs)
    share = {t: sum(text.count(t) for _, text in pairs) / n for t in words_of_items}

    def shares(times):
        return {
            w: {
                t: (times[w].get(t, 0) + 10 * share[t]) / (sum(times[w].values()) + 10)
                for t in words_of_items
            }
            for w in times
        }

    times = {}
    for wish, text in pairs:
        for w in wish:
            for t in text:
                times.setdefault(w, {}).setdefault(t, 0)
                times[w][t] += 1
    translation = shares(times)
    for _ in range(3):
        times = {w: {} for w in translation}
        for wish, text in pairs:
            for t in text:
                total = sum(translation[w][t] for w in wish)
                for w in wish:
                    part = translation[w][t] / total
                    times[w][t] = times[w].get(t, 0) + part
        translation = shares(times)
    return translation, share


def test_a_word_of_wishes_means_the_words_of_what_answers_them():
    translation, share = plain_translation()
    part = made()
    for w in part.refused_words:
        for t in part.item_words:
            p = translation[w][t] if w in translation else 0
            expected = math.log(0.7 * p / share[t] + 0.3) - 0.7
            expected = max(expected, 0) if w in translation else 0
            assert table(part, "meant", w, t) == pytest.approx(expected, rel=1e-4)
    assert table(part, "meant", "clingy", "slim") > 0.2
    assert table(part, "meant", "clingy", "loose") == 0


def test_what_is_chosen_less_than_its_wish_expects_is_avoided():
    part = made()
    # nobody who ruled out "skinny" chose "slim", of which jeans and dresses have half
    assert table(part, "avoided", "skinny", "slim") > 0.2
    assert table(part, "avoided", "skinny", "loose") == 0
    assert table(part, "avoided", "skinny", "jeans") == 0
    # as a word of wishes "skinny" is unknown
    assert table(part, "meant", "skinny", "slim") == 0


def test_the_score_is_that_of_the_words_of_the_refusal_and_of_the_product():
    part = made(refusals=["", "", "", "", "", "skinny", "skinny, or clingy"])
    meant, avoided = score(part, 6)
    for item, text in enumerate(ITEMS):
        pairs = [(w, t) for w in ("skinny", "or", "clingy") for t in set(text.split())]
        of_tables = [
            -sum(table(part, name, w, t) for w, t in pairs)
            for name in ("meant", "avoided")
        ]
        assert [meant[item], avoided[item]] == pytest.approx(of_tables, rel=1e-5)
    assert min(meant) < -0.2 and min(avoided) < -0.2
    # some items only, in another order, and requests that rule out nothing
    some = [each[1:4] for each in (meant, avoided)]
    assert_close_relative(score(part, 6, [3, 2, 1]), [each[::-1] for each in some])
    assert score(part, 1) == [[0.0] * len(ITEMS)] * 2


def test_more_choices_than_are_read_are_drawn(monkeypatch):
    every = made()
    monkeypatch.setattr(refused_words, "MOST_CHOICES", 200)
    some, again = made(), made()
    for one, other, of_every in zip(some.tables, again.tables, every.tables):
        assert (one != other).nnz == 0 and (one != of_every).nnz > 0
    assert table(some, "avoided", "skinny", "slim") > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"items": [""] * len(ITEMS)},
        {"wishes": [""] * 7},
        {"refusals": [""] * 7},
        {"request": REQUEST * 0},
    ],
)
def test_where_nothing_is_said_nothing_is_taken_off(changes):
    if "refusals" not in changes:
        changes |= {"refusals": ["", "", "", "", "", "clingy", "clingy"]}
    found = score(made(**changes), 5)
    if "wishes" not in changes:
        assert not np.any(found)
    assert np.isfinite(found).all()


def test_a_checkpoint_reads_other_texts_by_its_own_words():
    part = made()
    other = made(
        refusals=["", "skinny", "baggy"],
        items=["", "loose dress", "slim top", "baggy top"],
        wishes=["", "top", "top"],
        request=np.array([1, 2]),
        item=np.array([1, 2]),
    )
    other.load_state_dict(part.state_dict())
    assert other.refused_words == part.refused_words
    for one, its in zip(part.tables, other.tables):
        assert (one != its).nnz == 0
    avoided = score(other, 1, range(4))[1]
    slim = table(part, "avoided", "skinny", "slim")
    assert avoided == pytest.approx([0, 0, -slim, 0]) and slim > 0.2
    assert score(other, 2, range(4)) == [[0.0] * 4] * 2  # "baggy" is unknown
