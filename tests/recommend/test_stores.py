"""Stores against a ranking of everything, after changes, and those that are refused."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import shops
import store_speed
from recbole_whisperlite.cli import main
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.plus_scorer import PlusScorer
from recbole_whisperlite.recommend.recommender import Recommender
from recbole_whisperlite.recommend.stores import candidates
from recbole_whisperlite.recommend.stores.geometry import Geometry
from recbole_whisperlite.recommend.stores.indexed import completed
from recbole_whisperlite.recommend.stores.keys import Keys
from recbole_whisperlite.recommend.stores.log_sums import SampledSum
from recbole_whisperlite.serve.shops import Shop

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
N = 1500
#: The share of the items of every answer that a store must find: embedded, Milvus finds all.
LEAST = {"usearch": 0.97, "milvus": 1.0}


def needs(store):
    module = {"usearch": "usearch", "milvus": "milvus_lite"}[store]
    extra = {"usearch": "ann", "milvus": "milvus"}[store]
    pytest.importorskip(module, reason=f"the extra {extra} is not installed")
    return store


@pytest.fixture(params=["usearch", "milvus"])
def store(request):
    return needs(request.param)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The folder of a WhisperLitePlus of 1,500 products, with all of its terms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_speed, "N_REQUESTS", 400)
        patch.setattr(store_speed, "N_USERS", 50)
        folder = tmp_path_factory.mktemp("large") / "model"
        store_speed.make("WhisperLitePlus", N, 16, folder)
    return folder


@pytest.fixture
def small(tmp_path):
    """The folder of a WhisperLitePlus of a dozen products."""
    shops.shop().save(tmp_path / "model")
    return tmp_path / "model"


def by_the_index(shop):
    """The shop, which asks its index however small the catalogue is."""
    store = dataclasses.replace(shop._state.store, few=0)
    shop._state = shop._state._replace(store=store)
    return shop


def built(folder, store, **options):
    Recommender.load(folder).build_store(store)
    return by_the_index(Recommender.load(folder, store=store, **options))


# the search among candidates


def by_hand(scorer, batch):
    """The inner products in float64, one block after the other."""
    scores = np.repeat(batch.constant[:, None].astype(float), scorer.n_items, axis=1)
    for query, rows, factor in zip(batch.queries, scorer.blocks, scorer.factors):
        factor = np.ones(scorer.n_items) if factor is None else factor[:]
        scores += (query.astype(float) @ rows.T.astype(float)) * factor
    return scores


SCORER = shops.scorer("WhisperLitePlus")
BATCH = SCORER.encode(
    shops.Asked(["red dress", "no heels"], [np.array([0, 3]), np.array([], dtype=int)])
)
CORRECTIONS = st.dictionaries(
    st.tuples(st.integers(0, 1), st.integers(0, 11)), st.integers(-9, 9).map(float)
)


@PROPERTY
@given(
    CORRECTIONS,
    st.lists(st.booleans(), min_size=24, max_size=24),
    st.integers(1, 14),
    st.integers(1, 6),
    st.sets(st.integers(0, 11), max_size=3),
)
def test_an_exact_search_finds_what_sorting_everything_finds(
    corrections, allowed, k, n_candidates, unknown
):
    dense = np.zeros((2, 12), dtype=np.float32)
    for at, value in corrections.items():
        dense[at] = value
    batch = dataclasses.replace(BATCH, corrections=csr_matrix(dense))
    inner, allowed = by_hand(SCORER, batch), np.reshape(allowed, (2, 12))
    asked = []

    def find(rows, number):
        asked.append(number)
        searched = inner[rows]
        searched[:, [*unknown]] = -np.inf
        order = np.argsort(-searched, axis=1, kind="stable")[:, :number]
        none = np.take_along_axis(searched, order, axis=1) == -np.inf
        found = np.full((len(rows), number), -1)
        found[:, : order.shape[1]] = np.where(none, -1, order)
        return found

    besides = np.array(sorted(unknown), dtype=int)
    items, scores = candidates.top(
        SCORER,
        batch,
        k,
        allowed,
        find,
        besides,
        n_candidates=n_candidates,
        most=10**9,
        few=0,
    )
    expected = np.where(allowed, inner + dense, -np.inf)
    n_there = (expected > -np.inf).sum(axis=1)
    for row in range(2):
        there = min(k, n_there[row])
        best = np.sort(expected[row])[::-1][:there]
        assert (items[row, there:] == -1).all() and len({*items[row, :there]}) == there
        np.testing.assert_allclose(scores[row, :there], best, atol=1e-4)
        np.testing.assert_allclose(expected[row, items[row, :there]], best, atol=1e-4)


def test_a_search_is_longer_only_where_a_lowered_score_may_hide_others():
    lowered = np.zeros((2, 12), dtype=np.float32)
    best = np.argsort(-by_hand(SCORER, BATCH), axis=1)
    lowered[1, best[1, :2]] = -1000
    batch = dataclasses.replace(BATCH, corrections=csr_matrix(lowered))
    asked = []

    def find(rows, number):
        asked.append((rows.tolist(), number))
        return best[rows, :number]

    items, _ = candidates.top(
        SCORER,
        batch,
        1,
        np.ones((1, 12), dtype=bool),
        find,
        np.array([], dtype=int),
        n_candidates=2,
        most=100,
        few=0,
    )
    assert asked == [([0, 1], 2), ([1], 8)]
    assert items.tolist() == [[best[0, 0]], [best[1, 2]]]


def test_one_vector_of_an_item_ranks_as_all_of_its_blocks_do():
    geometry = Geometry.of(SCORER, BATCH)
    vectors = geometry.items(SCORER, np.arange(12)).astype(float)
    queries = geometry.queries(SCORER, BATCH.queries, 2).astype(float)
    found, expected = queries @ vectors.T, by_hand(SCORER, BATCH)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), geometry.length, 1e-5)
    for row in range(2):  # the same line, rising
        slope, shift = np.polyfit(found[row], expected[row], 1)
        assert slope > 0
        np.testing.assert_allclose(slope * found[row] + shift, expected[row], atol=1e-3)


def test_a_few_items_that_are_much_longer_are_left_out_of_an_index():
    scorer = shops.scorer("WhisperLite")
    rows = np.random.default_rng(0).normal(size=(500, 6)).astype("f4")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[[7, 300]] *= 9
    scorer.embeddings = rows
    batch = scorer.encode(shops.Asked(["red dress"], [np.array([], dtype=int)]))
    geometry = Geometry.of(scorer, batch)
    keys = completed(Keys.none(500), geometry, scorer)
    # one in a hundred may be: as many as are nearest to the others stay
    assert {7, 300} <= {*keys.besides.tolist()} and len(keys.besides) <= 5
    others = np.setdiff1d(np.arange(500), keys.besides)
    assert len({*keys.of_row[others].tolist()}) == len(others) == keys.n_given
    found = np.linalg.norm(geometry.items(scorer, others), axis=1)
    np.testing.assert_allclose(found, geometry.length, 1e-5)


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "keep", "change", "write"]), st.integers(0, 99))
)


@PROPERTY
@given(STEPS)
def test_keys_lead_to_the_items_that_an_index_has(steps):
    keys = before = Keys.none(4).complete(np.zeros(4, dtype=bool))
    catalogue, index, number = [*range(4)], dict(enumerate(range(4))), 4
    for step, value in steps:
        if step == "add":
            n = value % 3
            keys, catalogue = keys.with_items(n), catalogue + [
                *range(number, number + n)
            ]
            number += n
        elif step == "keep":
            rows = [r for r in range(len(catalogue)) if (r + value) % 4]
            keys = keys.keep_items(np.array(rows, dtype=int))
            catalogue = [catalogue[r] for r in rows]
        elif step == "change" and catalogue:  # another item in its place, for an index
            row = value % len(catalogue)
            keys, catalogue[row], number = keys.with_change(row), number, number + 1
        elif step == "write":
            for key in keys.gone(before).tolist():
                del index[key]
            left_out = (keys.missing + value) % 3 == 0
            new, keys = keys.missing[~left_out], keys.complete(left_out)
            for row in new.tolist():
                assert int(keys.of_row[row]) not in index
                index[int(keys.of_row[row])] = catalogue[row]
            before = keys
            assert len(index) == len(catalogue) - len(keys.besides)
            assert {*index.values()} <= {*catalogue} and not len(keys.missing)
        rows = keys.rows(np.array([-1, *index], dtype=int))
        assert rows[0] == -1
        for row, item in zip(rows[1:].tolist(), index.values()):
            assert row == (catalogue.index(item) if item in catalogue else -1)
        there = {*rows[1:].tolist()} - {-1}
        assert {*keys.besides.tolist()} == {*range(len(catalogue))} - there


def test_the_normalizer_is_estimated_from_what_stands_out_and_a_sample(large):
    scorer = Recommender.load(large)._state.scorer
    vectors = scorer.embedder.requests(store_speed.texts(np.random.default_rng(5), 20))
    logits = 14 * vectors

    def find(logits):
        return np.argsort(-logits @ scorer.embeddings.T, axis=1)[:, :100]

    sums = SampledSum(scorer, size=1000)
    assert sums.items is not None
    error = sums.of(scorer, logits, find) - scorer.log_normalizers(logits)
    assert 0 < np.abs(error).max() < 0.1


# the same answers as by every item


def same_items(one, other, least):
    """At least a share of the items of each is in the other's, with equal scores."""
    of_one = [{each.item: each.score for each in answer} for answer in one]
    of_other = [{each.item: each.score for each in answer} for answer in other]
    shares = []
    for left, right in zip(of_one, of_other, strict=True):
        assert len(left) == len(right) > 0
        for item in {*left} & {*right}:
            assert abs(left[item] - right[item]) < 1e-3 * max(1, abs(right[item]))
        shares.append(len({*left} & {*right}) / len(right))
    assert np.mean(shares) >= least


