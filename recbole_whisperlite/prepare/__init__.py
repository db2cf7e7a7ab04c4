"""Converters: a public data set's own files become RecBole's atomic files.

One module a source. Each has a docstring whose first line describes it, an
``add_arguments(parser)`` and a ``run(args)``.
"""

import argparse

from recbole_whisperlite.prepare import (
    amazon,
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
    "table": table,
}


def main(argv=None):
    """Run ``python -m recbole_whisperlite prepare <source> …``.

    Args:
        argv (list of str, optional): What follows ``prepare``; the process's own
            arguments if None.

    Returns:
        int: 0, the exit status.

    Raises:
        UserError: If the source's files or the settings cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m recbole_whisperlite prepare",
        description="Turn a public data set's own files into RecBole's atomic files.",
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
