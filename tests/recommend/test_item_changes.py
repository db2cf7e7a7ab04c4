"""Items that come and go, choices that are recorded, and readers meanwhile."""

import dataclasses
import threading
import time

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import random

import shops
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.counts import RequestCounts
from recbole_whisperlite.recommend.recommender import Recommender
from recbole_whisperlite.recommend.users import Users


@pytest.fixture(params=shops.KINDS)
def any_shop(request):
    return shops.shop(request.param)


@pytest.fixture
def shop():
    return shops.shop()


def ids(answer):
    return [each.item for each in answer]


def saved_and_loaded(shop, folder):
    shop.save(folder)
    return Recommender.load(folder)


NEW = pd.DataFrame(
    {
        "item_id": ["n1", 77, "n 3"],
        "title": ["red winter boots", "green dress", "black winter coat"],
        "price": [80, None, 12.5],
        "category": ["shoes", "dress", pd.NA],
        "tags": [["winter", "sale"], "summer", None],
    }
)


# adding


def test_added_items_are_found_at_once_and_after_loading(any_shop, tmp_path):
    any_shop.add_items(NEW)
    assert len(any_shop) == 15
    found = any_shop.recommend("red winter boots", k=20)
    assert {"n1", "77", "n 3"} <= {*ids(found)}
    assert {e.item: e.text for e in found}["77"] == "green dress"
    sale = any_shop.recommend("x", where={"tags": "sale", "price": (70, None)}, k=20)
    assert sorted(ids(sale)) == ["i3", "n1"]
    assert "n 3" in ids(any_shop.recommend("x", where={"category": ""}))
    assert "77" not in ids(any_shop.recommend("x", where={"price": (None, None)}))
    shops.assert_same_answers(
        shops.answers(any_shop),
        shops.answers(saved_and_loaded(any_shop, tmp_path / "m")),
    )


def test_a_text_that_is_in_the_catalogue_twice_scores_alike():
    shop = shops.shop("WhisperLite")
    shop.add_items(NEW)
    scores = {e.item: e.score for e in shop.recommend("coat", k=20)}
    assert scores["n 3"] == pytest.approx(scores["i2"], abs=1e-5)


@pytest.mark.parametrize(
    "items",
    [
        [{"item_id": "n1", "title": "hat"}, {"item_id": "n2", "title": "red hat"}],
        ({"item_id": each, "title": "hat"} for each in ("n1", "n2")),
        {"item_id": ["n1", "n2"], "title": ["hat", "cap"]},
    ],
    ids=["dicts", "generator", "columns"],
)
def test_items_come_in_other_forms(shop, items):
    shop.add_items(items)
    assert {"n1", "n2"} <= {*ids(shop.recommend("hat", k=20))}


@pytest.mark.parametrize("nothing", [[], pd.DataFrame(), NEW[:0]])
def test_adding_nothing_changes_nothing(shop, nothing):
    state = shop._state
    shop.add_items(nothing)
    assert shop._state is state


def item(**columns):
    return [
        {"item_id": "n0", "title": "hat"},
        {"item_id": "n1", "title": "hat", **columns},
    ]


WRONG = [
    (item(item_id="n0"), "row 1: the item 'n0' is already in the frame"),
    (item(item_id="i0"), "row 1: the item 'i0' is already in the catalogue"),
    (item(item_id=10), "row 1: the item '10' is already in the catalogue"),
    (item(item_id=""), "row 1: the item_id is empty"),
    (item(item_id=None), "row 1: the item_id is empty"),
    (item(item_id=float("nan")), "row 1: the item_id is empty"),
    (item(item_id=True), "row 1: item_id must be text or a whole number, not True"),
    (item(item_id="\ud800"), "row 1: item_id must be text"),
    (item(title=""), "row 1: the item 'n1' has no text; fill one of title"),
    (item(title=" \t "), "row 1: the item 'n1' has no text"),
    (item(title=float("nan")), "row 1: the item 'n1' has no text"),
    (item(title={"a": 1}), "row 1: title must be a list of values, or text, not"),
    (item(category=["a"]), "row 1: category must be text"),
    (item(category=pd.Timestamp("2020")), "row 1: category must be text"),
    (item(price="cheap"), "row 1: price must be a number, not 'cheap'"),
    (item(price=float("inf")), "row 1: price must be a number, not inf"),
    (item(price=10**400), "row 1: price must be a number"),
    (item(price=True), "row 1: price must be a number, not True"),
    (item(tags=[None]), "row 1: tags must be a list of values"),
    (item(colour="red"), "no column 'colour'.*The columns are item_id, title"),
    (item(titel="red"), "no column 'titel'.*Did you mean 'title'"),
    ([{"title": "hat"}], "must be a column 'item_id'"),
    (pd.DataFrame([["n", "m"]], columns=["item_id"] * 2), "no column twice"),
    (pd.DataFrame([["n"]]), "no column '0'"),
    ("hat", "takes a DataFrame or a list of dicts"),
    (5, "takes a DataFrame or a list of dicts"),
    (None, "takes a DataFrame or a list of dicts"),
]


