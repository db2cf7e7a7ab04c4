"""The revision that a result names is that of the package's own checkout."""

import subprocess

import pytest

from recbole_whisperlite.evaluation.revision import of_folder


def git(folder, *arguments):
    named = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", "-C", str(folder), *named, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
    package = tmp_path / "recbole_whisperlite"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "README.md").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_checkout_has_a_revision_and_a_mark_for_changes(checkout):
    package = checkout / "recbole_whisperlite"
    commit = git(checkout, "rev-parse", "HEAD").strip()
    assert of_folder(package) == {"commit": commit, "dirty": False}
    (checkout / "README.md").write_text("results do not depend on it")
    assert of_folder(package)["dirty"] is False
    (package / "model.py").write_text("not yet added")
    assert of_folder(package) == {"commit": commit, "dirty": True}


def test_a_package_installed_inside_another_checkout_has_none(checkout, tmp_path):
    installed = checkout / ".venv" / "recbole_whisperlite"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert of_folder(installed) is None


def test_a_folder_outside_of_any_checkout_has_none(tmp_path):
    assert of_folder(tmp_path) is None


def test_without_git_there_is_none(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert of_folder(checkout / "recbole_whisperlite") is None
