"""Which source a run was made with: the git revision, if the package is in a checkout."""

import functools
import subprocess
from pathlib import Path

import recbole_whisperlite

_PACKAGE = Path(recbole_whisperlite.__file__).resolve().parent
# What results depend on: the code, and the settings that lie beside it.
_SOURCES = ("recbole_whisperlite", "properties")


@functools.cache  # the first call is nearest to when the code was loaded
def revision() -> dict[str, str | bool] | None:
    """Return the revision of the package's source.

    Returns:
        dict: ``commit`` (40 hexadecimal digits) and ``dirty``, whether package or
        properties differ from it; None for an installed package, which its version
        identifies, and where there is no git.
    """
    return of_folder(_PACKAGE)


def of_folder(package: Path) -> dict[str, str | bool] | None:
    """Return the revision of a package's folder, as :func:`revision` does."""
    # A package in site-packages may lie in somebody else's checkout, which does not
    # track it.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "HEAD")
    top = Path(_git(package, "rev-parse", "--show-toplevel") or package)
    changed = _git(top, "status", "--porcelain", "--", *_SOURCES)
    return {"commit": commit, "dirty": bool(changed)} if commit else None


def _git(folder, *arguments):
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
