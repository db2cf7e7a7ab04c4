"""The command ``upstream``."""

from __future__ import annotations

import argparse
from pathlib import Path

from recbole_whisperlite.upstream import change as changes


def main(argv: list[str]) -> int:
    """Write WhisperLite into a clone of RecBole, as a request to merge it would.

    Args:
        argv (list of str): ``--recbole --with-queries --check``.

    Returns:
        int: The exit status; 1 if a check fails.

    Raises:
        UserError: If the folder is no clone of RecBole that the change fits.
    """
    args = _parser().parse_args(argv)
    root = args.recbole.expanduser().absolute()
    # evaluation by query may follow the model, or come with it
    follows = args.with_queries and changes.has_model(root)
    model = {} if follows else changes.model_change(root)
    change = dict(model)
    if args.with_queries:
        change |= changes.queries_change(root, model)
    changes.write(root, change)
    for path, text in change.items():
        print(f"  {path}: {len(text.splitlines()):,} lines")
    print(f"\n{len(change)} files written to {root}")
    if not args.check:
        print(
            "Next: recbole-whisperlite upstream --check on another clone, or git diff"
        )
        return 0
    return _check(root, change, args.with_queries)


def _check(root, change, with_queries):
    from recbole_whisperlite.upstream.check import check

    failed = 0
    for what, holds, figures in check(root, change, with_queries):
        mark = {True: "ok     ", False: "FAILED ", None: "skipped"}[holds]
        print(f"  {mark}  {what}: {figures}", flush=True)
        failed += holds is False
    print("\nThe change holds." if not failed else f"\n{failed} checks failed.")
    return 1 if failed else 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite upstream",
        description="Write WhisperLite into a clone of RecBole 1.2.1 or master: model, loss, "
        "dataset, settings, test, test data, and pages of the documentation, none of which "
        "needs this package.",
    )
    parser.add_argument(
        "--recbole", type=Path, required=True, metavar="PATH", help="the clone"
    )
    parser.add_argument(
        "--with-queries",
        action="store_true",
        help="evaluation by (user, request), too: a second change, which edits lines of "
        "RecBole's evaluation dataloader",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="try the changed clone: format, syntax, training, saving, loading, figures "
        "beside the plugin's, its own test (about a minute)",
    )
    return parser
