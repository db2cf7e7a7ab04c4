"""The command ``serve``."""

from __future__ import annotations

import argparse
import os
import sys

from recbole_whisperlite.recommend.arguments import add_store_options
from recbole_whisperlite.serve import listening

_INSTALLED = ("fastapi", "fastapi_swagger", "prometheus_client", "uvicorn")
_NONE = "none"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite serve",
        description="Answer requests over HTTP with exported models, and show a page to "
        "try them. Everything is described at /docs of the service.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option(
        "--model",
        action="append",
        required=True,
        metavar="[NAME=]FOLDER",
        help="an exported model, a checkpoint or hf-hub:<owner>/<name>; several times "
        "for several models, of which the first is the default",
    )
    option(
        "--feedback",
        default="sqlite:///feedback.db",
        metavar="URL",
        help="database of feedback: sqlite:///FILE, postgresql+psycopg://…, or none",
    )
    listening.add_options(
        parser,
        "a file with the token that clients need: to change products and models always, "
        "to ask on an address that is not this machine's own",
        "everybody who reaches the address may ask",
    )
    option("--log-requests", action="store_true", help="log the texts of requests, too")
    option(
        "--pictures", metavar="FOLDER", help="to which paths of pictures are relative"
    )
    option(
        "--own-code",
        action="store_true",
        help="allow the models to import the encoder module that they name",
    )
    add_store_options(parser)
    return parser


def main(argv: list[str]) -> int:
    """Serve exported models until interrupted.

    Args:
        argv (list of str): The command line after ``serve``.

    Returns:
        int: The exit status, 0.

    Raises:
        UserError: If a model cannot be loaded, the address is taken or needs a token,
            or the database cannot be used.
    """
    args = make_parser().parse_args(argv)
    listening.check_installed("serve", _INSTALLED)
    # Before anything reads it. A request is small work, for which several threads wait
    # for each other longer than they compute.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    from recbole_whisperlite.feedback import Feedback
    from recbole_whisperlite.serve import shops
    from recbole_whisperlite.serve.app import make_app

    rules = listening.access_of(args)
    sources = shops.named(args.model)
    socket = listening.listen(args.host, args.port)
    stored = None if args.feedback == _NONE else Feedback(args.feedback)
    options = {
        "pictures": args.pictures,
        "own_code": args.own_code,
        "store": args.store,
        "candidates": args.candidates,
    }
    models = shops.Shops(sources, options)
    app = make_app(models, rules, stored, args.log_requests)
    for shop in models:
        print(f"{shop.name}: {shop.recommender!r}", file=sys.stderr)
    listening.serve(app, socket, _say)
    return 0


def _say(address):
    print(f"Open {address}  (Ctrl+C stops it)", file=sys.stderr, flush=True)
