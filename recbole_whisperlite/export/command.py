"""The command ``export``."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(argv: list[str]) -> int:
    """Write a trained model as a folder that stands on its own, or its test set.

    Args:
        argv (list of str): ``--checkpoint --output --data_path --without-users
            --push --public``, or
            ``qrels --checkpoint --output``.

    Returns:
        int: The exit status.

    Raises:
        UserError: If the checkpoint cannot be loaded or exported.
    """
    if argv[:1] == ["qrels"]:
        return _qrels(argv[1:])
    args = _parser().parse_args(argv)
    from recbole_whisperlite.export.model import export_checkpoint

    folder = export_checkpoint(
        args.checkpoint,
        args.output,
        not args.without_users,
        args.data_path,
        args.own_code,
    )
    if args.push:
        from recbole_whisperlite.recommend.hub import upload

        print(f"Model uploaded to {upload(folder, args.push, not args.public, None)}")
    print(
        f"Model written to {folder}\n\nNext: ask it\n"
        f'  recbole-whisperlite recommend "something warm" --model {args.output}'
    )
    return 0


def _qrels(argv):
    args = _qrels_parser().parse_args(argv)
    from recbole_whisperlite.export.qrels import QRELS, REQUESTS, export_qrels

    n = export_qrels(args.checkpoint, args.output, args.data_path, args.own_code)
    requests = Path(args.output, REQUESTS)
    print(
        f"{n:,} queries written to {requests}, their positives to "
        f"{Path(args.output, QRELS)}\n\nNext: answer them and measure the answers\n"
        "  recbole-whisperlite recommend --model <exported model> --requests "
        f"{requests} --format trec --output run.txt --k 10\n"
        f"  ir_measures {Path(args.output, QRELS)} run.txt nDCG@10 R@10 RR@10"
    )
    return 0


def _parser():
    parser = _parser_of_checkpoint(
        prog="recbole-whisperlite export",
        description="Write a trained model as a folder that needs neither RecBole nor the "
        "dataset nor the checkpoint.",
        epilog="recbole-whisperlite export qrels writes the requests and judgements of "
        "the test set, for evaluation tools.",
    )
    parser.add_argument(
        "--without-users",
        action="store_true",
        help="leave out the histories of the users, which are personal data",
    )
    parser.add_argument(
        "--push",
        metavar="OWNER/NAME",
        help="upload the model to the Hugging Face Hub, too, as a private repository",
    )
    parser.add_argument(
        "--public", action="store_true", help="make the new repository public"
    )
    return parser


def _qrels_parser():
    return _parser_of_checkpoint(
        prog="recbole-whisperlite export qrels",
        description="Write the test set of a checkpoint: requests.jsonl, the queries as "
        "the model got them, for recbole-whisperlite recommend --requests; and qrels.txt, "
        "the judgements in TREC's format.",
    )


def _parser_of_checkpoint(**texts):
    """Return a parser with what both commands need."""
    parser = argparse.ArgumentParser(allow_abbrev=False, **texts)
    parser.add_argument("--checkpoint", required=True, help="saved/<model>-….pth")
    parser.add_argument("--output", required=True, help="the folder to write")
    parser.add_argument(
        "--data_path", help="the folder that contains the dataset's, if it moved"
    )
    parser.add_argument(
        "--own-code",
        action="store_true",
        help="allow the checkpoint to import the encoder or metric module that it names",
    )
    return parser
