"""ZeroShot beside scikit-learn's cosine."""

import numpy as np
import pytest
import torch
from close import assert_close_relative
from recbole.utils import get_model
from sklearn.metrics.pairwise import cosine_similarity

from recbole_whisperlite.errors import UserError


def write_vectors(folder, side, ids, dim):
    vectors = np.random.default_rng(dim).normal(size=(len(ids), dim)).astype("f4")
    file = folder / f"{side}.npz"
    np.savez(file, ids=np.array(ids), vectors=vectors)
    return str(file)


def precomputed(folder, request_dim=4, item_dim=4):
    requests = [f"r{n}" for n in range(1, 13)]
    items = [f"i{n}" for n in range(1, 10)]
    return {
        "encoder": "precomputed",
        "vector_dtype": "float32",
        "request_vectors_file": write_vectors(folder, "request", requests, request_dim),
        "item_vectors_file": write_vectors(folder, "item", items, item_dim),
    }


def test_scores_are_cosines_of_the_frozen_vectors(tiny, prepare, tmp_path):
    config, _, (train, _, _) = prepare("ZeroShot", tiny, **precomputed(tmp_path))
    data = train._dataset
    model = get_model("ZeroShot")(config, data)
    scores = model.score_catalogue(torch.arange(data.num("request")))
    expected = cosine_similarity(data.request_vectors(), data.item_vectors())
    assert np.abs(expected).max() > 0.5
    assert_close_relative(scores, expected)


def test_vectors_of_different_sizes_are_refused(tiny, prepare, tmp_path):
    given = precomputed(tmp_path, 4, 5)
    config, _, (train, _, _) = prepare("ZeroShot", tiny, **given)
    with pytest.raises(UserError, match="vectors have 4 and 5 dimensions"):
        get_model("ZeroShot")(config, train._dataset)
