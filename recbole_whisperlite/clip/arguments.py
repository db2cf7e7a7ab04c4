"""Options that several tasks share."""

import argparse
from pathlib import Path

from recbole_whisperlite.clip.sources import read_catalogue
from recbole_whisperlite.encoder.presets import OFFLINE, PRESETS, check_encoder
from recbole_whisperlite.errors import UserError

# More would be refused by torch or numpy, in words of their own.
_MOST = 2**31 - 1


def make_parser(task, description):
    """Return the parser of a task with the options of every one of them."""
    parser = argparse.ArgumentParser(
        prog=f"python -m recbole_whisperlite clip {task}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_argument_group("encoder")
    group.add_argument(
        "--encoder",
        default=OFFLINE,
        help=f"{', '.join(sorted(PRESETS))} or open_clip (default: {OFFLINE})",
    )
    group.add_argument(
        "--clip_model",
        help="open_clip: model name, hf-hub:org/name, folder or config (json)",
    )
    group.add_argument(
        "--clip_pretrained",
        help="open_clip: tag or file of the weights; others: path of a local copy",
    )
    group.add_argument("--device", help="cpu, cuda, … (default: cuda if there is one)")
    group.add_argument("--batch_size", type=positive, default=64, help="at once")
    group.add_argument(
        "--workers", type=not_negative, default=0, help="processes that decode pictures"
    )
    return parser


def add_catalogue(parser, *flags, required=True):
    """Add the options that name and narrow a catalogue; ``flags`` name its path."""
    group = parser.add_argument_group("catalogue")
    group.add_argument(
        *flags,
        dest="catalogue",
        required=required,
        metavar="PATH",
        help="folder or zip of pictures, dataset's folder, or csv",
    )
    group.add_argument("--id_column", help="csv: its column of ids")
    group.add_argument("--picture_column", help="csv: its column of pictures")
    group.add_argument(
        "--ids", metavar="FILE", help="keep only these ids (text file, one a line)"
    )
    return group


def load_encoder(args):
    """Return the :class:`Clip` that the options name."""
    from recbole_whisperlite.encoder.clip import load_clip

    device = _device(args.device)
    check_encoder(args.encoder)
    if args.encoder == "open_clip" and not args.clip_model:
        raise UserError(
            "--encoder open_clip needs --clip_model (a name, hf-hub:org/name, a folder "
            "or a config) and, unless that brings weights, --clip_pretrained."
        )
    if args.encoder in PRESETS:
        _check_copy(args)
    return load_clip(
        args.encoder,
        clip_model=args.clip_model,
        clip_pretrained=args.clip_pretrained,
        device=device,
    )


def _device(name):
    """Return the device that is named, or the best one, if torch can compute on it."""
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).cpu()
    except Exception as error:
        # torch raises RuntimeError, AssertionError or NotImplementedError, at length.
        reason = (str(error) or type(error).__name__).partition("\n")[0].split(". ")[0]
        raise UserError(
            f"--device: there is no device '{name}' here; accepted are cpu and, where "
            f"there is a GPU, cuda or cuda:1, … ({reason})"
        ) from None
    return name


def _check_copy(args):
    """Refuse what a preset would not look at: it has a model of its own."""
    if args.clip_model:
        raise UserError(
            f"--clip_model '{args.clip_model}' is for --encoder open_clip; the encoder "
            f"is {args.encoder}, which has a model of its own. Name one of the two."
        )
    copy = args.clip_pretrained
    if copy and not Path(copy).expanduser().exists():
        raise UserError(
            f"--clip_pretrained: there is no file or folder {copy}. With --encoder "
            f"{args.encoder} it is the path of a local copy; tags of open_clip's go with "
            "--encoder open_clip."
        )


def load_catalogue(args):
    """Return the :class:`Catalogue` that the options name."""
    catalogue = read_catalogue(args.catalogue, args.id_column, args.picture_column)
    return catalogue.only(args.ids) if args.ids else catalogue


def check_texts(texts, what):
    """Raise a UserError if there is no text, or one is blank.

    Args:
        texts (list of str): The texts.
        what (str): What they are, in the user's words, such as ``query``.
    """
    if not texts:
        raise UserError(f"There is no {what}: give at least one.")
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise UserError(f"{what} {number} is empty: write what is meant in words.")


def positive(text):
    """argparse type: a whole number of at least 1."""
    return _whole(text, 1)


def not_negative(text):
    """argparse type: a whole number of at least 0."""
    return _whole(text, 0)


def _whole(text, least):
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
    if not least <= number <= _MOST:
        raise argparse.ArgumentTypeError(
            f"{number} is {'less' if number < least else 'more'} than "
            f"{least if number < least else _MOST}"
        )
    return number
