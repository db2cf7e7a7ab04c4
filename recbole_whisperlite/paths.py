"""Where the package's own files are, in a checkout and in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

# The wheel carries properties/ inside the package (setup.cfg maps it there); in a
# checkout it lies beside the package.
PROPERTIES = next(
    folder
    for folder in (_PACKAGE / "properties", _PACKAGE.parent / "properties")
    if folder.is_dir()
)
