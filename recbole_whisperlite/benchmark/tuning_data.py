"""A sample of the users, as a dataset folder, on which slow rows are tuned."""

import os
from pathlib import Path

import numpy as np

from recbole_whisperlite.benchmark import data
from recbole_whisperlite.benchmark.plan import Plan, Row
from recbole_whisperlite.data.atomic import read_header
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file


def sample_users(plan: Plan, row: Row, share: float, home: Path) -> Path:
    """Write the interactions of some users; all other files are links to the original.

    The users are drawn with the first seed, from the sorted ids, so that all rows with the
    same share have the same.

    Args:
        plan (Plan): The benchmark.
        row (Row): The row, which decides where the dataset is.
        share (float): The share of the users, above 0 and below 1.
        home (Path): The folder in which the dataset's folder is written.

    Returns:
        Path: ``home``, the ``data_path`` of the trials.

    Raises:
        UserError: If the dataset is one that RecBole reads from its own folder, or no
            interaction file has a column of users.
    """
    source = data.folder(plan, row).absolute()
    if plan.dataset == "ml-100k":
        raise UserError(
            "tune_users: RecBole reads ml-100k from its own folder, which cannot be "
            "sampled. Remove tune_users."
        )
    settings = data.settings_of(plan, row)
    column = str(settings.get("USER_ID_FIELD", "user_id"))
    separator = str(settings.get("field_separator", "\t"))
    encoding = str(settings.get("encoding", "utf-8"))
    files = sorted(source.glob("*.inter"))
    ids = {path: _column(path, column, separator, encoding) for path in files}
    users = sorted({user for column in ids.values() for user in column})
    rng = np.random.default_rng(plan.seeds[0])
    kept = max(1, round(share * len(users)))
    chosen = {users[n] for n in rng.choice(len(users), kept, replace=False)}
    target = home / plan.dataset
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path not in ids:
            link = target / path.name
            link.unlink(missing_ok=True)
            os.symlink(path, link)
            continue
        with whole_file(target / path.name) as written:
            with open(path, "rb") as lines, open(written, "wb") as out:
                out.write(lines.readline())
                for user, line in zip(ids[path], lines):
                    if user in chosen:
                        out.write(line)
    return home


def _column(path, name, separator, encoding):
    """Return the values of a column, one a line."""
    header = [*read_header(path, separator, encoding)]
    if name not in header:
        raise UserError(
            f"{path}, line 1: tune_users needs a column '{name}', the users. The columns "
            f"are {', '.join(header)}. Set USER_ID_FIELD."
        )
    at = header.index(name)
    with open(path, "rb") as file:
        next(file)
        # a short line has no such column; the dataset's reader reports it
        return [_field(line.rstrip(b"\r\n"), separator.encode(), at) for line in file]


def _field(line, separator, at):
    fields = line.split(separator)
    return fields[at] if at < len(fields) else b""
