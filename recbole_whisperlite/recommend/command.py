"""The command ``recommend``."""

from __future__ import annotations

import argparse


def main(argv: list[str]) -> int:
    """Ask an exported model.

    Args:
        argv (list of str): The command line after ``recommend``.

    Returns:
        int: The exit status.

    Raises:
        UserError: If the model cannot be loaded, or an argument is wrong.
    """
    args = _parser().parse_args(argv)
    from recbole_whisperlite.recommend.recommender import Recommender

    shop = Recommender.load(args.model)
    print(shop.recommend(args.request, args.user, k=args.k).to_frame().to_string())
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite recommend", description="Ask an exported model."
    )
    parser.add_argument("request", nargs="?", help="what is wanted")
    parser.add_argument("--model", required=True, help="an exported model")
    parser.add_argument("--user", help="who asks")
    parser.add_argument("--k", type=int, default=10, help="how many items")
    return parser
