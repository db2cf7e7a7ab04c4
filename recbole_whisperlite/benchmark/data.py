"""The data of a benchmark: where they lie, and whether they are still the same."""

import hashlib
from functools import lru_cache
from pathlib import Path

from recbole_whisperlite import settings
from recbole_whisperlite.errors import UserError

_BYTES = 1 << 20


def folder(plan, row):
    """Return the folder that RecBole will read the dataset of a row from (Path)."""
    if plan.dataset == "ml-100k":  # bundled with RecBole, wherever data_path points
        return settings.RECBOLE / "dataset_example" / plan.dataset
    return Path(str(_setting(plan, row, "data_path") or "dataset")) / plan.dataset


def check(plan):
    """Say that the data are absent before any model is started; build what is built in.

    Args:
        plan (Plan): The benchmark.

    Raises:
        UserError: If the folder does not exist and RecBole knows no download, or the
            folder has no ``.inter`` file.
    """
    for row in plan.rows:
        try:
            settings.check_dataset(
                {
                    "dataset": plan.dataset,
                    "data_path": folder(plan, row),
                    "benchmark_filename": _setting(plan, row, "benchmark_filename"),
                    "additional_feat_suffix": None,  # a model's own: its row tells
                }
            )
        except UserError as error:
            raise UserError(
                f"The benchmark is skipped: no model was run. {error} Public datasets "
                "are converted by 'python -m recbole_whisperlite prepare'; its --help "
                "names them."
            ) from None


def digest(plan, row):
    """Return a digest of the dataset's files: 16 hexadecimal digits.

    The exam's fingerprint does not hold texts, so that it cannot tell the runs of one
    preparation of the data from those of another.
    """
    whole = hashlib.sha256()
    for path in sorted(folder(plan, row).glob(f"{plan.dataset}.*")):
        if path.is_file():
            about = path.stat()
            content = _digest(path, about.st_size, about.st_mtime_ns)
            whole.update(f"{path.name}\0{content}\0".encode())
    return whole.hexdigest()[:16]


@lru_cache(maxsize=None)  # large files are read once, not once a run
def _digest(path, size, changed):
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(_BYTES):
            content.update(part)
    return content.hexdigest()


def _setting(plan, row, name):
    flag = f"--{name}="
    given = [each[len(flag) :] for each in plan.flags if each.startswith(flag)]
    return given[-1] if given else {**plan.settings, **row.settings}.get(name)
