"""That the measurement of docs/reliability.md still measures, and finds failures."""

import pytest

from recbole_whisperlite.serve import api
from recbole_whisperlite.serve.shops import Shop

pytest.importorskip("schemathesis", reason="the extra load is not installed")
import malformed_bodies  # noqa: E402


def test_malformed_bodies_make_no_failure(capsys):
    assert malformed_bodies.measure(80, seed=1) == 0
    assert "80 requests: " in capsys.readouterr().out


def test_a_failure_is_found(capsys, monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(Shop, "answer", fail)
    assert malformed_bodies.measure(60, seed=1) > 0
    assert "500 {" in str(capsys.readouterr())


def test_a_response_that_is_not_in_the_schema_is_found(capsys, monkeypatch):
    about = api._about

    def without_a_name(shop):
        return {**about(shop), "items": "many"}

    monkeypatch.setattr(api, "_about", without_a_name)
    assert malformed_bodies.measure(60, seed=1) > 0
