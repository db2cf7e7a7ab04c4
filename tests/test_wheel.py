"""The built wheel, in a clean environment and away from the checkout."""

import shutil
import subprocess
import sys
import sysconfig
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
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("recbole_whisperlite", "properties"):
        shutil.copytree(
            CHECKOUT / name,
            folder / "copy" / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(CHECKOUT / name, folder / "copy")
    build = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    run(sys.executable, "-m", "pip", "wheel", *build, str(folder / "copy"))
    [built] = folder.glob("*.whl")
    return built


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
