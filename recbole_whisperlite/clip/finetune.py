"""``clip finetune``: train a CLIP model on your own pictures and captions."""

import argparse
import json
import logging
import multiprocessing
import numbers
import sys
import tempfile
import warnings
from dataclasses import fields
from pathlib import Path

import torch
import torch.distributed as dist

from recbole_whisperlite.clip import LOG_FORMAT
from recbole_whisperlite.clip.arguments import DATA_ALIASES, load_encoder, make_parser
from recbole_whisperlite.clip.new_clip import new_clip
from recbole_whisperlite.clip.pairs import read_pairs, readable
from recbole_whisperlite.clip.training import (
    LOG,
    Recipe,
    best_of,
    check_share,
    train_clip,
)
from recbole_whisperlite.config_files import read_files
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.files import check_folder

# Keys that an entry of ``data`` may set; other entries take the option of that name.
_OF_READ_PAIRS = ("captions", "group", "id_column", "picture_column")
_RATIOS = ("valid_ratio", "test_ratio")
# Settings without a command-line option: they are not single values.
_NESTED = ("data", "model_cfg", "preprocess_cfg")
_INTERRUPTED = 130
_SECONDS_TO_TIDY_UP = 3

DESCRIPTION = """\
Train a CLIP model on pictures and their captions with the CLIP objective.

Pictures and captions come from a csv file, a folder or zip file of pictures with a
styles.csv, or a dataset folder. --captions gives one or several templates, with columns
in braces ("{baseColour} {articleType}"). With several, each epoch picks one per picture
at random, and validation uses the first. By default every text column is a caption.

The folder --output receives the model (use it with clip_model: FOLDER), log.jsonl with
every epoch, a checkpoint from which the same command resumes, and valid.json and
test.json, the held-out captions as {caption: {id: 1}} for clip evaluate.
"""


def main(argv: list[str]) -> int:
    """Run ``recbole-whisperlite clip finetune``.

    Returns:
        int: 0, or 130 if interrupted.

    Raises:
        UserError: If a setting, the data or the model cannot be used.
    """
    args, recipe = _parse(argv)
    parts = _read(args, recipe)
    for name, pairs in parts.items():
        print(f"{name}: {len(pairs):,} pictures")
    recipe = _chosen(recipe, len(parts["train"]), args.nproc)
    output = Path(args.output)
    try:
        log = _train_in_processes(args, parts, recipe)
    except KeyboardInterrupt:
        print(
            f"Interrupted. The same command resumes after the last epoch in {output}.",
            file=sys.stderr,
        )
        return _INTERRUPTED
    best = best_of(log)
    print(
        f"best epoch {best['epoch']} of {len(log)}: on {len(parts['valid']):,} "
        f"validation pictures, recall@1 {best['recall@1']:.3f}, recall@10 "
        f"{best['recall@10']:.3f}, MRR {best['mrr']:.3f}\n"
        f"To use this model: --encoder open_clip --clip_model {output} (or the settings "
        f"encoder: open_clip, clip_model: {output})"
    )
    return 0


def _chosen(recipe, n, processes):
    """Return the recipe with nothing left open; say what was chosen."""
    whole = recipe.for_pictures(n, processes)
    chosen = [
        f"{item.name} {getattr(whole, item.name)}"
        for item in fields(Recipe)
        if getattr(recipe, item.name) is None
    ]
    if chosen:
        print(f"chosen for {n:,} pictures to train on: {', '.join(chosen)}")
    return whole


def _train_in_processes(args, parts, recipe):
    """Train in this process, or in ``--nproc`` new ones; return the log."""
    with tempfile.TemporaryDirectory() as scratch:
        if args.model_cfg is not None:
            captions = parts["train"].captions
            new_clip(
                scratch,
                args.model_cfg,
                args.preprocess_cfg,
                captions,
                recipe.seed,
                not args.quiet,
            )
            args.encoder, args.clip_model = "open_clip", scratch
        if args.nproc == 1:
            return _train(args, parts, recipe)
        problem = Path(scratch, "problem.txt")
        processes = torch.multiprocessing.start_processes(
            _worker,
            (scratch, problem, args, parts, recipe),
            args.nproc,
            join=False,
            start_method=_start_method(),
        )
        try:
            while not processes.join():
                pass
        except torch.multiprocessing.ProcessRaisedException:
            if problem.is_file():
                raise UserError(problem.read_text("utf-8")) from None
            raise
        except KeyboardInterrupt:
            # The terminal interrupts them as well: give them time to clean up.
            for process in processes.processes:
                process.join(_SECONDS_TO_TIDY_UP)
                process.terminate()
            raise
        lines = Path(args.output, LOG).read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


def _train(args, parts, recipe):
    clip = load_encoder(args)
    return train_clip(
        clip, output=args.output, recipe=recipe, show_progress=not args.quiet, **parts
    )


