"""Where the package's own files are, in a checkout and in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

# recbole_whisperlite/properties is a link to properties/ at the top of a checkout, which a
# wheel holds as a folder; where links cannot be made, the folder itself is taken.
PROPERTIES = next(
    folder
    for folder in (_PACKAGE / "properties", _PACKAGE.parent / "properties")
    if folder.is_dir()
)
