"""The files of a change to RecBole's sources: computed first, then written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from recbole_whisperlite.config.annotated import read_settings
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file
from recbole_whisperlite.upstream import example_data, moved, queries

_PAGES = Path(__file__).parent / "pages"
_MODELS = "recbole/model/general_recommender"
_MODEL = f"{_MODELS}/whisperlite.py"
_SETTINGS = "recbole/properties/model/WhisperLite.yaml"
_DATASETS = "recbole/data/dataset/customized_dataset.py"
_DOCS = "docs/source"
_DATA = f"tests/test_data/{example_data.NAME}"


def has_model(root: Path) -> bool:
    """Return whether a clone of RecBole has WhisperLite."""
    return (root / _MODEL).exists()


def model_change(root: Path) -> dict[str, str]:
    """Return what WhisperLite adds to RecBole, none of it in RecBole's core.

    Where the clone has no ``tests``, ``docs`` or ``asset``, as an installed RecBole has
    none, these are left out.

    Args:
        root (Path): A clone of RecBole.

    Returns:
        dict: ``{path: the file's new text}``.

    Raises:
        UserError: If it is none, or has WhisperLite already.
    """
    _check_clone(root)
    if has_model(root):
        raise UserError(
            f"{root / _MODEL} exists already. Start from a clean clone: git checkout . "
            "&& git clean -fd."
        )
    change = _package(root)
    if (root / "tests").is_dir():
        change |= _test(root)
    if (root / "docs").is_dir():
        change |= _pages(root, change[_SETTINGS])
    if (root / "asset").is_dir():
        models = "asset/model_list.json"
        first = '{\n  "data": [\n'
        entry = _page("model_list.txt")
        change[models] = _edited(root, models, (first, first + entry))
    return change


def _package(root):
    """Model, loss, dataset class and settings."""
    names, loss = f"{_MODELS}/__init__.py", "recbole/model/loss.py"
    return {
        _MODEL: moved.model_file(),
        names: _appended(
            root,
            names,
            "from recbole.model.general_recommender.whisperlite import WhisperLite\n",
        ),
        loss: _appended(
            root,
            loss,
            f"\n\n{moved.LOSS.text()}",
            ("import torch.nn as nn\n", "import torch.nn.functional as F\n"),
        ),
        _DATASETS: _appended(
            root,
            _DATASETS,
            f"\n\n{moved.DATASET.text()}",
            (
                "import torch\n",
                "from sklearn.decomposition import TruncatedSVD\n"
                "from sklearn.feature_extraction.text import TfidfVectorizer\n",
            ),
            edits=(
                (
                    "import KGSeqDataset, SequentialDataset\n",
                    "import Dataset, KGSeqDataset, SequentialDataset\n",
                ),
            ),
        ),
        _SETTINGS: moved.settings_file(),
    }


def _test(root):
    """A test among RecBole's own, and its data."""
    test, before = "tests/model/test_model_auto.py", "\n\nclass TestContextRecommender"
    text = _page("test_case.txt").rstrip("\n") + "\n"
    with tempfile.TemporaryDirectory() as folder:
        data = {
            f"{_DATA}/{path.name}": path.read_text("utf-8")
            for path in example_data.write_example(folder)
        }
    return {test: _edited(root, test, (before, f"\n{text}{before}")), **data}


def _pages(root, settings):
    """The model's pages, and its line in two lists."""
    page = _page("whisperlite.rst").replace("{settings}", _listed(settings))
    change = {
        f"{_DOCS}/user_guide/model/general/whisperlite.rst": page,
        f"{_DOCS}/recbole/{_module('whisperlite')}.rst": (
            f".. automodule:: {_module('whisperlite')}\n"
            "   :members:\n   :undoc-members:\n   :show-inheritance:\n"
        ),
    }
    for path, line in (
        (f"{_DOCS}/user_guide/model_intro.rst", "   model/general/{}\n"),
        (f"{_DOCS}/recbole/{_module()}.rst", f"   {_module('{}')}\n"),
    ):
        last = _last_listed(root, path, line)
        change[path] = _edited(root, path, (last, last + line.format("whisperlite")))
    return change


def queries_change(root: Path, before: dict[str, str]) -> dict[str, str]:
    """Return what evaluation by query adds and edits.

    Args:
        root (Path): A clone of RecBole.
        before (dict): The change that comes first, as :func:`model_change` returns it;
            empty where it is in the clone already.

    Raises:
        UserError: If it is no clone of RecBole, has no WhisperLite, or has it already.
    """
    _check_clone(root)
    datasets = before.get(_DATASETS) or _read(root, _DATASETS)
    if "class QueryDataset" in datasets:
        raise UserError(f"{root / _DATASETS} has QueryDataset already.")
    source = Path(queries.__file__).read_text("utf-8")
    definition = moved.definitions(source, ["QueryDataset"])
    head = "class WhisperLiteDataset(Dataset):\n"
    ours = (head, f"{definition}\n\n{head.replace('(Dataset)', '(QueryDataset)')}")
    change = {_DATASETS: _replaced(datasets, [ours], root / _DATASETS)}
    for path, edits in queries.CORE.items():
        change[path] = _edited(root, path, *edits)
    return change


def write(root: Path, change: dict[str, str]) -> None:
    """Write the files of a change.

    Args:
        root (Path): A clone of RecBole.
        change (dict): ``{path: text}``.
    """
    for path, text in change.items():
        with whole_file(root / path) as temporary:
            temporary.write_text(text, "utf-8")


def _check_clone(root):
    if not (root / _MODELS / "__init__.py").is_file():
        raise UserError(
            f"--recbole {root}: there is no {_MODELS} in it. Give the folder of a clone of "
            "RecBole 1.2.1 or of its master."
        )


def _page(name):
    return (_PAGES / name).read_text("utf-8")


def _read(root, path):
    try:
        return (root / path).read_text("utf-8")
    except OSError as error:
        raise UserError(
            f"{root / path} cannot be read ({error.strerror}); is {root} a clone of "
            "RecBole 1.2.1 or of its master?"
        ) from None


def _replaced(text, edits, where):
    try:
        return moved.edited(text, edits, str(where))
    except LookupError as error:
        raise UserError(
            f"{error}. The change is made for RecBole 1.2.1 and its master of 2025-02."
        ) from None


def _edited(root, path, *edits):
    return _replaced(_read(root, path), edits, root / path)


def _appended(root, path, text, imports=None, edits=()):
    """A file with text at its end, and imports after a line that it has."""
    content = _read(root, path)
    if imports:
        after, lines = imports
        edits = ((after, after + lines), *edits)
    content = _replaced(content, edits, root / path)
    return content.rstrip("\n") + "\n" + text


def _module(name=None):
    return ".".join(["recbole.model.general_recommender", *([name] if name else [])])


def _last_listed(root, path, line):
    """The line of the last model of a list; ``ldiffrec`` at the time of writing."""
    lines = _read(root, path).splitlines(keepends=True)
    begin = line.partition("{}")[0]
    listed = [each for each in lines if each.startswith(begin)]
    if not listed:
        raise UserError(f"{root / path} lists no model as '{begin}...'.")
    return listed[-1]


def _listed(settings):
    """The settings of the yaml file, given as text, as RecBole's pages list them."""
    defaults = yaml.safe_load(settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "WhisperLite.yaml")
        path.write_text(settings, "utf-8")
        annotated = read_settings(path)
    return "\n\n".join(
        f"- ``{name} ({setting.kind})`` : {setting.meaning.rstrip('.')}. Defaults to "
        f"``{defaults[name]}``."
        for name, setting in annotated.items()
    )
