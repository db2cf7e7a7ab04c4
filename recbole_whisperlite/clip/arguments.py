"""Options that several tasks share."""

import argparse

from recbole_whisperlite.clip.sources import read_catalogue
from recbole_whisperlite.errors import UserError


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
        "--encoder", default="whisperlite-mini", help="a preset, or open_clip"
    )
    group.add_argument("--clip_model", help="open_clip: model name or config (json)")
    group.add_argument("--clip_pretrained", help="weights: open_clip's tag or a file")
    group.add_argument("--device", help="cpu, cuda, … (default: cuda if there is one)")
    group.add_argument("--batch_size", type=positive, default=64, help="at once")
    group.add_argument(
        "--workers", type=int, default=0, help="processes that decode pictures"
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
    import torch

    from recbole_whisperlite.encoder.clip import load_clip

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.device(device)
    except RuntimeError:
        raise UserError(
            f"--device: there is no device '{device}'; accepted are cpu and cuda."
        ) from None
    if args.encoder == "open_clip" and not args.clip_model:
        raise UserError(
            "--encoder open_clip needs --clip_model (a name, hf-hub:org/name, a folder "
            "or a config) and, unless that brings weights, --clip_pretrained."
        )
    return load_clip(
        args.encoder,
        clip_model=args.clip_model,
        clip_pretrained=args.clip_pretrained,
        device=device,
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
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
