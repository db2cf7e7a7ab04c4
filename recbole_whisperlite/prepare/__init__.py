"""Converters: turn a public dataset's files into RecBole's atomic files.

One module per source. Each has a docstring whose first line describes it, an
``add_arguments(parser)`` and a ``run(args)``, and imports pandas and pyarrow only
inside the functions that convert, so that ``--help`` answers at once.
"""

import argparse

from recbole_whisperlite.prepare import (
    amazon,
    fashion_dialogues,
    feedback,
    hm,
    movielens,
    renttherunway,
    table,
    yelp,
)

SOURCES = {
    "hm": hm,
    "movielens": movielens,
    "amazon": amazon,
    "yelp": yelp,
    "renttherunway": renttherunway,
    "fashion-dialogues": fashion_dialogues,
    "table": table,
    "feedback": feedback,
}


def main(argv: list[str] | None = None) -> int:
    """Run ``recbole-whisperlite prepare <source> …``.

    Args:
        argv (list of str, optional): The arguments after ``prepare``; those of the
            process if None.

    Returns:
        int: The exit status, 0.

    Raises:
        UserError: If the source's files or the settings cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite prepare",
        description="Turn public datasets or your own tables into RecBole's atomic "
        "files.",
    )
    sources = parser.add_subparsers(dest="source", required=True, metavar="source")
    for name, source in SOURCES.items():
        source.add_arguments(
            sources.add_parser(
                name,
                help=source.__doc__.splitlines()[0],
                description=source.__doc__,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    args = parser.parse_args(argv)
    SOURCES[args.source].run(args)
    return 0