def questions(n=30):
    rng = np.random.default_rng(3)
    requests = store_speed.texts(rng, n - 2) + ["", "colour3 kind5, no colour3"]
    users = [f"u{k}" if k % 2 else None for k in range(n)]
    return requests, users


def test_a_large_shop_answers_as_by_every_item(large, store, monkeypatch):
    shop, exact = built(large, store, candidates=100), Recommender.load(large)
    requests, users = questions()
    expected = exact.recommend(requests, users)
    monkeypatch.setattr(PlusScorer, "top", None)  # which scores every item
    same_items(shop.recommend(requests, users), expected, LEAST[store])
    one_by_one = [shop.recommend(r, u) for r, u in zip(requests, users)]
    same_items(one_by_one, expected, LEAST[store])
    shutil.rmtree(large / f"store-{store}")


def test_filters_are_met_and_lose_nothing(large, store):
    # a graph that several threads build is another one each time
    shop, exact = built(large, store), Recommender.load(large)
    requests, users = questions(16)
    for where in (
        {"group": ["g1", "g2"]},
        {"price": (None, 40)},
        {"price": (200, 900)},
    ):
        options = {"where": where, "exclude": ["i5", "i7"]}
        found = shop.recommend(requests, users, **options)
        same_items(found, exact.recommend(requests, users, **options), LEAST[store])
    shutil.rmtree(large / f"store-{store}")


