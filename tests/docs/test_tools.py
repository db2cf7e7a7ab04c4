"""What docs/tools.md shows works: curl, Python, the notebook, the Dockerfile, Gradio."""

import configparser
import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

from recbole_whisperlite.serve import command
from recommend import shops

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs/examples"
PAGE = (ROOT / "docs/tools.md").read_text("utf-8")
#: What the page calls the service.
ADDRESS = "http://127.0.0.1:8000"


def blocks(heading, language):
    """The code blocks of a section."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with shop-model, in which there is the product that the page names."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "pictures").mkdir()
    for *_, image in shops.ITEMS:
        if image:
            Image.new("RGB", (40, 60), "red").save(folder / "pictures" / image)
    made = shops.shop("WhisperLitePlus")
    made._state = made._state._replace(catalogue=shops.catalogue(folder / "pictures"))
    made.add_items([{"item_id": "p1427", "title": "black summer dress"}])
    made.save(folder / "shop-model")
    return folder


@contextlib.contextmanager
def serving(words, folder):
    """Run a command line of the service on a free port; yield its address."""
    assert words[:2] == ["recbole-whisperlite", "serve"]
    run = [sys.executable, "-m", "recbole_whisperlite", *words[1:], "--port", "0"]
    with open(folder / "log", "w+", encoding="utf-8") as log:
        service = subprocess.Popen(run, cwd=folder, stderr=log)
        try:
            deadline = time.monotonic() + 300
            while not (found := re.search(r"^Open (\S+)", said(log), re.MULTILINE)):
                assert service.poll() is None, said(log)
                assert time.monotonic() < deadline, "it did not start"
                time.sleep(0.1)
            yield found[1].replace("0.0.0.0", "127.0.0.1")
        finally:
            service.terminate()
            try:
                service.wait(60)
            finally:
                service.kill()


def said(log):
    return Path(log.name).read_text("utf-8")


@pytest.fixture(scope="module")
def address(folder):
    """The service as the page starts it."""
    make_token, serve = blocks("curl", "bash")[0].splitlines()
    bash(make_token, folder)
    with serving(shlex.split(serve), folder) as address:
        yield address


def bash(commands, folder):
    """Run lines of a shell with the Python of the tests; return what they print."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_asks_stores_feedback_and_adds_a_product(address, folder):
    commands = blocks("curl", "bash")[1].replace(ADDRESS, address)
    ask, say, add = re.findall(r"^curl .*?[^\\]\n", commands, re.MULTILINE | re.DOTALL)

    answer = json.loads(bash(ask, folder))
    [shown] = blocks("curl", "json")
    assert_same_shape(json.loads(shown), answer)
    [first] = answer["answers"]
    assert first["understood"] == {"wish": "black dress", "ruled_out": "stripes"}
    assert len(first["items"]) == 3

    ask = ask.replace('"k": 3', '"k": 20')
    assert "p1427" in items(bash(ask, folder))
    assert json.loads(bash(say, folder)) == {"stored": 1}
    assert (folder / "feedback.db").is_file()
    after = items(bash(ask, folder))
    assert after and "p1427" not in after  # they have it

    n_items = len(shops.ITEMS) + 1
    assert json.loads(bash(add, folder)) == {
        "model": "shop-model",
        "items": n_items + 1,
    }


def items(printed):
    [answer] = json.loads(printed)["answers"]
    return [each["item"] for each in answer["items"]]


def assert_same_shape(shown, got):
    """Each object has the same names, but for parts of scores that are left out."""
    assert type(shown) is type(got)
    if isinstance(shown, list):
        for each in shown:
            assert_same_shape(each, got[0])
    elif isinstance(shown, dict):
        assert set(shown) == set(got) or {"text"} <= set(shown) <= set(got)
        for name, value in shown.items():
            if got[name] is not None:
                assert_same_shape(value, got[name])