def _start_method():
    """Return how to start processes: by a fork server with all imports, if possible.

    Forks of this process could not run autograd once it has done so, nor use its GPU.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    multiprocessing.set_forkserver_preload([__name__])
    return "forkserver"


def _worker(rank, scratch, problem, args, parts, recipe):
    # Processes that decode pictures use the default start method, not that of this one.
    multiprocessing.set_start_method(None, force=True)
    logging.basicConfig(format=LOG_FORMAT)
    # open_clip's loss uses functions that torch is about to rename, and gradients of
    # 1 x 1 convolutions are laid out differently from their buckets: not users' concern.
    warnings.filterwarnings("ignore", category=FutureWarning, module="open_clip.loss")
    warnings.filterwarnings("ignore", message="Grad strides do not match")
    try:
        on_gpus = (args.device or "cuda").startswith("cuda")
        if on_gpus and torch.cuda.is_available():
            if args.nproc > torch.cuda.device_count():
                raise UserError(
                    f"--nproc is {args.nproc}, but there are "
                    f"{torch.cuda.device_count()} GPUs. Use --device=cpu to train "
                    "without them."
                )
            args.device, backend = f"cuda:{rank}", "nccl"
            torch.cuda.set_device(rank)
        else:
            backend = "gloo"
            torch.set_num_threads(max(1, torch.get_num_threads() // args.nproc))
        dist.init_process_group(
            backend, f"file://{scratch}/store", rank=rank, world_size=args.nproc
        )
        _train(args, parts, recipe)
        dist.destroy_process_group()
    except UserError as error:
        # The parent would only see it inside a traceback.
        problem.write_text(str(error), "utf-8")
        raise


# ------------------------------------------------------------ settings


def _parse(argv):
    """Return the options and the recipe; argv takes precedence over yaml files."""
    parser = _make_parser()
    typed = parser.parse_args([*argv, "--output=-"])
    settings = {}
    for content in read_files(typed.config_files):
        settings.update(content)
    options = {action.dest: action for action in parser._actions}
    del options["help"], options["config_files"]
    for name in settings:
        if name not in {*options, *_NESTED}:
            known = sorted({*options, *_NESTED})
            raise UserError(
                f"{typed.config_files}: there is no setting '{name}'."
                f"{did_you_mean(name, known)} Accepted: {', '.join(known)}."
            )
    nested = {name: settings.pop(name, None) for name in _NESTED}
    if typed.captions:
        settings.pop("captions", None)
    error = parser.error
    parser.error = _refuse  # instead of the usage, which does not help with a file
    try:
        flags = _as_typed(settings, options)
        parser.parse_args([*flags, "--output=-"])
    except UserError as reason:
        raise UserError(f"{typed.config_files}: {reason}") from None
    parser.error = error
    args = parser.parse_args([*flags, *argv])
    args.model_cfg = nested["model_cfg"]
    args.preprocess_cfg = nested["preprocess_cfg"] or {}
    args.sources = _sources(args, nested["data"])
    _check(args)
    return args, Recipe(
        **{item.name: getattr(args, item.name) for item in fields(Recipe)}
    )


def _make_parser():
    parser = make_parser("finetune", DESCRIPTION)
    parser.add_argument(
        "--config_files", help="yaml files with these settings, separated by spaces"
    )
    data = parser.add_argument_group("data")
    several = {"nargs": "+", "action": "extend"}
    data.add_argument(
        "--data",
        **several,
        metavar="PATH",
        help="catalogues with captions, see above (the same: "
        f"{', '.join(DATA_ALIASES)})",
    )
    data.add_argument(*DATA_ALIASES, **several, dest="data", help=argparse.SUPPRESS)
    data.add_argument(
        "--captions",
        **several,
        metavar="TEMPLATE",
        help="caption templates with columns in braces (default: every text column)",
    )
    data.add_argument(
        "--group",
        metavar="COLUMN",
        help="keep pictures with equal values on the same side of the split",
    )
    data.add_argument("--id_column", help="csv: column of ids")
    data.add_argument("--picture_column", help="csv: column of picture paths")
    data.add_argument(
        "--valid", metavar="PATH", help="validate on these pairs, not on a split"
    )
    data.add_argument(
        "--valid_ratio",
        type=float,
        default=0.1,
        help="fraction of groups for validation (default: 0.1)",
    )
    data.add_argument(
        "--test_ratio",
        type=float,
        default=0.0,
        help="fraction of groups for testing (default: 0)",
    )
    data.add_argument(
        "--missing_image",
        choices=("error", "skip"),
        default="error",
        help="how to treat pictures that cannot be read (default: error)",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="FOLDER",
        help="folder for the model, see above",
    )
    parser.add_argument(
        "--nproc", type=int, default=1, help="processes that train (default: 1)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    training = parser.add_argument_group("training")
    given = {action.dest: action for action in parser._actions}
    for item in fields(Recipe):
        default = item.metadata["by_size"] or item.default
        meaning = f"{item.metadata['meaning']} (default: {default})"
        if item.name in given:
            given[item.name].default = item.default
            given[item.name].help = meaning
        elif isinstance(item.default, bool):
            training.add_argument(
                f"--{item.name}",
                action=argparse.BooleanOptionalAction,
                default=item.default,
                help=meaning,
            )
        else:
            training.add_argument(
                f"--{item.name}",
                type=int if item.default is None else type(item.default),
                default=item.default,
                help=meaning,
            )
    return parser


def _as_typed(settings, options):
    """Return the settings of yaml files as command-line flags, for argparse to check."""
    flags = []
    for name, value in settings.items():
        option = options[name]
        if value is None:
            continue
        if option.nargs == 0:
            if not isinstance(value, bool):
                raise UserError(f"{name} is '{value}'; it must be true or false.")
            flag = f"--{name}" if value else f"--no-{name}"
            flags += [flag] if flag in option.option_strings else []
            continue
        values = value if isinstance(value, list) else [value]
        if len(values) != 1 and option.nargs is None or isinstance(value, dict):
            raise UserError(f"{name} is {value}; it must be a single value.")
        flags += [f"--{name}={one}" for one in values]
    return flags


def _refuse(message):
    raise UserError(f"{message}.")


def _sources(args, described):
    """Return the data, a dict of ``path``, ``_OF_READ_PAIRS`` and ``_RATIOS`` each."""
    common = {name: getattr(args, name) for name in (*_OF_READ_PAIRS, *_RATIOS)}
    if args.data:
        described = [{"path": path} for path in args.data]
    if not described:
        raise UserError("There is no training data: give it with --data.")
    if not isinstance(described, list):
        described = [described]
    for source in described:
        known = ("path", *common)
        unknown = set(source) - set(known) if isinstance(source, dict) else [source]
        if unknown or "path" not in source:
            raise UserError(
                f"data: {source} cannot be used. Each entry needs a path and can have "
                f"{', '.join(common)}."
            )
    sources = [{**common, **source} for source in described]
    for source in sources:
        _check_source(source)
    return sources


def _check_source(source):
    path, captions = source["path"], source["captions"]
    if isinstance(captions, str):
        source["captions"] = captions = [captions]
    for name in ("path", "group", "id_column", "picture_column"):
        if not isinstance(source[name], (str, type(None))):
            raise UserError(f"data: {path}: {name} is {source[name]}; it must be text.")
    if captions is not None and not (
        isinstance(captions, list) and all(isinstance(text, str) for text in captions)
    ):
        raise UserError(
            f"data: {path}: captions is {captions}; it must be a list of templates with "
            'columns in braces, such as ["{title}", "{colour} {garment}"].'
        )
    ratios = [source[name] for name in _RATIOS]
    if not (
        all(isinstance(ratio, numbers.Real) and ratio >= 0 for ratio in ratios)
        and sum(ratios) < 1
    ):
        raise UserError(
            f"data: {path}: valid_ratio {ratios[0]} and test_ratio {ratios[1]} must be "
            "numbers of at least 0 whose sum is less than 1."
        )


def _check(args):
    if args.nproc < 1:
        raise UserError(f"--nproc is {args.nproc}; it must be at least 1.")
    if args.batch_size is not None:
        check_share(args.batch_size, args.nproc)
    if args.model_cfg is not None and (args.clip_model or args.clip_pretrained):
        raise UserError(
            "model_cfg describes a new model, but clip_model and clip_pretrained name an "
            "existing one: give one or the other."
        )
    check_folder(args.output, "--output")


def _read(args, recipe):
    """Return the pairs by their part: ``train``, ``valid`` and ``test``."""

    def read(path, **columns):
        pairs = read_pairs(path, **columns)
        return readable(pairs, args.missing_image, recipe.workers, not args.quiet)

    parts = None
    for source in args.sources:
        valid, test = (source.pop(name) for name in _RATIOS)
        ratios = [0 if args.valid else valid, test]
        split = read(**source).split(ratios, recipe.seed)
        parts = split if parts is None else [a + b for a, b in zip(parts, split)]
    parts = dict(zip(("train", "valid", "test"), parts))
    if args.valid:
        columns = {name: getattr(args, name) for name in _OF_READ_PAIRS}
        parts["valid"] = read(args.valid, **{**columns, "group": None})
    seen = set(parts["train"].pictures)
    again = sum(picture in seen for picture in parts["valid"].pictures)
    if again:
        logging.getLogger().warning(
            f"{again:,} of {len(parts['valid']):,} validation pictures are also trained "
            "on: the epoch chosen as the best will be too late."
        )
    return parts