@pytest.mark.parametrize("kind", ["WhisperLite", "WhisperLitePlus", "ZeroShot"])
def test_every_model_of_vectors_answers_as_by_every_item(tmp_path, store, kind):
    shops.shop(kind).save(tmp_path / "model")
    shop, exact = built(tmp_path / "model", store), Recommender.load(tmp_path / "model")
    shops.assert_same_answers(shops.answers(shop), shops.answers(exact))
    options = {"exclude_seen": False, "among": ["i0", "i3", "i 9"]}
    shops.assert_same_answers(
        shops.answers(shop, **options), shops.answers(exact, **options)
    )
    shops.assert_same_answers(
        shops.answers(shop, like="i3"), shops.answers(exact, like="i3")
    )


CONDITIONS = [
    {"category": "shoes"},
    {"category": ["coat", "dress", 'no "such" \\ thing']},
    {"category": ""},
    {"price": (None, None)},
    {"price": (20, None), "tags": "summer"},
    {"price": [20, 35.0, 0]},
    {"tags": {"sale", "winter"}},
    {"tags": ""},
    {"title": "red"},
]


@pytest.mark.parametrize("where", CONDITIONS)
def test_milvus_understands_conditions_as_the_catalogue_does(milvus_shop, where):
    state = milvus_shop._state
    queries = np.ones((1, state.store.geometry.dim), dtype=np.float32)
    found = state.store.keys.rows(state.store.index.search(queries, 12, where))[0]
    expected = np.flatnonzero(state.catalogue.where(where)).tolist()
    assert sorted(found[found >= 0].tolist()) == expected


@pytest.fixture(scope="module")
def milvus_shop(tmp_path_factory):
    needs("milvus")
    folder = tmp_path_factory.mktemp("milvus") / "model"
    shops.shop().save(folder)
    return built(folder, "milvus")


