"""The command ``export``."""

from __future__ import annotations

import argparse


def main(argv: list[str]) -> int:
    """Write a trained model as a folder that stands on its own.

    Args:
        argv (list of str): ``--checkpoint --output --without-users``.

    Returns:
        int: The exit status.

    Raises:
        UserError: If the checkpoint cannot be loaded or exported.
    """
    args = _parser().parse_args(argv)
    from recbole_whisperlite.export.model import export_checkpoint

    folder = export_checkpoint(args.checkpoint, args.output, not args.without_users)
    print(
        f"Model written to {folder}\n\nNext: ask it\n"
        f'  recbole-whisperlite recommend "something warm" --model {args.output}'
    )
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite export",
        description="Write a trained model as a folder that needs neither RecBole nor the "
        "dataset nor the checkpoint.",
    )
    parser.add_argument("--checkpoint", required=True, help="saved/<model>-….pth")
    parser.add_argument("--output", required=True, help="the folder to write")
    parser.add_argument(
        "--without-users",
        action="store_true",
        help="leave out the histories of the users, which are personal data",
    )
    return parser
