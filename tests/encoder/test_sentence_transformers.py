"""The library is an extra: here a small module takes its place."""

import importlib.metadata
import sys
import types

import numpy as np
import pytest

from recbole_whisperlite.encoder import encode
from recbole_whisperlite.encoder import sentence_transformers as ours
from recbole_whisperlite.encoder.sentence_transformers import SentenceTransformers
from recbole_whisperlite.errors import UserError


class FakeModel:
    """Reads four words; a vector counts the letters a and b, and is not normalised."""

    max_seq_length = 4

    def __init__(self, name, device):
        if name == "not-there":
            raise OSError("We couldn't connect to\n'https://huggingface.co'")
        self.loaded = (name, device)

    def encode(self, texts, batch_size, show_progress_bar):
        assert batch_size == 4 and not show_progress_bar
        texts = [" ".join(text.split()[: self.max_seq_length]) for text in texts]
        return np.array([[t.count("a"), t.count("b")] for t in texts], dtype=np.float32)

    def tokenizer(self, texts, truncation, verbose):
        assert not truncation
        return {"input_ids": [text.split() for text in texts]}


@pytest.fixture
def config(settings, monkeypatch):
    module = types.SimpleNamespace(SentenceTransformer=FakeModel)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr(ours, "_version", lambda: "1.0")
    return {**settings, "encoder": "sentence_transformers"}


def run(config, texts):
    return encode(config, texts, ids=texts, side="request", fit_texts=[])


def test_vectors_have_length_one(config):
    np.testing.assert_allclose(
        run(config, ["a", "a b", "b b b b"]),
        [[1, 0], [np.sqrt(0.5), np.sqrt(0.5)], [0, 1]],
        rtol=1e-5,
    )


def test_long_texts_are_cut_or_read_in_chunks(config, caplog):
    text = "a a a a b b b b"
    assert run(config, [text]).tolist() == [[1, 0]]
    assert "1 of 1 texts have more than the 4 tokens" in caplog.text
    chunks = run({**config, "long_text": "mean_of_chunks"}, [text])
    np.testing.assert_allclose(chunks, [[np.sqrt(0.5)] * 2], rtol=1e-5)


def test_a_folder_is_known_by_its_content(config, tmp_path):
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    config["sentence_transformers_model"] = str(folder)
    before = SentenceTransformers(config, []).fingerprint()
    assert SentenceTransformers(config, [])._loaded.loaded == (str(folder), "cpu")
    folder.rename(tmp_path / "elsewhere")
    config["sentence_transformers_model"] = str(tmp_path / "elsewhere")
    assert SentenceTransformers(config, []).fingerprint() == before
    (tmp_path / "elsewhere" / "1_Pooling" / "config.json").write_text('{"max": true}')
    assert SentenceTransformers(config, []).fingerprint() != before


def test_a_model_that_cannot_be_fetched_is_one_error_with_ways_out(config):
    config["sentence_transformers_model"] = "not-there"
    with pytest.raises(UserError) as error:
        run(config, ["a"])
    message = str(error.value)
    assert "\n" not in message
    for part in ("'not-there'", "/path/to/its/folder", "encoder: tfidf", "connect"):
        assert part in message


def test_without_the_library_the_error_holds_the_pip_line(settings, monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    settings["encoder"] = "sentence_transformers"
    with pytest.raises(UserError, match=r"pip install .*\[sentence_transformers\]"):
        run(settings, ["a"])
