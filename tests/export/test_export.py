"""An exported model answers as RecBole's model does, and stands on its own."""

import json

import numpy as np
import pytest

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.recommender import Recommender

from exported_shop import assert_same_scores, queries


@pytest.mark.parametrize(
    "name", ["WhisperLite", "Whisper", "ZeroShot", "BM25", "RequestPop", "LateFusion"]
)
def test_every_model_that_can_score_a_text_scores_as_in_recbole(exported, name):
    assert_same_scores(*exported(name))


@pytest.mark.parametrize("parts", [["EASE", "SLIMElastic", "ZeroShot"]])
def test_late_fusion_of_other_parts(exported, parts):
    assert_same_scores(*exported("LateFusion", fusion_models=parts))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_memory": False},
        {"use_neighbors": False},
        {"use_history": False},
        {"use_refusals": False},
        {"refusal_strength": 0.5, "MAX_ITEM_LIST_LENGTH": 2, "neighbor_num": 3},
        dict.fromkeys(
            ("use_memory", "use_neighbors", "use_history", "use_refusals"), False
        ),
        {"normalize": False, "temperature": 0.5, "mlp_hidden_size": []},
        {"encoder": ["whisperlite-mini", "tfidf"], "vector_dtype": "float32"},
    ],
    ids=str,
)
def test_every_switch_of_whisperliteplus(exported, settings):
    assert_same_scores(*exported("WhisperLitePlus", **settings))


@pytest.mark.parametrize("use_text", [True, False])
def test_pictures(exported, use_text):
    settings = {"encoder": "whisperlite-mini", "use_image": True, "use_text": use_text}
    model, test_data, shop = exported("WhisperLite", **settings)
    assert_same_scores(model, test_data, shop)
    # a picture finds the product that it shows
    picture = shop.recommend("a coat", k=1, among=["i7"])[0].picture
    found, second = shop.recommend(image=picture, k=2)
    assert found.item == "i7" and found.score > second.score
    scale = float(model.logit_scale.exp())
    assert found.parts["picture"] == pytest.approx(scale, rel=1e-3)  # a cosine of 1
    both = shop.recommend("a red dress", image=picture, k=30)
    text = {each.item: each.score for each in shop.recommend("a red dress", k=30)}
    alone = {each.item: each.score for each in shop.recommend(image=picture, k=30)}
    for each in both:
        assert each.score == pytest.approx(text[each.item] + alone[each.item], abs=1e-4)
