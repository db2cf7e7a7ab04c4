"""The command line: what is wrong is a sentence before anything is loaded."""

import socket

import pytest

from recbole_whisperlite import cli
from recbole_whisperlite.serve import listening
from serve.expected import TOKEN


@pytest.fixture
def refused(plus, capsys, monkeypatch):
    """Return a function (arguments…) -> the sentence with which the command ends."""
    monkeypatch.setattr(listening, "serve", lambda *_: pytest.fail("it serves"))

    def run(*arguments, model=None):
        models = ["--model", str(plus)] if model is None else model
        defaults = ["--port", "0", "--feedback", "none"]
        try:
            status = cli.main(["serve", *models, *defaults, *arguments])
        except SystemExit as error:  # argparse's
            status = error.code
        said = capsys.readouterr().err
        assert status == 2 and "Traceback" not in said
        return said

    return run


def test_another_address_needs_a_token_or_open(refused):
    for host in ("0.0.0.0", "::", "192.168.0.1", "shop.example", ""):
        said = refused("--host", host)
        assert "--token-file" in said and "--open" in said


def test_an_address_that_is_taken(refused):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert "--port 0 takes any" in refused("--port", port)


def test_an_address_that_another_took_meanwhile():
    first, second = (listening.listen("127.0.0.1", 0), None)
    port = first.getsockname()[1]
    second = listening.listen("127.0.0.1", port)  # neither listens yet
    first.listen()
    with first, second, pytest.raises(ValueError, match="cannot be used"):
        listening.serve(None, second, print)


@pytest.mark.parametrize("port", ["-1", "65536", "http", "80.5", ""])
def test_a_port_that_is_none(refused, port):
    assert "is not a port, 0 to 65535" in refused("--port", port)


def test_an_address_that_is_none(refused):
    said = refused("--host", "no such host.", "--open")
    assert "cannot be used" in said


def test_a_token_that_can_be_guessed(refused, tmp_path):
    (tmp_path / "token").write_text("secret")
    said = refused("--token-file", "token")
    assert "openssl rand -hex 32" in said and "secret" not in said


def test_no_model_and_two_of_one_name(refused, plus, bm25, tmp_path):
    assert "--model" in refused(model=[])
    assert "nowhere" in refused(model=["--model", "nowhere"])
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(model=["--model", "empty"])
    same = ["--model", f"a={plus}", "--model", f"a={bm25}"]
    assert "are both called a" in refused(model=same)
    for wrong in ("=x", "x="):
        assert "name=folder" in refused(model=["--model", wrong])


def test_a_database_that_cannot_be_used(refused, tmp_path):
    said = refused("--feedback", "sqlite:///nowhere/f.db")
    assert "unable to open database file" in said


def test_what_is_not_installed(refused, monkeypatch):
    find = listening.importlib.util.find_spec
    monkeypatch.setattr(
        listening.importlib.util,
        "find_spec",
        lambda name: None if name == "fastapi" else find(name),
    )
    assert "pip install 'recbole-whisperlite[serve]'" in refused()


def test_it_serves_what_it_was_told(plus, bm25, tmp_path, monkeypatch, capsys):
    from fastapi.testclient import TestClient

    (tmp_path / "token").write_text(TOKEN)

    def ask(app, bound, say):
        with TestClient(app, base_url="http://shop.example") as client:
            assert client.get("/v1/models").status_code == 401
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            models = client.get("/v1/models", headers=bearer).json()
        assert [model["name"] for model in models] == ["plus", "words"]
        say(listening.address(bound))

    monkeypatch.setattr(listening, "serve", ask)
    argv = ["serve", "--model", str(plus), "--model", f"words={bm25}", "--port", "0"]
    argv += ["--host", "0.0.0.0", "--token-file", "token"]
    assert cli.main(argv) == 0
    said = capsys.readouterr().err
    assert "Open http://0.0.0.0:" in said and "12 items" in said
    assert (tmp_path / "feedback.db").exists()
