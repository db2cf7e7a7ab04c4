"""``clip finetune``: train a CLIP model on your own pictures and captions."""

import argparse
import json
import tempfile
from dataclasses import fields
from pathlib import Path

import torch
import torch.distributed as dist

from recbole_whisperlite.clip.arguments import load_encoder, make_parser
from recbole_whisperlite.clip.pairs import readable, read_pairs
from recbole_whisperlite.clip.training import Recipe, train_clip
from recbole_whisperlite.config_files import read_files
from recbole_whisperlite.clip.folder import new_clip
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.files import whole_file

_SOURCE = {"path", "captions", "group", "valid_ratio", "test_ratio"}
_SOURCE |= {"id_column", "picture_column"}
_OURS = {"data", "model_cfg", "preprocess_cfg"}

DESCRIPTION = """\
Train a CLIP model on pictures and their captions with the CLIP objective.

Pictures and captions come from a csv file, a folder or zip file of pictures with a
styles.csv, or a dataset's folder. --caption names one kind of caption, with columns in
braces ("{baseColour} {articleType}"); given several times, a picture has several, and
each epoch takes one of them by chance. Without it every text column is a caption.

The folder --output gets the model (clip_model: FOLDER uses it), log.jsonl with every
epoch, a checkpoint from which the same command goes on, and valid.json and test.json:
{caption: {id: 1}} of what was kept out of training, as clip evaluate takes it.
"""


def main(argv):
    """Run ``python -m recbole_whisperlite clip finetune``.

    Returns:
        int: 0.

    Raises:
        UserError: If a setting, the data or the model cannot be used.
    """
    args = _parse(argv)
    recipe = Recipe(**{f.name: getattr(args, f.name) for f in fields(Recipe)})
    parts = _read(args, recipe)
    output = Path(args.output)
    for name, pairs in zip(("train", "valid", "test"), parts):
        print(f"{name}: {len(pairs):,} pictures")
        if name != "train":
            _write_ground_truth(output / f"{name}.json", pairs)
    train, valid, _ = parts
    if not len(valid):
        raise UserError(
            "No picture is left to validate on: set valid_ratio or --valid."
        )
    with tempfile.TemporaryDirectory() as scratch:
        if args.model_cfg:
            new_clip(
                scratch, args.model_cfg, args.preprocess_cfg, train.captions, args.seed
            )
            args.encoder, args.clip_model = "open_clip", scratch
        job = args, train, valid, output, recipe
        if args.nproc == 1:
            log = _train(*job)
        else:
            store = f"file://{scratch}/store"
            torch.multiprocessing.spawn(
                _worker, (args.nproc, store, job), nprocs=args.nproc
            )
            log = [json.loads(line) for line in open(output / "log.jsonl")]
    best = max(log, key=lambda entry: entry["mrr"])
    print(
        f"best epoch {best['epoch']} of {len(log)}: on {len(valid):,} pictures kept out, "
        f"recall@1 {best['recall@1']:.3f}, recall@10 {best['recall@10']:.3f}, MRR "
        f"{best['mrr']:.3f}\n{output}: clip_model: {output} uses this model"
    )
    return 0


def _train(args, train, valid, output, recipe):
    clip = load_encoder(args)
    return train_clip(clip, train, valid, output, recipe, not args.quiet)


def _worker(rank, world_size, store, job):
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store, rank=rank, world_size=world_size)
    try:
        _train(*job)
    finally:
        dist.destroy_process_group()


