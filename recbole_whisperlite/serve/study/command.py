"""The command ``study``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recbole_whisperlite.recommend.arguments import count
from recbole_whisperlite.serve import listening

_INSTALLED = ("fastapi", "krippendorff", "uvicorn")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite study",
        description="A user study: raters judge the lists of models, without knowing "
        "which model made one. Docs: docs/study.md.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add, about in (
        ("make", _add_make, "draw requests and lists, and write a study as a folder"),
        ("serve", _add_serve, "show the lists to raters, and store what they answer"),
        ("report", _add_report, "means, tests and agreement, as a page and as csv"),
    ):
        add(
            commands.add_parser(
                name,
                help=about,
                description=about[0].upper() + about[1:] + ".",
                allow_abbrev=False,
                formatter_class=_Formatter,
            )
        )
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are some."""

    def _get_help_string(self, action):
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


def _add_make(parser):
    option = parser.add_argument
    option(
        "--models",
        nargs="+",
        required=True,
        metavar="[NAME=]FOLDER|random|bm25",
        help="what is compared: exported models; random: products drawn from the first "
        "model's catalogue; bm25: over its item texts",
    )
    option(
        "--requests",
        required=True,
        metavar="FILE",
        help=".csv, .parquet or .jsonl with the column request and, optionally, user",
    )
    option(
        "--n-requests", type=count, default=20, help="how many are drawn from the file"
    )
    option(
        "--per-request",
        type=count,
        default=3,
        metavar="N",
        help="how many raters judge each request: all its lists, each on its own",
    )
    option(
        "--raters",
        type=count,
        metavar="N",
        help="how many raters there are; if more than --per-request, requests are "
        "divided among them (default: as many as --per-request)",
    )
    option(
        "--k",
        nargs="+",
        type=count,
        default=[3, 5, 7],
        help="sizes of lists: a request is judged with a list of each size and model",
    )
    option(
        "--checks",
        type=_whole,
        default=3,
        metavar="N",
        help="attention checks of each rater",
    )
    option(
        "--scale",
        metavar="FILE",
        help="yaml with the question, the answers and what they count as, and the "
        "wording of attention checks (default: recbole_whisperlite/serve/study/scale.yaml)",
    )
    option("--seed", type=_whole, default=0, help="for all that is drawn")
    option("--output", required=True, metavar="FOLDER", help="a new folder")
    option(
        "--pictures", metavar="FOLDER", help="to which paths of pictures are relative"
    )
    option(
        "--own-code",
        action="store_true",
        help="allow the models to import the encoder module that they name",
    )


def _add_serve(parser):
    parser.add_argument("folder", help="the study")
    listening.add_options(
        parser,
        "a file with the token that /progress needs where other machines reach the "
        "address; raters need their links only",
        "everybody who reaches the address may open it; raters need their links",
    )


def _add_report(parser):
    parser.add_argument("folder", help="the study")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the page (.html); answers.csv is written beside it (default: report.html "
        "in the study)",
    )


def main(argv: list[str]) -> int:
    """Make, serve or report a user study.

    Args:
        argv (list of str): The command line after ``study``.

    Returns:
        int: The exit status, 0.

    Raises:
        UserError: If an argument, a file, a model or the address cannot be used.
    """
    args = make_parser().parse_args(argv)
    listening.check_installed("study", _INSTALLED)
    {"make": _make, "serve": _serve, "report": _report}[args.command](args)
    return 0


def _make(args):
    from recbole_whisperlite.serve.study import make
    from recbole_whisperlite.serve.study.plan import DEFAULT_SCALE

    plan = make.make(
        args.models,
        args.requests,
        args.output,
        n_requests=args.n_requests,
        ks=args.k,
        per_request=args.per_request,
        n_raters=args.raters,
        n_checks=args.checks,
        scale=args.scale or DEFAULT_SCALE,
        seed=args.seed,
        pictures=args.pictures,
        own_code=args.own_code,
    )
    pages = [rater.pages for rater in plan.raters]
    sizes = sorted({len(each) for each in pages})
    entries = max(sum(page.n_entries for page in each) for each in pages)
    print(
        f"{len(plan.requests)} requests, {len(plan.lists)} lists, {len(pages)} raters. "
        f"Each rater judges {' to '.join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))} "
        f"lists, at most {entries} products. The links are in "
        f"{Path(args.output, make.RATERS)}.\n"
        f"Next: recbole-whisperlite study serve {args.output}"
    )


def _serve(args):
    from recbole_whisperlite.serve.study.answers import Answers
    from recbole_whisperlite.serve.study.make import link
    from recbole_whisperlite.serve.study.plan import read_plan
    from recbole_whisperlite.serve.study.web import make_app

    rules = listening.access_of(args)
    plan = read_plan(args.folder)
    socket = listening.listen(args.host, args.port)
    answers = Answers(args.folder, plan)

    def say(address):
        for number, rater in enumerate(plan.raters):
            judged = f"{len(answers.of(number))} of {len(rater.pages)} judged"
            print(f"{rater.name}, {judged}: {address}{link(rater)}")
        sys.stdout.flush()
        print("Ctrl+C stops it", file=sys.stderr, flush=True)

    listening.serve(make_app(args.folder, plan, answers, rules), socket, say)


def _report(args):
    from recbole_whisperlite.serve.study import report

    print(report.write(args.folder, args.output))


def _whole(text):
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number, 0 or more")
    return int(text)
