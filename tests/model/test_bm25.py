"""BM25 beside its formula, written out with loops."""

import math
import re

import pytest
import torch
from close import assert_close_relative
from recbole.utils import get_model
from tiny import write_tiny

from recbole_whisperlite.errors import UserError

ITEMS = {
    "i1": "Red dress. A dress, and a red one.",
    "i2": "Blue shoes",
    "i3": "Wedding dress of silk, long and white, with a train",
    "i4": "Coat",
    "i5": "V neck in red",
    "i6": "Blue coat, blue lining",
    "i7": "NA",
    "i8": "long long sleeve",
    "i9": "👗",
}


def lucene(query, documents, k1, b):
    """Robertson's sum with Lucene's idf (never negative) and no (k1 + 1) factor."""
    documents = [re.findall(r"\w+", text.lower()) for text in documents]
    average = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0
        for word in re.findall(r"\w+", query.lower()):
            containing = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - containing + 0.5) / (containing + 0.5))
            count = document.count(word)
            if count:
                norm = k1 * (1 - b + b * len(document) / average)
                score += idf * count / (count + norm)
        scores.append(score)
    return scores


@pytest.mark.parametrize("given", [{}, {"k1": 0.9, "b": 0.4}])
def test_scores_are_those_of_the_formula(tmp_path, prepare, given):
    config, _, (train, _, _) = prepare(
        "BM25", write_tiny(tmp_path, items=ITEMS), **given
    )
    model = get_model("BM25")(config, train._dataset)
    requests = torch.arange(1, len(train._dataset.request_texts))
    scores = model.score_catalogue(requests)
    assert (scores[:, 0] == 0).all()
    expected = [
        lucene(text, train._dataset.item_texts[1:], config["k1"], config["b"])
        for text in train._dataset.request_texts[1:]
    ]
    assert torch.tensor(expected).count_nonzero() > 10
    expected = torch.tensor(expected)
    assert_close_relative(scores[:, 1:], expected)


def test_a_request_without_a_known_word_scores_0_everywhere(tiny, prepare):
    config, _, (train, _, _) = prepare("BM25", tiny)
    model = get_model("BM25")(config, train._dataset)
    assert model.score_catalogue(torch.tensor([0, 1])).count_nonzero() == 0


def test_a_catalogue_without_words_is_refused(tmp_path, prepare):
    items = dict.fromkeys(ITEMS, "👗")
    config, _, (train, _, _) = prepare("BM25", write_tiny(tmp_path, items=items))
    with pytest.raises(UserError, match="no item text contains a word"):
        get_model("BM25")(config, train._dataset)