def test_the_python_client_has_ten_lines_and_finds_products(address):
    [client] = blocks("Python, without this package", "python")
    assert len([line for line in client.splitlines() if line]) == 10
    imported = re.findall(r"^(?:from|import) (\w+)", client, re.MULTILINE)
    assert imported and set(imported) <= sys.stdlib_module_names
    printed = subprocess.run(
        [sys.executable, "-I", "-c", client.replace(ADDRESS, address)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    known = dict(zip(shops.IDS, shops.TEXTS)) | {"p1427": "black summer dress"}
    assert len(printed) == 3
    for rank, line in enumerate(printed, start=1):
        assert any(line == f"{rank} {id_} {text}" for id_, text in known.items()), line


# The notebook, without Jupyter: a cell's last expression is evaluated, and not shown.
RUN = """
import json, sys

names = {}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
row = names["row"]
print(json.dumps({
    "history": names["history"],
    "again": [each.item for each in names["again"]],
    "ruled_out": names["refused"].ruled_out,
    "pictures": sum(row.getpixel((160 * n + 5, 5)) != (255, 255, 255) for n in range(5)),
    "has_new": "new-1" in names["shop"],
}))
"""


def test_the_notebook_runs_where_the_model_is(folder):
    printed = subprocess.run(
        [sys.executable, "-c", RUN, str(EXAMPLES / "answer-a-request.ipynb")],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "[new-1] Fenfield yellow wool coat\nrank " in printed
    found = json.loads(printed.splitlines()[-1])
    assert found["has_new"] and found["ruled_out"] == "black"
    assert len(found["history"]) == 2 and len(found["again"]) == 5
    assert not {*found["history"]} & {*found["again"]}
    assert 1 <= found["pictures"] <= 5


def test_the_notebook_is_kept_in_jupyters_format_without_outputs():
    notebook = json.loads((EXAMPLES / "answer-a-request.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            assert not re.search(r"^[%!]", "".join(cell["source"]), re.MULTILINE)
        else:
            assert cell["cell_type"] == "markdown" and "outputs" not in cell


def instructions():
    """The Dockerfile as ``[(instruction, its arguments)]``."""
    text = (EXAMPLES / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = filter(None, map(str.strip, text.splitlines()))
    return [tuple(line.split(maxsplit=1)) for line in lines]


def only(name):
    [argument] = [value for key, value in instructions() if key == name]
    return argument


def test_the_image_has_what_the_package_is_built_of_and_nothing_else():
    copied = set()
    for name, argument in instructions():
        assert name not in ("ADD", "ARG", "ENV")  # which layers and history would keep
        if name == "COPY":
            copied.update(argument.split()[:-1])
    # the first six are what tests/test_wheel.py builds a wheel of
    assert copied == {
        "setup.cfg",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "properties",
        "recbole_whisperlite",
        "constraints.txt",
    }
    assert all((ROOT / name).exists() for name in copied)
    # pip only warns of an extra that is not there
    [install] = [value for name, value in instructions() if "pip install" in value]
    extra = re.search(r"'\.\[(\w+)\]'", install)[1]
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    assert extra in setup["options.extras_require"]
    # RecBole's ray is there for this Python
    assert only("FROM") == "python:3.11-slim"


def test_the_container_is_nobodys_root_and_writes_to_its_volume():
    names = [name for name, _ in instructions()]
    assert names.count("USER") == 1 and only("USER").isdecimal() and int(only("USER"))
    assert names.index("USER") > max(n for n, name in enumerate(names) if name == "RUN")
    made = [value for name, value in instructions() if name == "RUN"][-1]
    assert f"--uid {only('USER')} " in made
    args = command.make_parser().parse_args(json.loads(only("ENTRYPOINT"))[2:])
    assert args.feedback.startswith(f"sqlite:///{only('VOLUME')}/")
    assert args.host == "0.0.0.0" and not args.open and not args.own_code
    assert args.port == int(only("EXPOSE"))
    # the page mounts what the command reads, read-only
    [run] = blocks("Docker", "bash")
    assert f":{args.model[0].partition('=')[2]}:ro" in run
    assert f":{args.token_file}:ro" in run and f":{only('VOLUME')} " in run


def test_what_the_container_starts_is_healthy_and_wants_the_token(folder, tmp_path):
    start = only("ENTRYPOINT")
    (tmp_path / "token").write_text("a-token-of-many-letters")
    for inside, here in (
        ("=/model", f"={folder / 'shop-model'}"),
        ("/run/secrets/token", tmp_path / "token"),
        ("//feedback/", f"/{tmp_path}/"),
    ):
        assert inside in start
        start = start.replace(inside, str(here))
    check = only("HEALTHCHECK").partition(" CMD ")[2]
    with serving(json.loads(start), tmp_path) as address:
        assert ADDRESS in check
        check = json.loads(check.replace(ADDRESS, address))
        assert check[0] == "python"
        assert healthy(check) and (tmp_path / "feedback.db").is_file()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(address, {})
        [answer] = ask(address, {"Authorization": "Bearer a-token-of-many-letters"})
        assert len(answer["items"]) == 10
    assert not healthy(check)


def healthy(check):
    run = subprocess.run([sys.executable, *check[1:]], capture_output=True)
    return run.returncode == 0


def ask(address, headers):
    headers = {"Content-Type": "application/json", **headers}
    asking = urllib.request.Request(f"{address}/v1/recommend", b"{}", headers)
    with urllib.request.urlopen(asking) as response:
        return json.load(response)["answers"]


def load_app(folder, monkeypatch, pictures=None):
    monkeypatch.setenv("MODEL", str(folder / "shop-model"))
    monkeypatch.delenv("PICTURES", raising=False)
    if pictures:
        monkeypatch.setenv("PICTURES", str(pictures))
    spec = importlib.util.spec_from_file_location("app", EXAMPLES / "app.py")
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return app


def test_the_demo_is_short():
    assert len((EXAMPLES / "app.py").read_text("utf-8").splitlines()) < 40


def test_the_demo_finds_pictures_and_parts(folder, tmp_path, monkeypatch):
    # its own half: in place of Gradio stands something that takes any call
    monkeypatch.setitem(sys.modules, "gradio", mock.MagicMock())
    app = load_app(folder, monkeypatch)
    ruled_out, pictures, table = app.find("black dress, no stripes")
    assert ruled_out == "stripes" and len(table) == 9
    assert app.find("black dress")[0] == "nothing"

    text_of = {text: bool(image) for _, text, *_, image in shops.ITEMS}
    with_picture = [text for text in table["text"] if text_of.get(text)]
    assert with_picture and [text for _, text in pictures] == with_picture
    assert {picture.getpixel((0, 0)) for picture, _ in pictures} == {(255, 0, 0)}

    assert list(table)[:3] == ["rank", "item", "score"] and list(table)[-1] == "text"
    parts = table.drop(columns=["rank", "item", "score", "text"])
    assert len(parts.columns) > 5
    assert (parts.sum(axis=1) - table["score"]).abs().max() < 0.1  # rounded

    # pictures that are elsewhere are left out
    app = load_app(folder, monkeypatch, pictures=tmp_path)
    _, pictures, elsewhere = app.find("black dress, no stripes")
    assert pictures == [] and elsewhere.equals(table)


def test_the_demo_answers_in_gradio(folder, monkeypatch):
    reason = "Gradio is not installed; it wants an older Pillow than ours"
    pytest.importorskip("gradio", reason=reason)
    client = pytest.importorskip("gradio_client")
    demo = load_app(folder, monkeypatch).demo
    try:
        _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True)
        asked = client.Client(address, verbose=False)
        ruled_out, pictures, table = asked.predict(
            "black dress, no stripes", api_name="/find"
        )
    finally:
        demo.close()
    assert ruled_out == "stripes"
    assert len(table["data"]) == 9 and 0 < len(pictures) <= 9
    assert Image.open(pictures[0]["image"]).size == (40, 60)