def _parse(argv):
    parser = make_parser("finetune", DESCRIPTION)
    parser.add_argument(
        "--config_files", help="yaml files with these settings, separated by spaces"
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data", action="append", metavar="PATH", help="may be repeated")
    data.add_argument(
        "--caption", action="append", metavar="TEMPLATE", help="may be repeated"
    )
    data.add_argument("--group", metavar="COLUMN", help="equal values are not split")
    data.add_argument("--id_column", help="csv: its column of ids")
    data.add_argument("--picture_column", help="csv: its column of pictures")
    data.add_argument("--valid", metavar="PATH", help="validate on these pairs instead")
    data.add_argument("--valid_ratio", type=float, default=0.1, help="share of groups")
    data.add_argument("--test_ratio", type=float, default=0.0, help="share of groups")
    data.add_argument(
        "--missing_image",
        choices=("error", "skip"),
        default="error",
        help="what becomes of pictures that cannot be read",
    )
    parser.add_argument("--output", required=True, metavar="FOLDER")
    parser.add_argument("--nproc", type=int, default=1, help="processes that train")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    training = parser.add_argument_group("training")
    given = {action.dest for action in parser._actions}
    for item in fields(Recipe):
        if item.name in given:
            parser.set_defaults(**{item.name: item.default})
        elif isinstance(item.default, bool):
            training.add_argument(
                f"--{item.name}",
                action=argparse.BooleanOptionalAction,
                default=item.default,
            )
        else:
            training.add_argument(
                f"--{item.name}", type=type(item.default), default=item.default
            )
    parser.set_defaults(model_cfg=None, preprocess_cfg={})
    known = {action.dest for action in parser._actions} | _OURS
    files = parser.parse_known_args([*argv, "--output=-"])[0].config_files
    settings = {}
    for content in read_files(files):
        settings.update(content)
    for name in settings:
        if name not in known:
            raise UserError(
                f"{files}: there is no setting '{name}'.{did_you_mean(name, known)} "
                f"Accepted are {', '.join(sorted(known))}."
            )
    sources = settings.pop("data", None)
    parser.set_defaults(**settings)
    args = parser.parse_args(argv)
    args.sources = _sources(args, sources)
    if args.nproc < 1:
        raise UserError(f"--nproc is {args.nproc}; it must be at least 1.")
    return args


def _sources(args, described):
    """Return the data as dicts of the keys ``_SOURCE``; --data comes before files."""
    if args.data:
        common = {
            "captions": args.caption,
            "group": args.group,
            "id_column": args.id_column,
            "picture_column": args.picture_column,
        }
        return [{"path": path, **common} for path in args.data]
    if not described:
        raise UserError("There is nothing to train on: name it with --data.")
    for source in described:
        unknown = set(source) - _SOURCE if isinstance(source, dict) else {str(source)}
        if unknown or "path" not in source:
            raise UserError(
                f"data: {source} cannot be used. Each entry has a path and, as it "
                f"needs them, {', '.join(sorted(_SOURCE - {'path'}))}."
            )
    return described


def _read(args, recipe):
    """Return the pairs to train on, to validate on, and those kept for a test."""
    parts = None
    for source in args.sources:
        source = dict(source)
        valid = 0 if args.valid else source.pop("valid_ratio", args.valid_ratio)
        test = source.pop("test_ratio", args.test_ratio)
        source.pop("valid_ratio", None)
        if not (0 <= valid and 0 <= test and valid + test < 1):
            raise UserError(
                f"{source['path']}: valid_ratio {valid} and test_ratio {test} must be "
                "shares that leave something to train on."
            )
        pairs = readable(
            read_pairs(**source), args.missing_image, recipe.workers, not args.quiet
        )
        split = pairs.split([valid, test], recipe.seed)
        parts = split if parts is None else [a + b for a, b in zip(parts, split)]
    if args.valid:
        parts[1] = readable(
            read_pairs(args.valid, args.caption, None, args.id_column),
            args.missing_image,
            recipe.workers,
            not args.quiet,
        )
    return parts


def _write_ground_truth(path, pairs):
    """Write ``{caption: {id: 1}}``: pictures with equal captions answer the same query."""
    if not len(pairs):
        return
    truth = {}
    for id_, captions in zip(pairs.ids, pairs.captions):
        truth.setdefault(captions[0], {})[id_] = 1
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(truth, indent=1, ensure_ascii=False), "utf-8")
