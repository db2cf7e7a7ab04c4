"""Asking a model: arguments, answers, and errors that say what is accepted."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import shops
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.recommender import Recommender


@pytest.fixture(scope="module", params=shops.KINDS)
def any_shop(request):
    return shops.shop(request.param)


@pytest.fixture(scope="module")
def shop():
    return shops.shop()


def ids(answer):
    return [each.item for each in answer]


def refused(message, function, *args, **options):
    with pytest.raises(UserError, match=message):
        function(*args, **options)


# answers


def test_an_answer_is_a_list_of_frozen_objects_whose_parts_add_up(any_shop):
    for user in (None, "u1", "u4"):
        answer = any_shop.recommend("jeans, no stripes", user, k=5)
        assert len(answer) == 5
        assert [each.score for each in answer] == sorted(
            (each.score for each in answer), reverse=True
        )
        for each in answer:
            assert sum(each.parts.values()) == pytest.approx(each.score, abs=1e-4)
            assert each.text == shops.TEXTS[shops.IDS.index(each.item)]
            with pytest.raises(dataclasses.FrozenInstanceError):
                each.score = 1


def test_the_parts_of_whisperliteplus_have_names(shop):
    answer = shop.recommend("jeans, no stripes", "u1")
    names = ["text", "popularity", "memory", "refusals", "neighbors", "transitions"]
    names += ["history", "nearest", "similarity"]
    assert list(answer[0].parts) == names
    # of any request, so that tables of several fit together
    assert list(shop.recommend("")[0].parts) == names
    assert (answer.wish, answer.ruled_out) == ("jeans", "stripes")
    assert (answer.request, answer.user) == ("jeans, no stripes", "u1")


def test_the_frame_has_a_row_an_item(shop):
    answer = shop.recommend("red dress", k=3)
    frame = answer.to_frame()
    assert list(frame.columns) == [
        *("rank", "item", "score", "text", "picture"),
        *(f"{name}_score" for name in answer[0].parts),
    ]
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["item"].tolist() == ids(answer)
    total = frame.filter(like="_score").sum(axis=1)
    np.testing.assert_allclose(total, frame["score"], atol=1e-4)
    empty = shop.recommend("red dress", among=[]).to_frame()
    assert len(empty) == 0 and "item" in empty


def test_pictures_are_paths_in_their_folder(shop):
    answer = shop.recommend("x", among=["i0", "i3"])
    assert {each.item: each.picture for each in answer} == {"i0": "i0.png", "i3": None}
    state = shop._state
    moved = state._replace(catalogue=shops.catalogue("/photos"))
    there = Recommender(moved, shop._encoder, shop._config, None, None)
    assert there.recommend("x", among=["i0"])[0].picture == "/photos/i0.png"


# users and histories


def test_seen_items_are_left_out_unless_they_are_wanted(any_shop):
    assert {"i0", "i3", "i4"} & {*ids(any_shop.recommend("red", "u1", k=12))} == set()
    seen = any_shop.recommend("red", "u1", k=12, exclude_seen=False)
    assert sorted(ids(seen)) == sorted(shops.IDS)


def test_a_history_stands_for_that_of_a_user(any_shop):
    by_user = any_shop.recommend("red dress", "u1", k=12)
    by_history = any_shop.recommend("red dress", history=["i0", "i3", "i4"], k=12)
    assert by_user == by_history
    other = any_shop.recommend("red dress", "u1", history=[], k=12)
    assert ids(other) == ids(any_shop.recommend("red dress", k=12))
    one = any_shop.recommend("red dress", history="i0", k=12)
    assert one == any_shop.recommend("red dress", history=("i0",), k=12)


def test_a_user_who_is_unknown_is_answered_like_anybody_and_told(any_shop):
    stranger = any_shop.recommend("red dress", "stranger")
    assert stranger == any_shop.recommend("red dress")
    assert (
        "'stranger' is unknown" in stranger.notes[0] and "u1" not in stranger.notes[0]
    )
    assert any_shop.recommend("red dress", "u3").notes == ()


def test_ids_may_be_numbers(shop):
    assert shop.recommend("red", 7) == shop.recommend("red", "7")
    assert shop.recommend("red", np.int64(7)).user == "7"
    assert shop.recommend("red", 7.0).notes == ()
    assert ids(shop.recommend("red", among=[10, "i 9"], k=5)) != []
    assert {*ids(shop.recommend("red", among=np.array([10])))} == {"10"}
    assert shop.similar(10) == shop.similar("10")


def test_without_users_nobody_is_known():
    nobody = shops.shop(with_users=False)
    answer = nobody.recommend("red dress", "u1")
    assert "exported without users" in answer.notes[0]
    assert len(answer) == 10
    refused("exported without users", nobody.explain, "red", "i0", "u1")
    assert "no users" in repr(nobody)


# batches

LISTS = [list, tuple, np.array, pd.Series, lambda each: np.array(each, dtype=object)]


@pytest.mark.parametrize("make", LISTS)
def test_a_list_of_requests_is_answered_like_each_of_them(any_shop, make):
    requests = ["red dress", "black coat", "", "jeans, no stripes"]
    users = ["u1", "u4", "u2", "stranger"]
    together = any_shop.recommend(make(requests), make(users), k=12)
    alone = [any_shop.recommend(*each, k=12) for each in zip(requests, users)]
    assert [each.notes for each in together] == [each.notes for each in alone]
    shops.assert_same_answers(
        [[(e.item, e.score, e.parts) for e in each] for each in together],
        [[(e.item, e.score, e.parts) for e in each] for each in alone],
    )


def test_lists_of_one_argument_meet_single_values_of_the_others(shop):
    same = shop.recommend(["red", "blue"], "u1")
    assert [each.user for each in same] == ["u1", "u1"]
    for_all = shop.recommend("red", ["u1", None])
    assert [each.request for each in for_all] == ["red", "red"]
    nothing = shop.recommend(user=["u1", "u2"])
    assert len(nothing) == 2
    histories = shop.recommend(["red", "red"], "u1", history=[["i1"], None], k=12)
    assert "i0" in ids(histories[0]) and "i0" not in ids(histories[1])


def test_many_requests_go_in_steps_of_a_bounded_size(shop, monkeypatch):
    from recbole_whisperlite.recommend import recommender

    requests = [f"red {n}" for n in range(7)]
    whole = shop.recommend(requests, "u1")
    monkeypatch.setattr(recommender, "_MOST_SCORES", 30)  # two requests at a time
    assert [ids(each) for each in shop.recommend(requests, "u1")] == [
        ids(each) for each in whole
    ]


def test_no_requests_have_no_answers(any_shop):
    assert any_shop.recommend([]) == []
    assert any_shop.recommend(np.array([], dtype=str), []) == []


def test_asking_twice_gives_the_same(any_shop):
    assert shops.answers(any_shop) == shops.answers(any_shop)


# k, exclude, among, where


def test_k_may_be_beyond_the_catalogue(any_shop):
    assert len(any_shop.recommend("red", k=10**9)) == 12
    assert len(any_shop.recommend("red", k=np.int32(2))) == 2
    assert (
        ids(any_shop.recommend("red", k=3)) == ids(any_shop.recommend("red", k=12))[:3]
    )


@pytest.mark.parametrize("k", [0, -1, 2.0, "3", None, True, [3]])
def test_k_must_be_a_whole_number_above_0(shop, k):
    refused("k must be a whole number above 0", shop.recommend, "red", k=k)


def test_exclude_and_among(any_shop):
    among = ["i1", "i2", "i2", "i0", "i1"]
    assert sorted(ids(any_shop.recommend("red", among=among))) == ["i0", "i1", "i2"]
    rest = any_shop.recommend("red", among={"i1", "i2"}, exclude=["i2", "i 9"])
    assert ids(rest) == ["i1"]
    assert any_shop.recommend("red", among=[]) == []
    assert any_shop.recommend("red", among=["i0"], exclude=iter(["i0"])) == []
    assert any_shop.recommend("red", "u1", among=["i0", "i3"]) == []


def test_a_filter_does_not_change_scores(any_shop):
    everything = {e.item: e.score for e in any_shop.recommend("red dress", "u2", k=12)}
    for each in any_shop.recommend("red dress", "u2", where={"category": "shoes"}):
        assert each.score == pytest.approx(everything[each.item], abs=1e-5)


WHERE = [
    ({"category": "shoes"}, ["i4", "i5", "i6"]),
    ({"category": ["shoes", "coat"]}, ["i2", "i3", "i4", "i5", "i6"]),
    ({"category": {"jeans"}, "price": 45}, ["i7", "i8"]),
    ({"category": ""}, ["i 9"]),
    ({"category": "hats"}, []),
    ({"category": []}, []),
    ({"category": pd.Series(["dress"])}, ["i0", "i1"]),
    ({"category": np.array(["dress"])}, ["i0", "i1"]),
    ({"price": (0, 18)}, ["i6", "i 9", "10", "i11"]),
    ({"price": (None, 10)}, ["i6", "i11"]),
    ({"price": (99.5, None)}, ["i2", "i3"]),
    ({"price": (None, None)}, [each for each in shops.IDS if each != "i5"]),
    ({"price": [45, 9.99]}, ["i7", "i8", "i11"]),
    ({"price": np.float32(45)}, ["i7", "i8"]),
    ({"price": 0}, ["i6"]),
    ({"price": (50, 10)}, []),
    ({"tags": "sale"}, ["i0", "i3", "i5", "i8"]),
    ({"tags": ["winter", "summer"], "price": (0, 20)}, ["i0", "i6", "i 9", "i11"]),
    ({"tags": "sal"}, []),
    ({"tags": ""}, ["i4", "i7", "10"]),
    ({"item_id": 10}, ["10"]),
    ({"image": ""}, ["i3", "i7"]),
    ({}, shops.IDS),
]


@pytest.mark.parametrize("where, expected", WHERE, ids=str)
def test_where(shop, where, expected):
    found = ids(shop.recommend("red", where=where, k=12))
    assert sorted(found) == sorted(expected)


WRONG_WHERE = [
    ({"categry": "shoes"}, "no column 'categry'. Did you mean 'category'"),
    ({5: "shoes"}, "no column '5'.*The columns are item_id, title"),
    ({"item text:": "x"}, "no column"),
    ("category", "conditions by column"),
    ([("price", 5)], "conditions by column"),
    ({"category": ("a", "b")}, "category holds text.*square brackets"),
    ({"category": None}, "category holds text"),
    ({"category": float("nan")}, "category holds text"),
    ({"category": True}, "category holds text"),
    ({"category": [["shoes"]]}, "category holds text"),
    ({"category": {"a": 1}}, "category holds text"),
    ({"price": "cheap"}, "price is a number"),
    ({"price": (1, 2, 3)}, "price is a number"),
    ({"price": (1,)}, "price is a number"),
    ({"price": ("a", 5)}, "price is a number"),
    ({"price": (float("nan"), 5)}, "price is a number"),
    ({"price": None}, "price is a number"),
    ({"price": [None]}, "price is a number"),
    ({"price": True}, "price is a number"),
    ({"price": 10**400}, "price is a number"),
    ({"price": (0, 10**400)}, "price is a number"),
]


@pytest.mark.parametrize("where, message", WRONG_WHERE, ids=str)
def test_where_says_what_it_accepts(shop, where, message):
    refused(message, shop.recommend, "red", where=where)


def test_where_of_a_column_of_several_numbers(shop):
    catalogue = shops.catalogue()
    types = {**shops.TYPES, "tags": "float_seq"}
    sizes = ["36 38", "38.0", "nan x", "", "40 42", *[""] * 7]
    table = catalogue.table.set_column(
        catalogue.table.column_names.index("tags"), "tags", [sizes]
    )
    several = catalogue.__class__(table, "item_id", ["title"], types, None)
    assert np.flatnonzero(several.where({"tags": 38})).tolist() == [0, 1]
    assert np.flatnonzero(several.where({"tags": (39, None)})).tolist() == [4]
    assert np.flatnonzero(several.where({"tags": [36, 42]})).tolist() == [0, 4]


# wrong arguments

WRONG = [
    (dict(request=5), "A request must be a text, not 5"),
    (dict(request=b"red"), "A request must be a text"),
    (dict(request=["red", 5]), "A request must be a text, not 5"),
    (dict(request={"red": 1}), "A request must be a text"),
    (dict(request={"red"}), "A request must be a text"),
    (dict(request=float("nan")), "A request must be a text"),
    (dict(user=True), "A user must be an id"),
    (dict(user=float("nan")), "A user must be an id"),
    (dict(user={"id": 1}), "A user must be an id"),
    (dict(user=["u1", ["u2"]]), "A user must be an id"),
    (dict(request=["a", "b"], user=["u1"]), "There are 2 requests, but user is a list"),
    (dict(request=["a", "b"], history=["i0", "i1"]), "a list with a list of item ids"),
    (dict(request=["a", "b"], history="i0"), "a list with a list of item ids"),
    (
        dict(request=["a"], history=[["i0"], ["i1"]]),
        "1 requests, but history is a list",
    ),
    (dict(history=["nope"]), "history: there is no item 'nope'.*'i0'"),
    (dict(history=5), "history must be item ids, such as 'i0', 'i1', 'i2', not 5"),
    (dict(history=[None]), "history must be item ids"),
    (dict(history=[["i0"]]), "history must be item ids"),
    (dict(history=[True]), "history must be item ids"),
    (dict(history=[float("nan")]), "history must be item ids"),
    (dict(exclude=["i00"]), "exclude: there is no item 'i00'.*Did you mean 'i0'"),
    (dict(exclude=None), "exclude must be item ids"),
    (dict(among=["i0", "x\ud800"]), "among must be item ids"),
    (dict(image="nowhere.png"), "knows no pictures.*use_image"),
]


@pytest.mark.parametrize("options, message", WRONG, ids=str)
def test_a_wrong_argument_is_told_what_is_accepted(shop, options, message):
    refused(message, shop.recommend, **{"request": "red", **options})


# extreme requests

EXTREME = [
    "",
    "  \n\t ",
    "\u3000",
    "🙂👗",
    "red " * 10_000,
    "красное платье",
    "赤いドレス",
    "فستان أحمر",
    "a\x00b",
    "no",
    "no no no, not never without",
    "'\"\\;--<script>",
    "x" * 100_000,
    "\ud83d",
    "e\u0301" * 50,
]


@pytest.mark.parametrize("request_", EXTREME, ids=lambda text: repr(text)[:20])
def test_every_request_has_an_answer(any_shop, request_):
    for user in (None, "u1"):
        answer = any_shop.recommend(request_, user, k=12)
        assert len(answer) == (9 if user else 12)
        assert all(np.isfinite(each.score) for each in answer)
        blank = not request_.strip()
        assert any("blank" in note for note in answer.notes) == blank


def test_a_blank_request_is_ranked_by_all_but_its_text(shop):
    blank = shop.recommend(" \n", k=12)
    assert blank == shop.recommend(None, k=12) == shop.recommend("", k=12)
    assert all(each.parts["text"] == 0 for each in blank)
    for each in blank:
        others = ("popularity", "memory", "similarity")
        assert each.score == pytest.approx(sum(each.parts[o] for o in others), abs=1e-4)
    assert shop.recommend(None).notes == ()


# similar


def test_similar_items_are_those_with_the_highest_cosine(shop):
    answer = shop.similar("i3", k=12)
    vectors = shop._state.scorer.embeddings.astype(float)
    cosines = {
        id_: vectors[3] @ row / np.linalg.norm(vectors[3]) / np.linalg.norm(row)
        for id_, row in zip(shops.IDS, vectors)
        if id_ != "i3"
    }
    assert ids(answer) == sorted(cosines, key=cosines.get, reverse=True)
    for each in answer:
        assert each.score == pytest.approx(cosines[each.item], abs=1e-5)
        assert each.parts == {"similarity": each.score}
    assert answer.request == "red winter coat"


@pytest.mark.parametrize("kind", ["BM25", "LateFusion"])
def test_bm25_compares_items_by_their_words(kind):
    if kind == "BM25":
        answer = shops.shop(kind).similar("i3", k=12)
        assert answer[0].item == "i2"  # the other winter coat
    else:  # ItemKNN is the first part that can compare
        shop = shops.shop(kind)
        row = shop._state.scorer.of["ItemKNN"].similarity[3].toarray()[0]
        row[3] = -1
        assert shop.similar("i3")[0].item == shops.IDS[row.argmax()]


def test_similar_with_filters(shop):
    shoes = shop.similar("i4", where={"category": "shoes"})
    assert sorted(ids(shoes)) == ["i5", "i6"]
    assert ids(shop.similar("i4", among=["i4", "i5"], exclude=["i5"])) == []
    refused("no item 'i99'", shop.similar, "i99")
    refused("one item id", shop.similar, ["i1"])
    refused("must be item ids", shop.similar, None)
    refused("knows only how often", shops.shop("RequestPop").similar, "i1")


# explain


def test_an_explanation_agrees_with_the_answer(any_shop):
    for user in (None, "u1", "u4"):
        answer = any_shop.recommend("red dress", user, k=12)
        for rank, each in enumerate(answer, start=1):
            why = any_shop.explain("red dress", each.item, user)
            assert (why.item, why.text, why.of) == (each.item, each.text, len(answer))
            assert why.score == pytest.approx(each.score, abs=1e-4)
            assert why.parts == pytest.approx(each.parts, abs=1e-4)
            better = [other for other in answer if other.score > each.score + 1e-4]
            worse = [other for other in answer if other.score < each.score - 1e-4]
            assert len(better) + 1 <= why.rank <= len(answer) - len(worse)


def test_an_explanation_names_counts_and_history(shop):
    why = shop.explain("jeans, no stripes", "i8", "u4")
    counts = shop._state.scorer.memory.counts.matrix.toarray()
    assert why.chosen_before == counts[3, 8]
    assert why.ruled_out == "stripes"
    # the latest four of the history, of which i8 is one
    assert sorted(item for item, _ in why.history) == ["i1", "i2", "i3", "i8"]
    weights = [weight for _, weight in why.history]
    assert sum(weights) == pytest.approx(1) and weights == sorted(weights, reverse=True)
    text = str(why)
    assert "[i8] black jeans with stripes" in text
    assert "ruled out: stripes" in text and "neighbors" in text
    # an item of the history is ranked among the items that are shown and itself
    assert why.of == 12 - 6 + 1
    assert shop.explain("x", "i0").history == ()
    assert shops.shop("BM25").explain("red", "i0").chosen_before is None


def test_explain_refuses_what_it_cannot_explain(shop):
    refused("one request", shop.explain, ["red"], "i0")
    refused("no item 'i99'", shop.explain, "red", "i99")
    refused("'stranger' is unknown", shop.explain, "red", "i0", "stranger")
    refused("one item id", shop.explain, "red", ["i0"])
    assert shop.explain("red", "i0", "stranger", history=["i1"]).user == "stranger"


# pictures


@pytest.fixture
def with_pictures():
    vectors = shops.picture_vectors()
    shop = shops.shop(pictures=vectors)
    shop._pictures = shops.Pictures(vectors)
    return shop


def test_a_picture_finds_items_that_look_alike(with_pictures):
    vectors = with_pictures._pictures.vectors
    answer = with_pictures.recommend(image=2, k=12)
    for each in answer:
        cosine = vectors[shops.IDS.index(each.item)] @ vectors[2]
        # without a history, memory and towers have weights of .4 and .2
        assert each.parts["picture"] == pytest.approx(0.6 * 7.5 * cosine, abs=1e-4)
        assert each.parts["text"] == 0
    assert answer.notes == ()
    both = with_pictures.recommend("red dress", image=2, k=12)
    text = {e.item: e.parts for e in with_pictures.recommend("red dress", k=12)}
    for each in both:
        assert each.parts["text"] == pytest.approx(text[each.item]["text"], abs=1e-5)
        assert sum(each.parts.values()) == pytest.approx(each.score, abs=1e-4)
    assert text["i0"]["picture"] == 0


def test_pictures_come_in_lists_too(with_pictures):
    found = with_pictures.recommend(["red", "", None], image=[None, 2, 5], k=12)
    alone = with_pictures.recommend(image=2, k=12)
    scores = [each.score for each in alone]
    assert [each.score for each in found[1]] == pytest.approx(scores, abs=1e-5)
    assert [bool(each.notes) for each in found] == [False, False, False]
    alone = with_pictures.recommend(image=[2, 5], k=12)
    assert [ids(each) for each in alone] == [ids(found[1]), ids(found[2])]
    same = with_pictures.recommend(["red", "blue"], image=2)
    assert len(same) == 2 and all("picture" in each[0].parts for each in same)


def test_a_picture_of_another_encoder_is_refused(with_pictures):
    with_pictures._pictures = shops.Pictures(np.ones((1, 9), dtype=np.float32))
    refused("9 numbers.*made for 4", with_pictures.recommend, "red", image=0)


def test_pictures_are_read_from_paths_images_and_arrays(tmp_path):
    from recbole_whisperlite.recommend.pictures import PictureEncoder

    encoder = PictureEncoder({**shops.SETTINGS, "encoder": ["whisperlite-mini"]})
    image = Image.new("RGB", (40, 60), "red")
    image.save(tmp_path / "red.png")
    array = np.asarray(image)
    forms = [str(tmp_path / "red.png"), tmp_path / "red.png", image, array, None]
    vectors = encoder.encode(forms)
    assert vectors.shape[0] == 5 and vectors.dtype == np.float32
    for row in range(1, 4):
        np.testing.assert_allclose(vectors[row], vectors[0], atol=1e-5)
    assert not vectors[4].any()
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-3)
    assert encoder.encode([None]).shape == (1, vectors.shape[1])
    wrong = [
        (tmp_path / "none.png", "no such file"),
        (array.astype(float), r"uint8.*not float64 of shape \[60, 40, 3\]"),
        (array.astype(np.float32)[:, :, 0], "uint8.*not float32"),
        (np.zeros((0, 5, 3), dtype=np.uint8), "uint8.*shape"),
        (5, "image must be a path"),
        (b"png", "image must be a path"),
    ]
    (tmp_path / "broken.png").write_bytes(b"no picture")
    wrong.append((tmp_path / "broken.png", "not a picture"))
    for picture, message in wrong:
        refused(message, encoder.encode, [picture])


def test_a_model_without_a_clip_says_so():
    from recbole_whisperlite.recommend.pictures import PictureEncoder

    refused("no CLIP model", PictureEncoder(shops.SETTINGS).encode, [None])


# the rest


def test_what_a_model_is(shop):
    assert len(shop) == 12 and shop.model == "WhisperLitePlus"
    assert shop.columns == shops.TYPES
    assert shop.about["dataset"] == "by hand"
    assert repr(shop) == "<Recommender WhisperLitePlus, 12 items, 5 users>"


@pytest.mark.parametrize("source", [5, None, b"shop"])
def test_a_model_is_loaded_from_a_path(source):
    refused("loaded from a folder", Recommender.load, source)
