"""The pages of docs/: the generated ones are current, and what all of them name exists."""

import ast
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

from recbole_whisperlite import config_files
from recbole_whisperlite.cli import COMMANDS
from recbole_whisperlite.config.annotated import read_settings

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
ANNOTATED = [
    ROOT / "properties/overall.yaml",
    ROOT / "properties/dataset/request.yaml",
    *sorted((ROOT / "properties/model").glob("*.yaml")),
]

spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


@pytest.mark.parametrize(
    "path",
    [*map(DOCS.joinpath, ("results.md", "settings.md", "pypi.md")), ROOT / "README.md"],
    ids=str,
)
def test_what_is_generated_is_current(path):
    assert path.read_text("utf-8") == generate.pages()[path], "run make pages"


def test_readme_is_short_and_names_both_models():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 200
    assert "| WhisperLite |" in text and "| WhisperLitePlus |" in text


@pytest.mark.parametrize("path", ANNOTATED, ids=lambda path: path.stem)
def test_every_setting_is_annotated(path):
    assert list(read_settings(path)) == list(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize("path", ANNOTATED, ids=lambda path: path.stem)
def test_every_setting_stands_on_the_page_with_default_and_meaning(path):
    lines = generate.settings_page().splitlines()
    for key, setting in read_settings(path).items():
        found = [line for line in lines if line.startswith(f"| `{key}` |")]
        meaning = setting.meaning.replace("|", r"\|")
        text = f"| {setting.kind} | {meaning} |"
        assert any(line.endswith(text) for line in found), key
        default = setting.default.strip("'\"")
        assert any(f"| `{default or '{'}" in line for line in found), key


def test_a_derived_model_names_the_one_whose_settings_it_inherits():
    assert generate.bases_of("WhisperLitePlus") == ["WhisperLite"]
    assert generate.bases_of("WhisperLite") == []
    page = generate.settings_page()
    own = page.split("## WhisperLitePlus\n")[1].split("\n## ")[0]
    assert "all settings of [WhisperLite](#whisperlite)" in own
    assert "`use_memory`" in own and "`mlp_hidden_size`" not in own


def test_every_folder_of_results_has_a_table():
    index = yaml.safe_load((ROOT / "results/index.yaml").read_text("utf-8"))
    folders = {path.parent.name for path in (ROOT / "results").glob("*/benchmark.md")}
    assert set(index["tables"]) == folders


@pytest.mark.parametrize("inputs", ["may see", "inputs"])
def test_a_table_is_shown_with_the_chosen_columns(tmp_path, inputs):
    (tmp_path / "index.yaml").write_text(
        "note: About.\nmade: 2026-01-02\ntables:\n  shop: {title: Shop, requests: typed,"
        " seeds: [1], command: run it}\n"
    )
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "benchmark.md").write_text(
        f"| model | {inputs} | recall@5 | ndcg@5 | training s |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| A | request, x \\| y | **0.5000 ± 0.0100** | <u>0.2500 ± 0.0000</u>\\* | 0.3 |\n"
        "| B | nothing | failed |  |  |\n\n3 test queries.\n\n- B, seed 1, failed: why\n"
    )
    page = generate.results_page(tmp_path)
    assert "| model | inputs | NDCG@5 | Recall@5 | training s |" in page
    assert (
        "| A | request, x \\| y | <u>.2500</u>\\* | **.5000 ± .0100** | < 1 |" in page
    )
    assert "| B | nothing | failed |  |  |" in page
    assert "3 test queries." in page and "- B, seed 1, failed: why" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_a_page_links_to_exists(page):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_presets_and_files_that_a_page_names_exist(page):
    text = page.read_text("utf-8")
    for command in re.findall(
        r"^(?: {4})?recbole-whisperlite (\w+)", text, re.MULTILINE
    ):
        assert command in COMMANDS
    for files in re.findall(r"--config_files=(?:\"([^\"]+)\"|([\w./-]+))", text):
        for name in "".join(files).split():
            if not name.endswith(".yaml"):
                assert name in config_files.presets(), name
    for name in re.findall(
        r"`((?:recbole_whisperlite|properties|tests)/[\w./-]+)`", text
    ):
        assert (ROOT / name).exists(), name


RECBOLE_PAGE = (DOCS / "recbole-functions.md").read_text("utf-8")


def defined_in(name):
    """The public functions and classes that a module defines."""
    module = importlib.import_module(name)
    return {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name
    }


def rows_of(heading):
    """The table below a heading, ``{name: what is said of it}``."""
    section = RECBOLE_PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_every_public_function_of_recbole_is_on_its_page():
    from recbole import quick_start, utils

    case_study = defined_in("recbole.utils.case_study")
    assert {"full_sort_scores", "full_sort_topk"} <= case_study
    assert set(rows_of("`recbole.quick_start`")) == {
        name for name, value in vars(quick_start).items() if callable(value)
    }
    assert set(rows_of("`recbole.utils.case_study`")) == case_study
    assert set(rows_of("`recbole.utils`")) == set(utils.__all__)
    assert set(rows_of("`recbole.trainer.hyper_tuning`")) == defined_in(
        "recbole.trainer.hyper_tuning"
    )
    others = {
        f"{module}.{name}"
        for _, module, _ in pkgutil.iter_modules(utils.__path__)
        if module != "case_study"
        for name in defined_in(f"recbole.utils.{module}") - set(utils.__all__)
    }
    assert set(rows_of("What else its modules have")) == others


def test_every_row_of_that_page_names_tests_that_exist():
    defined = {}
    for line in re.findall(r"^\| `.+$", RECBOLE_PAGE, re.MULTILINE):
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)
        assert named, line
        for file, test in named:
            if file not in defined:
                tree = ast.parse((ROOT / file).read_text("utf-8"))
                defined[file] = {getattr(node, "name", None) for node in tree.body}
            assert test.startswith("test_") and test in defined[file], (file, test)