@pytest.mark.parametrize("items, message", WRONG, ids=lambda value: repr(value)[:60])
def test_a_wrong_item_is_named_and_nothing_is_added(shop, items, message):
    state = shop._state
    with pytest.raises(UserError, match=message):
        shop.add_items(items)
    assert shop._state is state


def test_pictures_of_new_items_count(tmp_path):
    vectors = shops.picture_vectors()
    shop = shops.shop("WhisperLite", pictures=vectors)
    asked = []

    class Pictures(shops.Pictures):
        def encode(self, pictures):
            asked.extend(pictures)
            return super().encode([None if p is None else vectors[4] for p in pictures])

    shop._pictures = Pictures(vectors)
    shop.add_items(
        [
            {"item_id": "n0", "title": shops.TEXTS[4], "image": "n0.png"},
            {"item_id": "n1", "title": shops.TEXTS[3]},
        ]
    )
    assert asked == ["n0.png", None]
    found = {e.item: e.score for e in shop.recommend("coat", k=20)}
    assert found["n0"] == pytest.approx(found["i4"], abs=1e-5)
    assert found["n1"] == pytest.approx(found["i3"], abs=1e-5)
    loaded = saved_and_loaded(shop, tmp_path / "m")
    shops.assert_same_answers(shops.answers(shop), shops.answers(loaded))


# removing


def test_removed_items_are_gone_at_once_and_after_loading(any_shop, tmp_path):
    scores = {e.item: e.score for e in any_shop.recommend("red", k=20)}
    any_shop.remove_items(["i3", "i 9", "i3"])
    assert len(any_shop) == 10
    left = ids(any_shop.recommend("red", k=20))
    assert sorted(left) == sorted({*scores} - {"i3", "i 9"})
    for what in ("among", "exclude", "history"):
        with pytest.raises(UserError, match=f"{what}: there is no item 'i3'"):
            any_shop.recommend("red", **{what: ["i3"]})
    with pytest.raises(UserError, match="no item 'i3'"):
        any_shop.explain("red", "i3")
    answers = shops.answers(any_shop)
    loaded = saved_and_loaded(any_shop, tmp_path / "m")
    shops.assert_same_answers(answers, shops.answers(any_shop))
    shops.assert_same_answers(answers, shops.answers(loaded))


def test_removed_items_leave_the_histories(shop):
    shop.remove_items(["i3", "i8", "i5"])
    known = {user: shop._state.history(user).tolist() for user in shops.HISTORIES}
    # i3, i5 and i8 are gone: i4 has moved to 3, i7 to 5
    assert known == {
        "u1": [0, 3],
        "u2": [2],
        "u3": [],
        "u4": [5, 0, 1, 2],
        "7": [],
    }
    assert shop.recommend("red", "7").notes == ()  # still a user


def test_an_item_that_is_removed_and_added_again_is_a_new_one(shop, tmp_path):
    shop.record("u3", "i4", "red dress")
    before = shop.explain("red dress", "i4").chosen_before
    assert before >= 1
    shop.remove_items(["i4"])
    shop.add_items([{"item_id": "i4", "title": "black heels", "price": 1}])
    assert len(shop) == 12
    assert shop.explain("red dress", "i4").chosen_before == 0
    assert "i4" in ids(shop.recommend("red", "u1", k=20))  # u1 has not seen this one
    loaded = saved_and_loaded(shop, tmp_path / "m")
    shops.assert_same_answers(shops.answers(shop), shops.answers(loaded))
    shop.remove_items(["i4"])
    shop.add_items([{"item_id": "i4", "title": "black heels"}])
    assert ids(shop.recommend("x", among=["i4"])) == ["i4"]


def test_a_removal_of_an_unknown_item_removes_nothing(shop):
    with pytest.raises(UserError, match="remove_items: there is no item 'nope'"):
        shop.remove_items(["i0", "nope"])
    assert len(shop) == 12
    with pytest.raises(UserError, match="must be item ids"):
        shop.remove_items(None)
    shop.remove_items([])
    shop.remove_items("i0")
    assert len(shop) == 11


def test_items_come_and_go_in_one_step_or_not_at_all(shop):
    before = ids(shop.recommend("red", k=99))
    new = {"item_id": "new", "title": "red boots"}
    with pytest.raises(UserError, match="has no text"):
        shop.change_items(add=[{"item_id": "new"}], remove=["i0"])
    with pytest.raises(UserError, match="no item 'x'"):
        shop.change_items(add=[new], remove=["x"])
    assert ids(shop.recommend("red", k=99)) == before
    shop.change_items(add=[new], remove=["i0"])
    assert {*ids(shop.recommend("red", k=99))} == {*before, "new"} - {"i0"}


