"""Like this, but …: a product that was shown, beside what should be different."""

import pytest
import shops

from recbole_whisperlite.errors import UserError

#: Those whose vectors or words say how alike two items are.
COMPARING = [kind for kind in shops.KINDS if kind not in ("RequestPop",)]


@pytest.mark.parametrize("kind", COMPARING)
def test_likeness_is_a_part_beside_those_of_a_history_that_ends_with_the_item(kind):
    shop = shops.shop(kind)
    found = shop.recommend("a blue dress", user="u1", like="i2", k=12)
    before = shop.recommend("a blue dress", history=[*shop.history("u1"), "i2"], k=12)
    assert [each.item for each in found] != []
    assert {each.item for each in found} == {each.item for each in before}
    assert "i2" not in {each.item for each in found}
    parts = {each.item: each.parts for each in before}
    for each in found:
        assert sum(each.parts.values()) == pytest.approx(each.score, abs=1e-4)
        others = {name: each.parts[name] for name in each.parts if name != "likeness"}
        assert others == pytest.approx(parts[each.item], abs=1e-5)


@pytest.mark.parametrize("kind", ["WhisperLite", "ZeroShot", "BM25"])
def test_likeness_grows_with_similarity_and_is_as_wide_as_the_scores(kind):
    shop = shops.shop(kind)
    found = shop.recommend("winter", like="i0", k=12)
    alike = {each.item: each.score for each in shop.similar("i0", k=12)}
    by_likeness = sorted(found, key=lambda each: -each.parts["likeness"])
    similarity = [alike[each.item] for each in by_likeness]
    assert similarity == sorted(similarity, reverse=True)


def test_several_requests_may_share_what_they_are_like():
    shop = shops.shop()
    both = shop.recommend(["cheaper", "in red"], like="i0", k=3)
    for text, answer in zip(["cheaper", "in red"], both):
        alone = shop.recommend(text, like="i0", k=3)
        assert [each.item for each in answer] == [each.item for each in alone]


@pytest.mark.parametrize(
    "kind, like, told",
    [
        ("RequestPop", "i0", "RequestPop cannot compare items"),
        ("WhisperLite", "x", "like: there is no item 'x'"),
        ("WhisperLite", ["i0"], "like must be one item id"),
    ],
)
def test_what_cannot_be_compared_is_refused(kind, like, told):
    with pytest.raises(UserError, match=told):
        shops.shop(kind).recommend("a dress", like=like)
