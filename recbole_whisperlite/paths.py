"""Where the package's own files are, in a checkout and in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

# In a checkout, recbole_whisperlite/properties is a symbolic link to properties/ at the
# top; in a wheel it is a folder. Where links are not supported, use the one at the top.
PROPERTIES = next(
    folder
    for folder in (_PACKAGE / "properties", _PACKAGE.parent / "properties")
    if folder.is_dir()
)
