"""The command ``index``."""

from __future__ import annotations

import argparse
import sys
import time


def main(argv: list[str]) -> int:
    """Build a store of an exported model.

    Args:
        argv (list of str): The command line after ``index``.

    Returns:
        int: The exit status, 0.

    Raises:
        UserError: If the model cannot be loaded or have such a store, or the store cannot
            be written.
    """
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite index",
        description="Build a store of an exported model, for answers from a catalogue that "
        "is too large to score every product. One that is there is replaced.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model", required=True, metavar="FOLDER", help="an exported model"
    )
    parser.add_argument(
        "--store",
        required=True,
        metavar="STORE",
        help="usearch (a file in the folder of the model), usearch:FOLDER, milvus (embedded "
        "in the folder of the model) or milvus:URI, such as milvus:http://host:19530",
    )
    parser.add_argument(
        "--own-code",
        action="store_true",
        help="allow the model to import the encoder module that it names",
    )
    args = parser.parse_args(argv)

    from recbole_whisperlite.recommend.recommender import Recommender
    from recbole_whisperlite.recommend.stores.address import Address

    Address.of(args.store)  # before the model is loaded
    shop = Recommender.load(args.model, own_code=args.own_code)
    begin = time.perf_counter()
    shop.build_store(args.store)
    seconds = time.perf_counter() - begin
    print(f"{args.store}: {len(shop):,} items in {seconds:.0f} s", file=sys.stderr)
    return 0
