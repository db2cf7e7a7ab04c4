"""The options of ``recbole-whisperlite recommend``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence

from recbole_whisperlite.cluster import options
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.stores.address import N_CANDIDATES

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# options that belong to one way of asking only: (attribute, flag)
_OF_ONE_REQUEST = (
    ("request", "a request"),
    ("user", "--user"),
    ("history", "--history"),
    ("image", "--image"),
    ("similar", "--similar"),
    ("explain", "--explain"),
    ("json", "--json"),
    ("sheet", "--sheet"),
)
_OF_FILES = (
    ("output", "--output"),
    ("format", "--format"),
    ("parts", "--parts"),
    ("cluster", "--cluster"),
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite recommend",
        description="Ask an exported model. Without a request it keeps asking for one; "
        "if the standard input is a file or a pipe, each of its lines is a request.",
        allow_abbrev=False,
    )
    parser.add_argument("request", nargs="?", help='what is wanted: "red dress"')
    parser.add_argument(
        "--model",
        required=True,
        help="folder of an exported model, checkpoint (.pth) or hf-hub:<owner>/<name>",
    )
    parser.add_argument(
        "--pictures", metavar="FOLDER", help="to which paths of pictures are relative"
    )
    parser.add_argument(
        "--own-code",
        action="store_true",
        help="allow the model to import the encoder module that it names",
    )
    add_store_options(parser)
    group = parser.add_argument_group("who asks, and for what")
    group.add_argument("--user", help="id of the user, whose history is used")
    group.add_argument(
        "--history",
        type=_ids,
        metavar="ID,ID",
        help="items to use instead of the user's history, oldest first",
    )
    group.add_argument("--image", metavar="FILE", help="a picture of what is wanted")
    group.add_argument("--similar", metavar="ID", help="items like this one")
    group.add_argument(
        "--explain", metavar="ID", help="why this item stands where it stands"
    )
    group = parser.add_argument_group("which items")
    group.add_argument("--k", type=count, default=10, help="how many (default: 10)")
    group.add_argument(
        "--seen", action="store_true", help="keep items of the user's history"
    )
    group.add_argument(
        "--exclude", type=_ids, action="extend", metavar="ID,ID", help="leave these out"
    )
    group.add_argument(
        "--among", type=_ids, action="extend", metavar="ID,ID", help="only these"
    )
    group.add_argument(
        "--where",
        action="append",
        metavar="CONDITION",
        help='a column and its value, "category=shoes", or range, "price=0..50", '
        '"price=..50"; several for one column: any of them; for several: all of them',
    )
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="one JSON object")
    group.add_argument(
        "--sheet", metavar="FILE", help="page with pictures and parts of scores (.html)"
    )
    group = parser.add_argument_group("files of requests")
    group.add_argument(
        "--requests",
        metavar="FILE",
        help=".csv, .parquet or .jsonl with the column request and, optionally, id, "
        "user, history, exclude, exclude_seen",
    )
    group.add_argument(
        "--output", metavar="FILE", help="where to: .csv, .parquet or .jsonl"
    )
    group.add_argument(
        "--format",
        choices=("csv", "parquet", "jsonl", "trec"),
        help="if the name of the output does not say it; trec: a run file for "
        "ir_measures, pytrec_eval and trec_eval",
    )
    group.add_argument(
        "--parts", action="store_true", help="columns with the parts of each score"
    )
    options.add_options(group)
    return parser


def add_store_options(parser: argparse._ActionsContainer) -> None:
    """Add the options by which a command asks a store."""
    parser.add_argument(
        "--store",
        default="exact",
        metavar="STORE",
        help="where the best items are looked for: exact, usearch, usearch:FOLDER, milvus "
        "or milvus:URI; built with the command index (default: %(default)s)",
    )
    parser.add_argument(
        "--candidates",
        type=count,
        default=N_CANDIDATES,
        metavar="N",
        help="how many items such a store looks for at first, to be scored (default: "
        "%(default)s)",
    )


def check(args) -> None:
    """Refuse options that would have no effect.

    Raises:
        UserError: If there are some.
    """
    if args.requests:
        _refuse(args, _OF_ONE_REQUEST, "does not go with --requests, a whole file")
        if not args.output:
            raise UserError(
                "--requests needs --output: a .csv, .parquet or .jsonl file, or any name "
                "with --format trec."
            )
        if args.cluster:
            options.workers_of(args.cluster)
            options.memory_of(args.task_memory)
        return
    _refuse(args, _OF_FILES, "needs a file of requests, --requests")
    if args.similar:
        others = [each for each in _OF_ONE_REQUEST if each[0] not in _OF_SIMILAR]
        others.append(("seen", "--seen"))
        _refuse(args, others, "has no effect with --similar, which compares items")
    if args.explain:
        others = (("exclude", "--exclude"), ("among", "--among"), ("where", "--where"))
        others += (("seen", "--seen"), ("sheet", "--sheet"))
        _refuse(args, others, "has no effect with --explain")
    if is_prompt(args) and args.sheet:
        raise UserError(f"--sheet {args.sheet} needs a request, or --similar.")


_OF_SIMILAR = ("similar", "json", "sheet")


def _refuse(args, options, why):
    for attribute, flag in options:
        if getattr(args, attribute):
            raise UserError(f"{flag} {why}.")


def is_prompt(args) -> bool:
    """Return whether requests are to be asked for."""
    said = (args.request, args.image, args.history, args.similar, args.explain)
    return args.requests is None and all(each is None for each in said)


def conditions(given: Sequence[str] | None, columns: Mapping[str, str]) -> dict | None:
    """Return what ``--where`` says, as ``Recommender.recommend`` takes it.

    Args:
        given (list of str or None): Such as ``"category=shoes"``, ``"price=0..50"``.
        columns (dict): The types of the columns, ``Recommender.columns``.

    Raises:
        UserError: If a condition is none, or a number is needed and none is given.
    """
    by_column = {}
    for text in given or ():
        column, equals, value = text.partition("=")
        column, value = column.strip(), value.strip()
        if not (column and equals):
            raise UserError(
                f"--where '{text}' is no condition: write column=value, or column=0..50 "
                f"for a range. The columns are {', '.join(columns)}."
            )
        by_column.setdefault(column, []).append(_value(value, columns.get(column)))
    for column, values in by_column.items():
        if len(values) > 1 and any(isinstance(each, tuple) for each in values):
            raise UserError(
                f"--where: {column} is given {len(values)} times, one of them a range. "
                "Give one range, or values only."
            )
    return {
        column: values[0] if len(values) == 1 else values
        for column, values in by_column.items()
    } or None


def _value(text, kind):
    least, dots, most = (each.strip() for each in text.partition(".."))
    if dots and (least or most):
        if all(_NUMBER.fullmatch(each) for each in (least, most) if each):
            if kind not in ("float", None):  # None: the catalogue says what there is
                raise UserError(
                    f"--where: '{text}' is a range, but the column holds text ({kind}), "
                    "so it has no range. Give a value, or several conditions."
                )
            return tuple(float(each) if each else None for each in (least, most))
    if kind != "float":
        return text
    if not _NUMBER.fullmatch(text):
        raise UserError(
            f"--where: '{text}' is neither a number nor a range such as 0..50, ..50 or 10.., "
            "and the column holds numbers."
        )
    return float(text)


def _ids(text):
    ids = [each.strip() for each in text.split(",")]
    return [each for each in ids if each]


def count(text: str) -> int:
    """Return the whole number above 0 that an option was given, for ``type=``."""
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)
