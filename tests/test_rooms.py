"""The layout of the package: who may import whom, and what is imported when.

Imports are read from the source, those inside of functions included.
"""

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import recbole_whisperlite

PACKAGE = Path(recbole_whisperlite.__file__).parent
#: From top to bottom; a room imports itself and what is below.
LAYERS = (
    ("__main__",),
    ("cli", "doctor"),
    ("register",),
    ("serve",),
    ("benchmark",),
    ("export", "recbole3", "upstream"),
    ("recommend",),
    ("config",),
    ("model",),
    ("evaluation",),
    ("prepare", "clip"),
    ("stylist_mini",),
    ("data",),
    ("encoder",),
    ("compat",),
    ("config_files",),
    ("own_code", "foreign_code"),
    ("cluster",),
    ("files", "feedback"),
    ("paths", "errors", "renamed", "words"),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imports(module):
    """The modules of this package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in FILES else node.module for name in names)
    return {name for name in found if name in FILES} - {module}


def everything_needed(module):
    """A module and all that it needs of this package, the packages' own files included."""
    needed, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        parents = {name.rpartition(".")[0]} - {""}
        needed.add(name)
        waiting |= (imports(name) | parents) - needed
    return needed


def room(module):
    return module.split(".")[1] if "." in module else None


def test_every_room_has_a_layer():
    assert {room(module) for module in FILES} - {None} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(FILES))
def test_arrows_run_down_only(module):
    if room(module) is None:
        assert imports(module) == set()  # what it loads it loads by name, when asked
        return
    for other in imports(module):
        if other != "recbole_whisperlite":
            same = room(other) == room(module)
            assert same or LEVEL[room(other)] > LEVEL[room(module)], other


def test_no_module_comes_back_to_itself():
    done = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for other in imports(module):
                visit(other, [*path, module])
            done.add(module)

    for module in FILES:
        visit(module, [])


@pytest.mark.parametrize(
    "module, most",
    [
        ("model.whisperlite", 6),
        *((f"model.{name}", 8) for name in ("bm25", "zeroshot", "requestpop")),
        *((f"model.{name}", 8) for name in ("latefusion", "whisper", "graphrec")),
        ("model.whisperliteplus", 17),
        *((f"model.{name}", 12) for name in ("zam", "tem", "queryseqrec", "twostage")),
    ],
)
def test_a_model_needs_few_of_our_files(module, most):
    needed = everything_needed(f"recbole_whisperlite.{module}")
    assert len(needed) <= most, sorted(needed)


def test_the_dataset_class_that_could_stand_in_recbole_needs_none_of_ours():
    needed = imports("recbole_whisperlite.data.whisperlite_dataset")
    assert needed == {"recbole_whisperlite.errors"}  # ValueError there


LIGHT = {
    "the package": "import recbole_whisperlite",
    "--help": "from recbole_whisperlite.cli import main; main(['--help'])",
    "doctor": "import recbole_whisperlite.doctor",
    "serve": "import recbole_whisperlite.serve.app, recbole_whisperlite.serve.command",
    "prepare": "import recbole_whisperlite.prepare.table, recbole_whisperlite.prepare.hm",
    "clip": "import recbole_whisperlite.clip.retrieve, recbole_whisperlite.clip.finetune",
    "encoders": "import recbole_whisperlite.encoder",
    "Recommender": "from recbole_whisperlite import Recommender",
}


def in_forks(statements):
    """What each of several statements prints, alone in a fresh process; by name.

    What takes long to import is imported once for all: neither RecBole nor ours.
    """
    code = "import os, sys, traceback, numpy, pandas, sklearn, torch\n"
    code += f"for name, statement in {statements!r}.items():\n"
    code += (
        "    print(f'\\0{name}\\0', end='', flush=True)\n"
        "    if not os.fork():\n"
        "        try:\n"
        "            exec(statement)\n"
        "        except BaseException:\n"
        "            traceback.print_exc(file=sys.stdout)\n"
        "        sys.stdout.flush()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("\0")[1:]
    return dict(zip(parts[::2], parts[1::2]))


def test_what_needs_no_recbole_does_not_import_it():
    end = "\nprint('recbole' in sys.modules)"
    printed = in_forks({name: code + end for name, code in LIGHT.items()})
    assert printed.keys() == LIGHT.keys()
    for name, text in printed.items():
        assert text.endswith("False\n"), (name, text)


@pytest.mark.parametrize(
    "command", ["", "run", "benchmark", "clip", "recommend", "export", "study"]
)
def test_help_answers_before_anything_heavy_is_imported(command):
    code = (
        "import sys; from recbole_whisperlite.cli import main\n"
        f"try: main({[*filter(None, [command]), '--help']!r})\n"
        "except SystemExit: pass\n"
        "sys.exit(', '.join({'numpy', 'torch', 'pandas', 'recbole'} & {*sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: recbole-whisperlite" in done.stdout


#: Each is the first that a process imports.
FIRST = {
    "data.dataset": "import recbole_whisperlite.data.dataset, recbole.utils",
    "model.inputs": "import recbole_whisperlite.model.inputs, recbole.utils",
    "register": "import recbole_whisperlite.register, recbole.utils",
    # RecBole's package alone can be imported without its repairs
    "recbole": "import recbole, recbole_whisperlite",
}


def test_whatever_is_imported_first_recbole_finds_our_models():
    end = "\nfrom recbole.utils import get_model"
    end += "\nprint(get_model('WhisperLitePlus').__name__, torch.is_anomaly_enabled())"
    printed = in_forks({name: code + end for name, code in FIRST.items()})
    # RecBole would switch torch's detection of anomalies on, which is slow
    assert printed == dict.fromkeys(FIRST, "WhisperLitePlus False\n")


def test_everything_that_is_imported_is_declared():
    known = {"recbole_whisperlite", "recbole", *sys.stdlib_module_names}
    distributions = metadata.packages_distributions()
    declared = {
        requirement.split(";")[0]
        .split("[")[0]
        .split(" ")[0]
        .split(">")[0]
        .split("=")[0]
        .split("<")[0]
        .lower()
        .replace("_", "-")
        for requirement in metadata.requires("recbole-whisperlite")
    }
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - known:
                if name not in distributions:
                    continue  # an extra that is not installed
                of = {each.lower().replace("_", "-") for each in distributions[name]}
                assert of & declared, f"{module} imports {name}, of {sorted(of)}"


def test_the_version_has_one_source():
    assert metadata.version("recbole-whisperlite") == recbole_whisperlite.__version__
