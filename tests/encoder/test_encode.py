from pathlib import Path

import numpy as np
import pytest

from recbole_whisperlite.encoder import encode, options
from recbole_whisperlite.errors import UserError

TEXTS = ["a red dress", "blue shoes 👟", "a red dress", "it " * 400]


def run(config):
    return encode(config, TEXTS, ids=list("abcd"), side="item", fit_texts=TEXTS)


def test_rows_follow_the_texts(settings):
    vectors = run(settings)
    assert vectors.shape[0] == 4
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert (vectors[0] != vectors[1]).any()


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"encoder": "tf-idf"},
            "'tf-idf' does not exist. Did you mean 'tfidf'.* Accepted: "
            "tfidf, open_clip, clip-vit-b-32, .*, sentence_transformers, precomputed",
        ),
        ({"encoder": None}, "'None' does not exist"),
        ({"vector_dtype": "float"}, "vector_dtype: .*float16, float32"),
        ({"encoder_dim": "8"}, "encoder_dim: must be an integer"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_accepted(settings, change, message):
    with pytest.raises(UserError, match=message):
        run({**settings, **change})


def test_vectors_of_several_encoders_stand_side_by_side(settings, tmp_path):
    own = np.eye(4, 3, dtype=np.float32)
    np.savez(tmp_path / "own.npz", ids=list("abcd"), vectors=own)
    settings = {**settings, "item_vectors_file": str(tmp_path / "own.npz")}
    first = run(settings)
    for names in (["tfidf", "precomputed"], "tfidf,precomputed"):
        both = run({**settings, "encoder": names})
        np.testing.assert_allclose(
            both, np.hstack([first, own]) / np.sqrt(2), atol=1e-3
        )
        assert both.dtype == first.dtype


@pytest.mark.parametrize(
    "names, message",
    [
        (["tfidf", "tfidf"], "names one twice"),
        ([], "names none"),
        (["tfidf", "clap"], "'clap' does not exist"),
    ],
)
def test_a_wrong_list_of_encoders_is_told(settings, names, message):
    with pytest.raises(UserError, match=message):
        run({**settings, "encoder": names})


def test_the_cache_lies_where_caches_of_the_user_lie(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert options.cache_folder({}) == Path("/somewhere/recbole-whisperlite")
    monkeypatch.delenv("XDG_CACHE_HOME")
    home = Path.home() / ".cache" / "recbole-whisperlite"
    assert options.cache_folder({"cache_dir": None}) == home
    assert options.cache_folder({"cache_dir": "~/mine"}) == Path.home() / "mine"
