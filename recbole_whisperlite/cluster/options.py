"""The options ``--cluster`` and ``--task_memory``, checked before anything is imported."""

from __future__ import annotations

import argparse
import re

from recbole_whisperlite.errors import UserError

_ADDRESS = re.compile(r"(tcp|tls)://[^\s:/]+:\d{1,5}|(tcp|tls)://\[[^\s\]]+\]:\d{1,5}")
_LOCAL = re.compile(r"local:(\d{1,4})")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def add_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--cluster`` and ``--task_memory``; both are texts, to be read by
    :func:`workers_of` and :func:`memory_of`."""
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="share the work among processes: local:2 starts two here, "
        "tcp://scheduler:8786 is a Dask cluster (needs the extra cluster)",
    )
    parser.add_argument(
        "--task_memory",
        metavar="SIZE",
        help="with --cluster: what a task needs, such as 4GB, if the estimate is wrong",
    )


def workers_of(where: str) -> int | None:
    """Return how many workers ``local:N`` asks for, None for the address of a scheduler.

    Raises:
        UserError: If it is neither of the two.
    """
    local = _LOCAL.fullmatch(str(where))
    if local and int(local[1]):
        return int(local[1])
    if not _ADDRESS.fullmatch(str(where)):
        raise UserError(
            f"--cluster {where}: this is neither local:N, such as local:2 for two "
            "processes here, nor the address of a Dask scheduler, such as "
            "tcp://scheduler:8786."
        )
    return None


def memory_of(size: str | int | None, name: str = "--task_memory") -> int | None:
    """Return a size such as ``4GB``, ``500 MiB`` or ``4e9`` in bytes, None for None.

    Args:
        size (str, int or None): What the user wrote.
        name (str): What error messages call it.

    Raises:
        UserError: If it is no size.
    """
    if size is None:
        return None
    found = _MEMORY.fullmatch(str(size).strip())
    if found:
        number, prefix, binary = found.groups()
        unit = (1024 if binary else 1000) ** _POWERS[prefix.lower()]
        size_in_bytes = int(float(number) * unit)
    if not found or not size_in_bytes:
        raise UserError(
            f"{name}: {size!r} is no size of memory. Write it as 500MB or 4GB."
        )
    return size_in_bytes


def in_words(size: float) -> str:
    """Return a number of bytes as people write it: ``1.5 GB``."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
