"""What is released: the source distribution, and the wheel that is built of it.

The wheel is looked at in a clean environment and away from the checkout.
"""

import email
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
LOOK = """
import recbole_whisperlite
from recbole.config import Config
from recbole.utils import get_model
from recbole_whisperlite.benchmark import plan
from recbole_whisperlite.paths import PROPERTIES

print(recbole_whisperlite.__file__)
print(PROPERTIES)
print(get_model("WhisperLite").__name__)
print((PROPERTIES / "model" / "WhisperLite.yaml").is_file())
print(Config("WhisperLite", "ml-100k", ["whisperlite-paper"])["contrastive"])
print(len(plan.make_plan(["--config_files=benchmark-hm"]).rows) > 15)
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The source distribution, built from a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("sdist")
    left_by_runs = shutil.ignore_patterns("__pycache__", "_build")
    for name in ("recbole_whisperlite", "properties", "docs", "tests", "results"):
        shutil.copytree(CHECKOUT / name, folder / "copy" / name, ignore=left_by_runs)
    for path in CHECKOUT.iterdir():
        if path.is_file():
            shutil.copy(path, folder / "copy")
    build = ["--sdist", "--no-isolation", "--outdir", str(folder)]
    run(sys.executable, "-m", "build", *build, str(folder / "copy"))
    [built] = folder.glob("*.tar.gz")
    with tarfile.open(built) as packed:
        packed.extractall(folder, filter="data")
    return folder / built.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    run(sys.executable, "-m", "pip", "wheel", *build, str(unpacked))
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as packed:
        [name] = [each for each in packed.namelist() if each.endswith("/METADATA")]
        return email.message_from_bytes(packed.read(name))


def test_the_source_distribution_has_what_its_tests_and_make_need(unpacked):
    for folder, pattern in (
        ("tests", "**/*.*"),
        ("properties", "**/*.yaml"),
        ("docs", "*.*"),
        ("docs/examples", "*"),
        ("results", "*/benchmark.md"),
        (".", "*.txt"),
        (".", "*.md"),
    ):
        expected = {
            path.relative_to(CHECKOUT)
            for path in (CHECKOUT / folder).glob(pattern)
            if path.is_file() and path.suffix != ".pyc"
        }
        assert expected
        assert {path for path in expected if not (unpacked / path).is_file()} == set()
    for name in ("Makefile", "run_recbole.py", "CITATION.cff", "results/index.yaml"):
        assert (unpacked / name).read_bytes() == (CHECKOUT / name).read_bytes()


def test_the_source_distribution_has_nothing_that_runs_left(unpacked):
    # the copy it was built from may have had them
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}
    left = r"\.pyc$|/runs/|/tune/|^results/[^/]+/(units|report|benchmark\.json)|_build"
    assert [name for name in sorted(names) if re.search(left, name)] == []


def test_the_description_leads_nowhere_that_an_index_does_not_have(metadata):
    text = metadata.get_payload()
    assert text.startswith("# recbole-whisperlite\n") and "| WhisperLite |" in text
    assert "pip install recbole-whisperlite " in text and "pip install . " not in text
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets and all(target.startswith("https://") for target in targets)
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_metadata_say_what_an_index_shows(metadata):
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License"] == "MIT" and metadata["License-File"] == "LICENSE"
    assert "RecBole" in metadata["Keywords"].split(",")
    classifiers = set(metadata.get_all("Classifier"))
    for minor in (10, 11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert "License :: OSI Approved :: MIT License" in classifiers


def test_the_wheel_holds_every_file_and_yaml(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = (CHECKOUT / "recbole_whisperlite").rglob("*")
    yamls = (CHECKOUT / "properties").rglob("*.yaml")
    expected = {
        str(file.relative_to(CHECKOUT))
        for file in files
        if file.is_file() and file.suffix != ".pyc"
    }
    expected |= {f"recbole_whisperlite/{file.relative_to(CHECKOUT)}" for file in yamls}
    assert len(expected) > 20
    # a package that is missing here is missing in setup.cfg's list
    assert expected - packed == set()


def test_the_installed_wheel_finds_model_and_yaml(wheel, tmp_path):
    venv.create(tmp_path / "clean", with_pip=False)
    python = tmp_path / "clean" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--no-deps", "--no-index", str(wheel))
    [site] = (tmp_path / "clean").glob("lib/python*/site-packages")
    # The dependencies, as tested: a path in a .pth file comes after the wheel's folder,
    # and what is in its own .pth files (an editable install of us) is not read.
    (site / "tested.pth").write_text(sysconfig.get_path("purelib"))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    package, properties, model, yaml, loss, rows = run(
        str(python), "-c", LOOK, cwd=elsewhere, env={}
    ).splitlines()
    assert package == str(site / "recbole_whisperlite" / "__init__.py")
    assert properties == str(site / "recbole_whisperlite" / "properties")
    assert (model, yaml) == ("WhisperLite", "True")
    assert (loss, rows) == ("cosine", "True")  # presets, by name from anywhere
