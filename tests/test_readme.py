"""What the README names exists."""

import re
from pathlib import Path

from recbole_whisperlite.paths import PROPERTIES

README = (Path(__file__).resolve().parent.parent / "README.md").read_text("utf-8")


def test_files_that_readme_names_exist():
    root = PROPERTIES.parent
    for name in set(re.findall(r"\]\(((?:docs|properties|tests)/[^)#]+)", README)):
        assert (root / name).exists(), name
    for name in re.findall(r"properties/[\w/-]+\.yaml", README):
        assert (root / name).exists(), name
