"""Whether a changed clone of RecBole does what it is said to do, without this package."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.upstream import alone, example_data, trial

#: RecBole's own CI runs Python 3.8.
OLDEST_PYTHON = (3, 8)
#: How far figures of the clone and of the plugin may be apart.
TOLERANCE = 1e-5
#: The trial: enough epochs for the loss to fall, in a few seconds.
SETTINGS = {
    "dataset": example_data.NAME,
    "load_col": {suffix: [*names] for suffix, names in example_data.COLUMNS.items()},
    "eval_args": {
        "split": {"LS": "valid_and_test"},
        "order": "TO",
        "group_by": "user",
        "mode": "full",
    },
    "epochs": 8,
    "learning_rate": 0.003,
    "encoder_dim": 64,
    "use_gpu": False,
    "state": "ERROR",
}


def check(root: Path, change: dict[str, str], with_queries: bool) -> Iterator[tuple]:
    """Check a changed clone.

    Args:
        root (Path): The clone, with the change written.
        change (dict): ``{path: text}``.
        with_queries (bool): Whether the change has evaluation by query.

    Yields:
        tuple: What is checked, str; whether it holds, bool, None where it cannot be
        checked here; and figures or the reason, str.
    """
    yield _sources(change)
    yield _black(root, change)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        example_data.write_example(folder / "data" / example_data.NAME)
        settings = SETTINGS | {
            "data_path": str(folder / "data"),
            "checkpoint_dir": str(folder / "saved"),
        }
        found = _trial(root, settings, folder)
        yield _runs_alone(found, root)
        yield _like_the_plugin(found, _trial(root, settings, folder, _WITH_PLUGIN))
        if with_queries:
            asked = settings | {"query_fields": ["user_id", "request"]}
            asked["eval_args"] = settings["eval_args"] | {"split": {"RS": [6, 2, 2]}}
            yield _ranks_queries(_trial(root, asked, folder))
    yield _own_tests(root)


def core_lines(before: dict[str, str], after: dict[str, str]) -> int:
    """Return how many lines of RecBole's core a change adds or replaces.

    Args:
        before (dict): ``{path: text}`` of the core's files.
        after (dict): The same files, changed.
    """
    return sum(
        line.startswith("+") and not line.startswith("+++")
        for path in before
        for line in difflib.unified_diff(
            before[path].splitlines(), after[path].splitlines(), lineterm=""
        )
    )


def _sources(change):
    what = "Python 3.8 syntax, nothing of this package"
    for path, text in change.items():
        if "recbole_whisperlite" in text:
            return what, False, f"{path} names recbole_whisperlite"
        if path.endswith(".py"):
            try:
                ast.parse(text, path, feature_version=OLDEST_PYTHON)
            except SyntaxError as error:
                return what, False, f"{path}, line {error.lineno}: {error.msg}"
    return what, True, f"{len(change)} files"


def _black(root, change):
    what = "black"
    if importlib.util.find_spec("black") is None:
        return what, None, "not installed: pip install black"
    paths = [str(root / path) for path in change if path.endswith(".py")]
    done = _run([sys.executable, "-m", "black", "--check", "--quiet", "--diff", *paths])
    return (
        what,
        done.returncode == 0,
        done.stdout.strip()[:1000] or f"{len(paths)} files",
    )


# Both find RecBole in the clone.
_ALONE = alone.__file__
_WITH_PLUGIN = str(Path(__file__).with_name("with_plugin.py"))


def _trial(root, settings, folder, launcher=_ALONE):
    """The figures of :mod:`trial`, without this package or with it."""
    script = [launcher, str(root), trial.__file__, json.dumps(settings)]
    done = _run([sys.executable, *script], folder)
    if done.returncode:
        raise UserError(f"WhisperLite does not run in {root}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _run(command, folder=None):
    # where Python writes what it compiles is no part of the change
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _runs_alone(found, root):
    what = "trains, is saved and loaded without this package"
    losses, alike = found["losses"], found["test"] == found["reloaded"]
    learns = math.isfinite(sum(losses)) and losses[-1] < losses[0]
    alone_in_it = not found["modules"] and root in Path(found["recbole"]).parents
    holds = alike and learns and alone_in_it
    figures = f"loss {losses[0]:.3f} -> {losses[-1]:.3f}, test {_shown(found['test'])}"
    return what, holds, figures if alike else f"{figures}, loaded {found['reloaded']}"


def _like_the_plugin(found, plugin):
    apart = max(
        abs(found["test"][name] - plugin["test"][name]) for name in found["test"]
    )
    loss = max(abs(a - b) / b for a, b in zip(found["losses"], plugin["losses"]))
    what = "the plugin's figures on the same rows"
    is_ours = all(name.startswith("recbole_whisperlite.") for name in plugin["classes"])
    holds = (
        max(apart, loss) <= TOLERANCE and found["rows"] == plugin["rows"] and is_ours
    )
    return (
        what,
        holds,
        f"{found['rows']} users; metrics {apart:.0e}, losses {loss:.0e} apart",
    )


def _ranks_queries(found):
    alike = found["test"] == found["reloaded"]
    figures = f"{found['rows']} queries, test {_shown(found['test'])}"
    return "ranks by (user, request)", alike and found["rows"] > 50, figures


def _own_tests(root):
    what = "RecBole's own test of the model"
    if not (root / "tests").is_dir():
        return what, None, "there are no tests in an installed RecBole; give a clone"
    if importlib.util.find_spec("pytest") is None:
        return what, None, "pytest is not installed"
    tests = ["tests/model/test_model_auto.py", "-k", "whisperlite", "-q"]
    command = [sys.executable, alone.__file__, str(root), "-m", "pytest", *tests]
    done = _run([*command, "-p", "no:cacheprovider"], root)
    last = (done.stdout.strip().splitlines() or [done.stderr[-300:]])[-1]
    return what, done.returncode == 0, last.strip("= ")


def _shown(metrics):
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