# changes


def change(shop):
    shop.remove_items(["i3", "i8"])
    new = {"item_id": "n1", "title": "red winter boots", "price": 80, "tags": ["sale"]}
    shop.add_items([new, {"item_id": "i8", "title": "white coat"}])
    shop.record("u1", "n1", "red dress")
    shop.record("new", "i5", "boots")


def test_products_that_come_and_go_are_found_at_once_and_after_saving(small, store):
    shop, exact = built(small, store), shops.shop()
    for each in (shop, exact):
        change(each)
    expected = shops.answers(exact)
    shops.assert_same_answers(shops.answers(shop), expected)
    shop.save()
    assert len(shop._state.store.keys.missing) == 0
    shops.assert_same_answers(shops.answers(by_the_index(shop)), expected)
    again = by_the_index(Recommender.load(small, store=store))
    shops.assert_same_answers(shops.answers(again), expected)
    where = {"tags": "sale", "price": (70, 90)}
    assert [e.item for e in again.recommend("boots", where=where)] == ["n1"]


def test_a_service_loads_a_store_again_that_was_saved_with_the_model(small):
    needs("usearch")
    Recommender.load(small).build_store("usearch")
    shop = Shop("a", str(small), {"store": "usearch"})
    assert shop.change([{"item_id": "n1", "title": "green boots"}], ["i2"], True) == 12
    shop.reload()
    assert shop.recommender._state.store.name == "usearch"
    assert "n1" in shop.recommender and "i2" not in shop.recommender


def test_a_model_saved_elsewhere_leaves_the_store_where_it_is(small, tmp_path):
    needs("usearch")
    shop = built(small, "usearch")
    change(shop)
    shop.save(tmp_path / "other")
    assert not (tmp_path / "other" / "store-usearch").exists()
    assert len(Recommender.load(small, store="usearch")) == 12  # as it was
    exact = Recommender.load(tmp_path / "other")
    shops.assert_same_answers(shops.answers(shop), shops.answers(exact))


def test_a_store_that_is_built_again_replaces_the_one_before(small, store):
    for _ in range(2):
        shop = built(small, store)
    home = small / f"store-{store}"
    assert len([*home.glob("rows-*.npz")]) == 1
    assert len([*home.glob("items-*.usearch")]) == (store == "usearch")
    if store == "milvus":
        assert len(shop._state.store.index._client.list_collections()) == 1


# what is refused


def refused(folder, store="usearch"):
    with pytest.raises(UserError) as error:
        Recommender.load(folder, store=store)
    return str(error.value)


def test_a_store_that_is_not_there_is_told_with_the_command_that_builds_it(small):
    said = refused(small)
    assert "There is no store usearch" in said
    assert f"recbole-whisperlite index --model {small} --store usearch" in said


def test_a_store_of_the_model_before_a_change_is_out_of_date(small, store):
    built(small, store)
    other = Recommender.load(small)
    other.remove_items(["i3"])
    other.save()
    assert "is out of date" in refused(small, store)
    Recommender.load(small).build_store(store)
    assert len(Recommender.load(small, store=store)) == 11


def test_a_store_of_another_model_is_refused(small, tmp_path):
    needs("usearch")
    built(small, "usearch")
    shops.shop("WhisperLitePlus", seed=1).save(tmp_path / "other")
    shutil.copytree(small / "store-usearch", tmp_path / "other" / "store-usearch")
    assert "built for another model" in refused(tmp_path / "other")
    place = f"usearch:{small / 'store-usearch'}"
    assert "built for another model" in refused(tmp_path / "other", place)


def test_a_file_that_is_not_the_one_that_was_built_is_never_opened(small):
    needs("usearch")
    built(small, "usearch")
    (file,) = (small / "store-usearch").glob("*.usearch")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "missing or damaged" in refused(small)
    file.unlink()
    assert "missing or damaged" in refused(small)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "recbole-whisperlite store"}', "null"]
)
def test_a_damaged_description_of_a_store_is_refused(small, content):
    needs("usearch")
    built(small, "usearch")
    (small / "store-usearch" / "store.json").write_text(content)
    assert "damaged" in refused(small)