def test_an_empty_catalogue_answers_and_grows_again(any_shop, tmp_path):
    any_shop.remove_items(shops.IDS)
    assert len(any_shop) == 0
    assert any_shop.recommend("red", "u1") == []
    assert any_shop.recommend(["red", ""], where={"price": (0, 5)}) == [[], []]
    with pytest.raises(UserError, match="catalogue is empty"):
        any_shop.explain("red", "i0")
    loaded = saved_and_loaded(any_shop, tmp_path / "m")
    for shop in (any_shop, loaded):
        assert shop.recommend("red") == []
        shop.add_items(NEW)
        found = shop.recommend("winter boots", "u1")
        assert sorted(ids(found)) == ["77", "n 3", "n1"]
        assert all(np.isfinite(each.score) for each in found)


# recording


def test_a_recorded_choice_is_in_the_history_at_once_and_after_loading(
    any_shop, tmp_path
):
    any_shop.record("u2", "i0")
    any_shop.record("new", "i7", "blue jeans for work")
    any_shop.record(8, 10)
    any_shop.record("new", "i7")
    for shop in (any_shop, saved_and_loaded(any_shop, tmp_path / "m")):
        assert "i0" not in ids(shop.recommend("red", "u2", k=20))
        assert "i7" not in ids(shop.recommend("red", "new", k=20))
        assert shop._state.history("new").tolist() == [7, 7]
        assert shop._state.history("8").tolist() == [10]
        assert shop._state.history("u2").tolist() == [2, 3, 0]
        assert len(shop._state.users) == 7
        assert [*shop._state.users][-2:] == ["new", "8"]
    loaded = Recommender.load(tmp_path / "m")
    everybody = ("u2", "new", "8", "u4")
    shops.assert_same_answers(
        shops.answers(any_shop, everybody), shops.answers(loaded, everybody)
    )


@pytest.mark.parametrize("kind", ["WhisperLitePlus", "RequestPop", "LateFusion"])
def test_a_recorded_request_counts(kind, tmp_path):
    shop = shops.shop(kind)
    request = "something for the opera"
    assert shop.explain(request, "i8").chosen_before == 0
    for _ in range(60):
        shop.record("u3", "i8", request)
    loaded = saved_and_loaded(shop, tmp_path / "m")
    for each in (shop, loaded):
        assert each.explain(request, "i8").chosen_before == 60
        assert each.recommend(request)[0].item == "i8"
        assert each.explain(f"{request}?", "i8").chosen_before == 0


def test_recording_counts_into_popularity(shop):
    memory = shop._state.scorer.memory
    shop.record("u1", "i5")
    after = shop._state.scorer.memory
    assert after.popularity[5] == memory.popularity[5] + 1
    assert after.popularity.sum() == memory.popularity.sum() + 1
    assert (after.counts.matrix != memory.counts.matrix).nnz == 0
    assert memory is not after  # readers of the state before see no change


def test_an_item_that_is_recorded_is_new_no_more(shop):
    shop.add_items([{"item_id": "n", "title": "red dress"}])
    popularity = shop._state.scorer.memory.popularity
    shop.record("u1", "n")
    columns = shop._state.scorer.columns
    np.testing.assert_allclose(columns[12], [np.log(1.1), 0, 0, 1], rtol=1e-6)
    shop.add_items([{"item_id": "m", "title": "red dress"}])
    average = (popularity.sum() + 1) / ((popularity > 0).sum() + 1)
    expected = [np.log(average + 0.1) - 0.8, 1, 0, 0]
    np.testing.assert_allclose(shop._state.scorer.columns[13], expected, rtol=1e-6)


def test_recording_without_users_begins_with_none(tmp_path):
    shop = shops.shop(with_users=False)
    shop.record("u1", "i5")
    assert [*saved_and_loaded(shop, tmp_path / "m")._state.users] == ["u1"]


@pytest.mark.parametrize(
    "args, message",
    [
        (("u1", "i99"), "no item 'i99'"),
        (("u1", ["i1", "i2"]), "one item id"),
        (("u1", None), "must be item ids"),
        ((None, "i1"), "needs the id of a user"),
        (("", "i1"), "needs the id of a user"),
        ((True, "i1"), "A user must be an id"),
        (("u1", "i1", 5), "A request must be a text"),
        (("u1", "i1", ["red"]), "A request must be a text"),
    ],
)
def test_a_wrong_choice_is_refused_and_nothing_recorded(shop, args, message):
    state = shop._state
    with pytest.raises(UserError, match=message):
        shop.record(*args)
    assert shop._state is state


