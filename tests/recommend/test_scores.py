"""The scores of exported models, against formulas written out for one item at a time."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import shops
from recbole_whisperlite.recommend.count_scorers import PopularityScorer
from recbole_whisperlite.recommend.counts import RequestCounts
from recbole_whisperlite.recommend.plus_terms import Nearest
from recbole_whisperlite.recommend.scorer import Asked, NewItems

KINDS = [*shops.KINDS, "WhisperLitePlus with pictures"]
HISTORIES = [np.array(each, dtype=np.int64) for each in shops.HISTORIES.values()]
ASKED = Asked(
    ["red dress", "jeans, no stripes", "no heels", "", "blue shirt, no red"], HISTORIES
)


def make(kind):
    pictures = None
    if kind.endswith("pictures"):
        pictures = shops.picture_vectors()
    options = {} if pictures is None else {"pictures": pictures}
    return shops.scorer(kind.split()[0], **options)


def dense(matrix):
    return matrix.toarray().astype(np.float64)


def through_tower(tower, vector):
    """An MLP with ReLUs between its layers, one number after the other."""
    x = [float(v) for v in vector]
    for number, (weight, bias) in enumerate(tower.layers):
        x = [
            sum(w * v for w, v in zip(row, x)) + b
            for row, b in zip(weight.astype(float).tolist(), bias.tolist())
        ]
        if number < len(tower.layers) - 1:
            x = [max(v, 0.0) for v in x]
    length = math.sqrt(sum(v * v for v in x))
    return np.array(x) / length


def request_embedding(scorer, text):
    vectors = shops.encoder().encode([text or "a"])[0] * bool(text)
    return through_tower(scorer.embedder.request_tower, vectors)


def item_embeddings(scorer, pictures=None):
    embeddings = []
    for item, vector in enumerate(shops.encoder().encode(shops.TEXTS)):
        if pictures is not None:
            has_picture = float(any(pictures[item]))
            vector = [*vector, *pictures[item], has_picture]
        embeddings.append(through_tower(scorer.embedder.item_tower, vector))
    return np.array(embeddings)


def test_whisperlite_scores_by_the_scaled_dot_product_of_its_towers():
    scorer = make("WhisperLite")
    items = item_embeddings(scorer)
    scores = scorer.scores(scorer.encode(ASKED))
    for row, request in enumerate(ASKED.requests):
        expected = 7.5 * items @ request_embedding(scorer, request) * bool(request)
        np.testing.assert_allclose(scores[row], expected, atol=1e-4)


def plus_by_hand(scorer, wish, refusal, history, pictures, asked_picture):
    """The terms of WhisperLitePlus with their weights, as in model/whisperliteplus.py and
    model/terms.py, by the names of the parts that they belong to."""
    items, memory, n = item_embeddings(scorer, pictures), scorer.memory, 12
    w, known, latest = dict(scorer.weights), scorer.known, history[-4:]
    if not history:
        w |= scorer.weights_without_history
    request = ", ".join(filter(None, [wish, refusal]))
    e = request_embedding(scorer, wish) * bool(request)
    t = 7.5 * items @ e
    text = {"jeans, stripes": "jeans, no stripes", "heels": "no heels"}.get(request)
    texts = memory.counts.texts
    name = text or request
    counts = (
        dense(memory.counts.matrix)[texts.index(name)] if name in texts else np.zeros(n)
    )
    chosen = memory.popularity.astype(float)
    average = sum(chosen) / sum(c > 0 for c in chosen)
    of_new = (average + 0.1) * math.exp(-0.8)
    popularity = [c + 0.1 if c else of_new for c in chosen]
    z = sum(p * math.exp(x) for p, x, k in zip(popularity, t, known) if k)
    terms = {name: np.zeros(n) for name in w}
    for i in range(n):
        prior, n_chosen = popularity[i] / z * math.exp(t[i]), counts.sum()
        if not chosen[i]:
            n_chosen = 0
        terms["memory"][i] = math.log((counts[i] + 20 * prior) / (n_chosen + 20))
        terms["popularity"][i] = math.log(popularity[i])
        terms["unchosen"][i] = not chosen[i] and known[i]
        terms["seldom"][i] = 1 / chosen[i] if chosen[i] else 0
        shared = sum(dense(scorer.neighbors)[j, i] for j in latest)
        terms["neighbors"][i] = math.log1p(shared)
    terms["towers"] = t
    if wish and "zero_shot" in w:
        frozen = shops.encoder().encode([wish])[0] - scorer.vectors.mean
        away_from_mean = frozen @ scorer.vectors.projection
        away_from_mean /= math.sqrt(away_from_mean @ away_from_mean)
        terms["zero_shot"] = scorer.vectors.vectors @ away_from_mean
    if refusal:
        away = request_embedding(scorer, refusal)
        if e.any():  # without what it shares with the wish
            direction = e / math.sqrt(e @ e)
            away = away - max(away @ direction, 0) * direction
        terms["refusals"] = -7.5 * items @ away
        table = {
            ("heels", "heels"): 2.0,
            ("heels", "stripes"): 0.5,
            ("stripes", "red"): 0.3,
            ("stripes", "stripes"): 9.0,
        }
        for i, text in enumerate(shops.TEXTS):
            off = sum(table.get((refusal, word), 0.0) for word in text.split())
            terms["refused_words"][i] = -4 * math.tanh(off / 4)
    keys = scorer.similarity.keys.astype(float)
    terms["similarity"] = keys[:, 3].copy()  # the biases
    if latest:
        vectors = scorer.vectors.vectors.astype(float)
        logits = [10.0 * items[j] @ e for j in latest]
        attention = np.exp(logits) / np.exp(logits).sum()
        terms["history"] = vectors @ sum(
            a * vectors[j] for a, j in zip(attention, latest)
        )
        terms["transitions"] = np.log1p(dense(scorer.transitions)[latest[-1]])
        terms["nearest"] = [
            max(near_by_hand(scorer, j, i) for j in latest) for i in range(n)
        ]
        queries = scorer.similarity.queries.astype(float)
        at_end = [math.exp(x) for x in (0.5, 0.0, -0.25, -0.25)][: len(latest)][::-1]
        query = sum(a * queries[j] for a, j in zip(at_end, latest))
        query *= math.sqrt(len(latest)) / sum(at_end)
        terms["similarity"] += keys[:, :3] @ query
    for name in w:
        of_frequent = scorer.weights_of_frequent.get(name, w[name])
        weight = w[name] * (1 - scorer.frequency) + of_frequent * scorer.frequency
        terms[name] = weight * np.array(terms[name])
    parts = {name: terms[name] for name in terms if name not in NOT_A_PART}
    parts["refusals"] = parts["refusals"] + terms["refused_words"]
    parts["text"] = terms["towers"] + w["memory"] * t + terms.get("zero_shot", 0)
    if asked_picture is not None:
        scale = 7.5 * (w["memory"] + w["towers"])
        parts["picture"] = scale * pictures @ asked_picture
    total = sum(terms.values()) + parts.get("picture", 0.0)
    return parts, total


# what these say is in the parts text, popularity and memory
NOT_A_PART = (
    *("towers", "zero_shot", "unchosen", "memory", "popularity", "seldom"),
    "refused_words",  # is in refusals
)


def near_by_hand(scorer, j, i):
    """The cosine of two items if i is as near to j as its third of those in training."""
    vectors = scorer.vectors.vectors.astype(float)
    cosine = {m: vectors[j] @ vectors[m] * (m != j) for m in range(len(vectors))}
    third = sorted(cosine[m] for m in cosine if scorer.known[m])[-3]
    return cosine[i] if cosine[i] >= third - 1e-6 and cosine[i] > 0 else 0.0


CASES = [
    ("red dress", "red dress", ""),
    ("black coat", "black coat", ""),
    ("jeans, no stripes", "jeans", "stripes"),
    ("no heels", "", "heels"),
    ("blue shirt", "blue shirt", ""),
    ("", "", ""),
]


@pytest.mark.parametrize("with_pictures", [False, True])
@pytest.mark.parametrize("request_, wish, refusal", CASES)
def test_whisperliteplus_scores_by_its_formula(request_, wish, refusal, with_pictures):
    pictures = shops.picture_vectors() if with_pictures else None
    scorer = make("WhisperLitePlus" + " with pictures" * with_pictures)
    # three items are new since the training
    scorer.known[[2, 5, 11]] = False
    memory = scorer.memory
    memory.popularity[[2, 11]] = 0
    matrix = memory.counts.matrix.toarray()
    matrix[:, [2, 11]] = 0
    counts = RequestCounts(memory.counts.texts, csr_matrix(matrix))
    scorer._remember_by(dataclasses.replace(memory, counts=counts))
    vectors = scorer.vectors.vectors
    scorer.nearest = shops.nearest_items(vectors, scorer.known, 3)
    asked_picture = pictures[1] if with_pictures else None
    for history in shops.HISTORIES.values():
        asked = Asked(
            [request_],
            [np.array(history, dtype=np.int64)],
            None if asked_picture is None else asked_picture[None],
        )
        batch = scorer.encode(asked)
        parts, expected = plus_by_hand(
            scorer, wish, refusal, history, pictures, asked_picture
        )
        found = scorer.parts(batch, np.arange(12)[None])
        assert {*found} - {*parts} - {"picture"} == {"memory", "popularity"}
        for name in parts:
            np.testing.assert_allclose(found[name][0], parts[name], atol=2e-4)
        total = scorer.scores(batch)[0]
        np.testing.assert_allclose(total, expected, atol=5e-4)


def test_requestpop_is_the_log_of_counts_and_breaks_ties_by_popularity():
    matrix = csr_matrix(np.array([[2, 0, 1], [0, 3, 0]], dtype=np.float32))
    scorer = PopularityScorer(
        "RequestPop", np.float32([2, 3, 1]), RequestCounts(["a", "b"], matrix)
    )
    nobody = [np.zeros(0, dtype=np.int64)] * 3
    scores = scorer.scores(scorer.encode(Asked(["a", "b", "c"], nobody)))
    log = np.log([1, 2, 3, 4])
    popularity = 1e-4 * log[[2, 3, 1]] / log[3]
    expected = popularity + [log[[2, 0, 1]], log[[0, 3, 0]], log[[0, 0, 0]]]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_pop_is_popularity_over_the_highest():
    none = RequestCounts([], csr_matrix((0, 3), dtype=np.float32))
    scorer = PopularityScorer("Pop", np.float32([2, 4, 1]), none)
    scores = scorer.scores(scorer.encode(Asked(["a"], [np.zeros(0, dtype=np.int64)])))
    np.testing.assert_allclose(scores, [[0.5, 1, 0.25]])


def test_bm25_sums_the_weights_of_shared_words():
    scorer = make("BM25")
    weights, words = dense(scorer.weights), scorer.words
    asked = Asked(["Red WINTER red unknown"], [np.zeros(0, dtype=np.int64)])
    expected = 2 * weights[words.index("red")] + weights[words.index("winter")]
    np.testing.assert_allclose(
        scorer.scores(scorer.encode(asked))[0], expected, rtol=1e-6
    )


def test_similar_items_sums_the_similarities_to_the_history():
    scorer = shops.similar_scorer(np.random.default_rng(0))
    asked = Asked(["x", "x"], [np.array([1, 5, 5]), np.array([], dtype=np.int64)])
    similarity = dense(scorer.similarity)
    scores = scorer.scores(scorer.encode(asked))
    np.testing.assert_allclose(scores[0], similarity[1] + 2 * similarity[5], rtol=1e-6)
    assert not scores[1].any()


def test_latefusion_adds_standardised_scores_by_their_weights():
    scorer = make("LateFusion")
    scorer.known[[0, 3]] = False
    scores = scorer.scores(scorer.encode(ASKED))
    expected = np.zeros_like(scores, dtype=float)
    for name, part in scorer.of.items():
        of_part = part.scores(part.encode(ASKED)).astype(float)
        for row, values in enumerate(of_part):
            known = [v for v, is_known in zip(values, scorer.known) if is_known]
            mean = sum(known) / 10
            deviation = math.sqrt(sum((v - mean) ** 2 for v in known) / 10)
            if deviation > 1e-6 * abs(mean):
                expected[row] += scorer.weights[name] * (values - mean) / deviation
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_a_score_add_up_to_it(kind):
    scorer = make(kind)
    asked = ASKED
    if scorer.knows_pictures:
        asked = asked._replace(pictures=scorer.pictures[:5])
    batch = scorer.encode(asked)
    items = np.tile(np.arange(12), (5, 1))
    total = sum(scorer.parts(batch, items).values())
    np.testing.assert_allclose(total, scorer.scores(batch), atol=2e-4)


def test_products_that_encoding_needs_are_those_of_the_scores():
    """Of all items for the normalizer of the memory, unless refusals are to be added."""
    scorer = make("WhisperLitePlus")
    wishes, refusing = ["red dress", "", "warm"], ["red dress", "no heels", "warm"]
    histories = [np.array([0, 3]), np.array([], dtype=np.int64), np.array([5])]
    batch = scorer.encode(Asked(wishes, histories))
    assert [*batch.products] == [0]
    without = dataclasses.replace(batch, products={})
    scores = scorer.scores(batch)
    np.testing.assert_allclose(scores, scorer.scores(without), rtol=1e-5, atol=1e-5)
    assert np.array_equal(scorer.scores(batch), scores)  # it has not changed
    batch.products[0] += 1
    np.testing.assert_allclose(scorer.scores(batch), scores + 1, rtol=1e-5)
    assert not scorer.encode(Asked(refusing, histories)).products
    given = scorer.encode(Asked(wishes, histories), scorer.log_normalizers)
    assert not given.products  # as of a store, which reads some items only


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_scores_like_its_rows_alone(kind):
    scorer = make(kind)
    together = scorer.scores(scorer.encode(ASKED))
    for row in range(5):
        alone = Asked(ASKED.requests[row : row + 1], ASKED.histories[row : row + 1])
        np.testing.assert_allclose(
            scorer.scores(scorer.encode(alone))[0], together[row], atol=1e-4
        )


@pytest.mark.parametrize("kind", KINDS)
def test_keeping_all_items_in_another_order_moves_the_scores_with_them(kind):
    scorer, order = make(kind), np.random.default_rng(5).permutation(12)
    moved = scorer.keep_items(order)
    place = np.argsort(order)
    histories = [place[history] for history in ASKED.histories]
    scores = scorer.scores(scorer.encode(ASKED))
    found = moved.scores(moved.encode(ASKED._replace(histories=histories)))
    np.testing.assert_allclose(found, scores[:, order], atol=1e-4)


@pytest.mark.parametrize("kind", ["WhisperLite", "ZeroShot", "BM25"])
def test_an_item_that_is_added_scores_like_the_same_text_that_was_there(kind):
    scorer = make(kind)
    wider = scorer.with_items(NewItems([shops.TEXTS[3], shops.TEXTS[0]], None))
    scores = wider.scores(wider.encode(ASKED))
    np.testing.assert_allclose(scores[:, [12, 13]], scores[:, [3, 0]], atol=1e-5)
    before = scorer.scores(scorer.encode(ASKED))
    np.testing.assert_allclose(scores[:, :12], before, atol=1e-5)


def test_an_item_that_is_added_to_whisperliteplus_is_one_that_nobody_chose():
    scorer = make("WhisperLitePlus with pictures")
    picture = scorer.pictures[3:4]
    wider = scorer.with_items(NewItems([shops.TEXTS[3]], picture))
    items = np.tile([[3, 12]], (5, 1))
    parts = wider.parts(wider.encode(ASKED), items)
    for name in ("text", "refusals", "picture"):
        np.testing.assert_allclose(parts[name][:, 0], parts[name][:, 1], atol=1e-5)
    # of what depends on how often an item was chosen it has the weight of never
    ratio = -0.6 * scorer.frequency[3] + scorer.weights["history"] * (
        1 - scorer.frequency[3]
    )
    np.testing.assert_allclose(
        parts["history"][:, 0] * scorer.weights["history"],
        parts["history"][:, 1] * ratio,
        atol=1e-5,
    )
    assert not parts["neighbors"][:, 1].any() and not parts["transitions"][:, 1].any()
    # known as little as an item that nobody chose, which nobody could
    average = scorer.memory.popularity.sum() / (scorer.memory.popularity > 0).sum()
    columns = [np.log(average + 0.1) - 0.8, 1, 0, 0]
    np.testing.assert_allclose(wider.columns[12], columns, rtol=1e-6)
    # the others keep their scores: a new item takes nothing of their share
    before = scorer.scores(scorer.encode(ASKED))
    np.testing.assert_allclose(
        wider.scores(wider.encode(ASKED))[:, :12], before, atol=1e-4
    )


def test_transitions_are_those_from_the_latest_item():
    scorer = make("WhisperLitePlus")
    steps = np.zeros((12, 12), dtype=np.float32)
    steps[3, 7], steps[4, 2] = 15.0, 30.0 / math.sqrt(6)
    scorer.transitions = csr_matrix(steps)
    asked = Asked(["hat"] * 3, [np.array(each, int) for each in ([3, 4], [4, 3], [])])
    found = scorer.parts(scorer.encode(asked), np.tile(np.arange(12), (3, 1)))
    expected = np.zeros((3, 12))
    # weights between .7 for an item that nobody chose and .2 for the most frequent
    weight = 0.7 - 0.5 * scorer.frequency
    expected[0, 2] = weight[2] * math.log(1 + 30 / math.sqrt(6))
    expected[1, 7] = weight[7] * math.log(16)
    np.testing.assert_allclose(found["transitions"], expected, rtol=1e-6)


def test_nearest_items_and_those_that_come_later():
    # angles of items in a plane, of which the last two came after the training
    angles = np.radians([0, 10, 30, 60, 20, 55])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    known = np.array([True] * 4 + [False] * 2)
    # the two nearest in training: of 0 1 and 2, of 1 0 and 2, of 2 1 and 0 (both are at
    # 30 degrees from it or less, as is 3), of 3 2 and 1
    table = np.zeros((4, 4), dtype=np.float32)
    cosine = vectors @ vectors.T
    for item, near in enumerate([[1, 2], [0, 2], [1, 0, 3], [2, 1]]):
        table[item, near] = cosine[item, near]
    nearest = Nearest.of_table(csr_matrix(table), np.ones(4, dtype=bool), 2)
    cosines = np.cos(np.radians([30, 20, 30, 50]))
    np.testing.assert_allclose(nearest.least, cosines, rtol=1e-6)

    wider = nearest.with_items(vectors, known)
    # of 4: 1 and 2, ten degrees away; of 5: 3 and 2
    np.testing.assert_allclose(wider.least[4:], np.cos(np.radians([10, 25])), rtol=1e-6)
    degrees = {
        (0,): {1: 10, 2: 30, 4: 20},
        (1,): {0: 10, 2: 20, 4: 10},
        (2,): {1: 20, 0: 30, 3: 30, 4: 10, 5: 25},
        (3,): {2: 30, 1: 50, 4: 40, 5: 5},
        (4,): {1: 10, 2: 10},
        (5,): {3: 5, 2: 25},
        (0, 3, 3): {1: 10, 2: 30, 4: 20, 5: 5},
        (): {},
    }
    histories = [np.array(each, dtype=np.int64) for each in degrees]
    expected = np.zeros((8, 6))
    for row, of_row in enumerate(degrees.values()):
        for item, angle in of_row.items():
            expected[row, item] = math.cos(math.radians(angle))
    found = wider.of(histories, vectors, known)
    assert found.has_canonical_format or not found.copy().sum_duplicates()
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)
    # without item 1 nothing comes nearer
    kept = np.array([0, 2, 3, 4, 5])
    fewer = wider.keep_items(kept)
    place = np.argsort(np.append(kept, 1))
    histories = [place[each] for each in histories if 1 not in each]
    found = fewer.of(histories, vectors[kept], known[kept])
    np.testing.assert_allclose(
        found.toarray(), np.delete(expected, 1, axis=0)[:, kept], atol=1e-6
    )


def test_many_new_items_that_are_all_alike_take_no_table():
    scorer = make("WhisperLitePlus")
    wider = scorer.with_items(NewItems(["red dress"] * 1000, None))
    assert wider.nearest.cosine[:, 12:].nnz == 0
    asked = Asked(["dress"], [np.array([12])])
    near = wider.parts(wider.encode(asked), np.arange(12, 1012)[None])["nearest"]
    np.testing.assert_allclose(near[0, 1:], 1.7, rtol=1e-5)
    assert near[0, 0] == 0


def test_a_new_item_far_better_than_all_others_leaves_numbers():
    scorer = make("WhisperLitePlus")
    scorer.scale = 500.0
    scorer.known[:] = False
    scorer.known[int(scorer.scores(scorer.encode(ASKED))[0].argmin())] = True
    assert np.isfinite(scorer.scores(scorer.encode(ASKED))).all()


@pytest.mark.parametrize("kind", ["WhisperLitePlus", "LateFusion"])
def test_when_no_item_of_the_training_is_left_there_are_still_numbers(kind):
    scorer = make(kind).with_items(NewItems(["grey hat", "red hat", "hat"], None))
    left = scorer.keep_items(np.arange(12, 15))
    nobody = Asked(["red hat", ""], [np.zeros(0, dtype=np.int64)] * 2)
    scores = left.scores(left.encode(nobody))
    assert scores.shape == (2, 3) and np.isfinite(scores).all()


def test_counts_change_as_a_dictionary_of_counters_would():
    rng = np.random.default_rng(0)
    counts = RequestCounts(["a", "b"], csr_matrix((2, 5), dtype=np.float32))
    expected = {}
    for _ in range(200):
        text, item = "abcd"[rng.integers(4)], int(rng.integers(5))
        before, counts = counts, counts.with_choice(text, item)
        assert counts.times(text, item) == before.times(text, item) + 1
        expected[text, item] = expected.get((text, item), 0) + 1
    wider = counts.with_items(2)
    for found in (counts, wider, RequestCounts(counts.texts, counts.matrix)):
        matrix = dense(found.matrix)
        assert sorted(found.texts) == list("abcd")
        for row, text in enumerate(found.texts):
            for item in range(5):
                assert matrix[row, item] == expected.get((text, item), 0)
        assert found.of(["nobody", "c"]).toarray()[:, :5].tolist() == [
            [0] * 5,
            [expected.get(("c", item), 0) for item in range(5)],
        ]
    assert counts.keep_items(np.array([4, 0])).times("a", 0) == expected["a", 4]