def test_a_store_whose_description_was_altered_is_refused(small):
    needs("usearch")
    built(small, "usearch")
    path = small / "store-usearch" / "store.json"
    about = json.loads(path.read_text())
    for key in about:
        without = {name: value for name, value in about.items() if name != key}
        path.write_text(json.dumps(without))
        assert "is damaged" in refused(small), key
        for other in (None, -1, "x", []):
            path.write_text(json.dumps({**about, key: other}))
            assert "is damaged" in refused(small), key


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nowhere/at/all/x.db", "x"])
def test_a_milvus_that_cannot_be_reached_is_told(small, uri, monkeypatch):
    needs("milvus")
    built(small, "milvus")
    assert "Milvus cannot be asked at" in refused(small, f"milvus:{uri}")


def test_a_password_in_an_address_is_not_shown(small):
    needs("milvus")
    built(small, "milvus")
    said = refused(small, "milvus:http://root:secret@127.0.0.1:9")
    assert "secret" not in said and "--store milvus:http://127.0.0.1:9" in said


def test_a_collection_that_another_copy_of_the_model_changed_is_refused(small):
    needs("milvus")
    shop = built(small, "milvus")
    copy = small.parent / "copy"
    copy.mkdir()
    for path in small.rglob("*"):
        if path.is_file() and "milvus.db" not in path.parts:
            (copy / path.relative_to(small)).parent.mkdir(exist_ok=True)
            shutil.copy(path, copy / path.relative_to(small))
    uri = f"milvus:{small / 'store-milvus' / 'milvus.db'}"
    assert len(Recommender.load(copy, store=uri)) == 12
    shop.remove_items(["i3"])
    shop.save()
    assert "changed for another copy of the model" in refused(copy, uri)
    shop._state.store.index._client.drop_collection(
        shop._state.store.index.about()["collection"]
    )
    assert "has no collection" in refused(small, "milvus")


@pytest.mark.parametrize("name", ["faiss", "", "exact:x", None, "usearc:a"])
def test_a_store_that_does_not_exist_is_refused(small, name):
    said = refused(small, name)
    assert "There is no store" in said and "milvus:URI" in said


@pytest.mark.parametrize("kind", ["BM25", "RequestPop", "LateFusion"])
def test_models_that_count_are_answered_by_every_item_only(tmp_path, kind):
    shops.shop(kind).save(tmp_path / "model")
    shop = Recommender.load(tmp_path / "model")
    with pytest.raises(UserError, match=f"{kind} answers with the store exact"):
        shop.build_store("usearch")
    assert "answers with the store exact" in refused(tmp_path / "model")
    assert not (tmp_path / "model" / "store-usearch").exists()


def test_a_model_without_a_folder_or_with_changes_has_no_store(small):
    with pytest.raises(UserError, match="save it first"):
        shops.shop().build_store("usearch")
    shop = Recommender.load(small)
    shop.remove_items(["i3"])
    with pytest.raises(UserError, match="not saved: save\\(\\) first"):
        shop.build_store("usearch")
    assert "has no store: a model has one" in refused("hf-hub:a/b")


def test_another_folder_is_used_only_if_nothing_else_is_in_it(small, tmp_path):
    needs("usearch")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letters.txt").write_text("dear")
    with pytest.raises(UserError, match="holds something else"):
        Recommender.load(small).build_store(f"usearch:{tmp_path / 'full'}")
    place = f"usearch:{tmp_path / 'free' / 'deep'}"
    Recommender.load(small).build_store(place)
    assert Recommender.load(small, store=place)._state.store.name == "usearch"


# the commands


def test_a_store_is_built_and_asked_by_commands(small, store, capsys):
    model = ["--model", str(small)]
    assert main(["index", *model, "--store", store]) == 0
    assert "12 items in" in capsys.readouterr().err
    request = ["recommend", "red dress", *model, "--json", "--k=3"]
    assert main(request) == 0
    exact = json.loads(capsys.readouterr().out)
    assert main([*request, "--store", store, "--candidates=5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [e["item"] for e in found["items"]] == [e["item"] for e in exact["items"]]


def test_a_command_refuses_in_one_sentence(small, capsys):
    for arguments in (
        ["index", "--model", str(small), "--store", "exact"],
        ["index", "--model", str(small), "--store", "faiss"],
        ["recommend", "x", "--model", str(small), "--store", "usearch"],
    ):
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert not said.out and len(said.err.strip().splitlines()) == 1


def test_nothing_of_a_store_is_imported_before_it_is_asked_for():
    code = (
        "import sys; import recbole_whisperlite.recommend.recommender; "
        "assert not {'usearch', 'pymilvus', 'milvus_lite', 'faiss'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