def test_histories_change_as_lists_would():
    rng = np.random.default_rng(0)
    users, expected = shops.users(), {u: [*h] for u, h in shops.HISTORIES.items()}
    for _ in range(100):
        user, item = f"u{rng.integers(8)}", int(rng.integers(12))
        users = users.with_choice(user, item)
        expected.setdefault(user, []).append(item)
    new_row = np.array([0, 1, -1, 2, 3, -1, 4, 5, 6, 7, 8, 9])
    for each in (users, users.merged(), Users.of_table(users.table(), 12)):
        assert {user: each.history(user).tolist() for user in each} == expected
        kept = each.keep_items(new_row)
        assert {user: kept.history(user).tolist() for user in kept} == {
            user: [int(new_row[item]) for item in items if new_row[item] >= 0]
            for user, items in expected.items()
        }


# costs


def test_recording_does_not_copy_all_that_is_known(shop):
    rng = np.random.default_rng(0)
    texts = [f"a request for {number}" for number in range(20_000)]
    counts = RequestCounts(texts, random(20_000, 12, 0.5, "csr", np.float32, rng))
    memory = dataclasses.replace(shop._state.scorer.memory, counts=counts)
    shop._state.scorer._remember_by(memory)
    started = time.perf_counter()
    for number in range(2_000):
        user, request = f"u{number % 500}", f"red dress {number % 1500}"
        shop.record(user, shops.IDS[number % 12], request)
    seconds = time.perf_counter() - started
    assert seconds < 10, f"{seconds:.1f} s"  # copying all counts took 20
    assert shop.explain("red dress 3", "i3").chosen_before == 2


def test_whole_numbers_stay_whole_beside_missing_ones(shop):
    number = 2**53 + 1
    shop.add_items(
        [{"item_id": number, "title": "hat"}, {"item_id": 5, "title": "cap"}]
    )
    shop.add_items(
        [
            {"item_id": "x", "title": "hat", "category": 7},
            {"item_id": 6, "title": "hat"},
        ]
    )
    assert str(number) in ids(shop.recommend("hat", k=20))
    assert ids(shop.recommend("hat", where={"category": "7"})) == ["x"]


def test_ten_thousand_items_are_added_in_seconds(shop):
    started = time.perf_counter()
    titles = [f"red dress number {n}" for n in range(10_000)]
    numbers = range(10_000)
    shop.add_items(pd.DataFrame({"item_id": numbers, "title": titles})[11:])
    seconds = time.perf_counter() - started
    assert len(shop) == 12 + 10_000 - 11
    assert seconds < 20, f"{seconds:.1f} s"


# threads


def test_readers_see_the_shop_before_or_after_a_change(shop):
    shop.remove_items(["i11"])
    request, failures, done = "red dress", [], threading.Event()
    allowed, seen = {}, set()

    def scores():
        return tuple(
            (each.item, round(each.score, 3)) for each in shop.recommend(request, k=20)
        )

    changes = [
        lambda: shop.add_items([{"item_id": "n", "title": "red dress"}]),
        lambda: shop.record("u1", "i0", request),
        lambda: shop.remove_items(["n"]),
        lambda: shop.record("u9", "i1", request),
    ]

    def read():
        while not done.is_set():
            try:
                seen.add(scores())
                total = [sum(e.parts.values()) for e in shop.recommend("a", "u1")]
                assert len(total) >= 7
                shop.explain(request, "i0", "u1")
                shop.similar("i0")
            except Exception as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    allowed[scores()] = True
    for reader in readers:
        reader.start()
    for _ in range(5):
        for change in changes:
            change()
            allowed[scores()] = True
    done.set()
    for reader in readers:
        reader.join()
    assert not failures, failures[0]
    assert seen <= {*allowed}


def test_changes_from_several_threads_are_all_made(shop):
    def work(number):
        for each in range(20):
            shop.record(f"t{number}", "i1", "red")
            shop.add_items([{"item_id": f"{number}-{each}", "title": "hat"}])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    before = shop.explain("red", "i1").chosen_before
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shop) == 12 + 80
    assert shop.explain("red", "i1").chosen_before == before + 80
    assert shop._state.history("t2").tolist() == [1] * 20


def test_the_name_of_a_new_item_is_no_refusal_from_then_on(shop, tmp_path):
    asked = "red no show socks"
    assert shop.recommend(asked).ruled_out == "show socks"
    shop.add_items(NEW.head(1).assign(title="No show socks"))
    assert not shop.recommend(asked).ruled_out
    assert not saved_and_loaded(shop, tmp_path / "saved").recommend(asked).ruled_out
    assert shop.recommend("a dress, no socks").ruled_out == "socks"
