"""What the README names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_files_that_readme_names_exist():
    for name in set(re.findall(r"\]\(((?:docs|properties|tests)/[^)#]+)", README)):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"properties/[\w/-]+\.yaml", README):
        assert (ROOT / name).exists(), name
