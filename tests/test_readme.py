"""README and yaml say the same."""

import re
from pathlib import Path

import pytest
import yaml

from recbole_whisperlite import settings
from recbole_whisperlite.paths import PROPERTIES

README = (Path(__file__).resolve().parent.parent / "README.md").read_text("utf-8")
FILES = [settings.REQUEST_SETTINGS, *sorted((PROPERTIES / "model").glob("*.yaml"))]


def rows(path):
    """Yield (key, default as written, type, meaning) of each top-level line."""
    for line in path.read_text("utf-8").splitlines():
        match = re.fullmatch(r"(\w+):\s*(.*?)\s*# \((.+?)\) (.*)", line)
        if match:
            yield match.groups()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_setting_is_annotated(path):
    assert [key for key, *_ in rows(path)] == list(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_readmes_table_has_every_setting_with_its_default_and_meaning(path):
    for key, default, kind, meaning in rows(path):
        if not default:  # a block follows in the yaml
            default = str(yaml.safe_load(path.read_text())[key])
        default = default.strip("'\"") if default[:1] in "'\"" else default
        row = f"| `{key}` | `{default}` | {kind} | {meaning.replace('|', chr(92) + '|')} |"
        assert row in README


def test_files_that_readme_names_exist():
    root = PROPERTIES.parent
    for name in set(re.findall(r"\]\(((?:docs|properties|tests)/[^)]+)\)", README)):
        assert (root / name).exists(), name
    for name in re.findall(r"properties/[\w/-]+\.yaml", README):
        assert (root / name).exists(), name
