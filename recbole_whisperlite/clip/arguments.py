"""Command-line options that several tasks share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_whisperlite.clip.sources import (
    ID_COLUMNS,
    PICTURE_COLUMNS,
    Catalogue,
    read_catalogues,
)
from recbole_whisperlite.encoder.pictures import IN_ARCHIVE
from recbole_whisperlite.encoder.presets import OFFLINE, PRESETS, check_encoder
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole_whisperlite.encoder.clip import Clip

#: What ``--data`` may also be called: its names in earlier versions.
DATA_ALIASES = ("--catalogue", "--pictures", "--images")

_ID = f"the first of {', '.join(ID_COLUMNS)}"
_PICTURE = f"the first of {', '.join(PICTURE_COLUMNS)}"
# torch or numpy would reject larger values, with messages of their own.
_MOST = 2**31 - 1


def make_parser(task: str, description: str) -> argparse.ArgumentParser:
    """Return a task's parser with the options that all tasks share.

    Args:
        task (str): The task's name.
        description (str): What ``--help`` says above the options.
    """
    parser = argparse.ArgumentParser(
        prog=f"recbole-whisperlite clip {task}",
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
        help="open_clip: model name, hf-hub:org/name, folder or config (JSON)",
    )
    group.add_argument(
        "--clip_pretrained",
        help="open_clip: tag or file of the weights; presets: path of a local copy",
    )
    group.add_argument("--device", help="cpu, cuda, … (default: cuda if available)")
    group.add_argument(
        "--batch_size",
        type=positive,
        default=64,
        help="pictures or texts encoded at once (default: 64)",
    )
    group.add_argument(
        "--workers",
        type=not_negative,
        default=0,
        help="processes that decode pictures (default: 0, none of their own)",
    )
    return parser


def add_data(parser: argparse.ArgumentParser, *aliases: str) -> argparse._ArgumentGroup:
    """Add the options that name and filter a task's input; return their group.

    Args:
        parser (argparse.ArgumentParser): From :func:`make_parser`.
        aliases (str): Names of ``--data`` besides :data:`DATA_ALIASES`.
    """
    group = parser.add_argument_group("data")
    aliases = (*DATA_ALIASES, *aliases)
    several = {"nargs": "+", "action": "extend", "metavar": "PATH"}
    group.add_argument(
        "--data",
        **several,
        help="pictures, folders or zip files of pictures, dataset folders, or csv files "
        f"(the same: {', '.join(aliases)})",
    )
    group.add_argument(*aliases, dest="data", **several, help=argparse.SUPPRESS)
    group.add_argument("--id_column", help=f"csv: column of ids (default: {_ID})")
    group.add_argument(
        "--picture_column", help=f"csv: column of picture paths (default: {_PICTURE})"
    )
    group.add_argument(
        "--ids", metavar="FILE", help="keep only these ids (text file, one per line)"
    )
    return group


def check_data(args: argparse.Namespace) -> None:
    """Raise a UserError if the options of :func:`add_data` name no input."""
    if not args.data:
        raise UserError(
            "There is no input: give --data, with pictures, folders or zip files of "
            "pictures, dataset folders, or csv files."
        )


def files_read(args: argparse.Namespace) -> list[str]:
    """Return the files that the options of :func:`add_data` read."""
    paths = [*(args.data or []), args.ids]
    return [path.partition(IN_ARCHIVE)[0] for path in paths if path]


def load_encoder(args: argparse.Namespace) -> Clip:
    """Return the :class:`Clip` that the options name.

    Raises:
        UserError: If the encoder's options do not fit together, the device is not
            available, or the model cannot be loaded.
    """
    from recbole_whisperlite.encoder.clip import load_clip

    device = _device(args.device)
    check_encoder(args.encoder)
    if args.encoder == "open_clip" and not args.clip_model:
        raise UserError(
            "--encoder open_clip needs --clip_model (a name, hf-hub:org/name, a folder "
            "or a config) and, unless that includes weights, --clip_pretrained."
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
    """Return the named device, or the best one, after checking that torch can use it."""
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).cpu()
    except Exception as error:
        # torch raises RuntimeError, AssertionError or NotImplementedError, at length.
        reason = (str(error) or type(error).__name__).partition("\n")[0].split(". ")[0]
        raise UserError(
            f"--device: there is no device '{name}' here; use cpu or, on a machine with "
            f"a GPU, cuda or cuda:1, … ({reason})"
        ) from None
    return name


def _check_copy(args):
    """Refuse options that a preset, which determines its own model, would ignore."""
    if args.clip_model:
        raise UserError(
            f"--clip_model '{args.clip_model}' is for --encoder open_clip, but the "
            f"encoder is {args.encoder}, which determines the model. Give only one of "
            "the two."
        )
    copy = args.clip_pretrained
    if copy and not Path(copy).expanduser().exists():
        raise UserError(
            f"--clip_pretrained: there is no file or folder {copy}. With --encoder "
            f"{args.encoder} it is the path of a local copy; open_clip's tags need "
            "--encoder open_clip."
        )


def load_catalogue(args: argparse.Namespace) -> Catalogue:
    """Return the :class:`Catalogue` that the options name.

    Raises:
        UserError: If it or the file of ids cannot be read.
    """
    check_data(args)
    catalogue = read_catalogues(args.data, args.id_column, args.picture_column)
    return catalogue.only(args.ids) if args.ids else catalogue


def check_texts(texts: Sequence[str], what: str) -> None:
    """Raise a UserError if there is no text, or one is blank.

    Args:
        texts (sequence of str): The texts.
        what (str): What the message calls them, such as ``query``.
    """
    if not texts:
        raise UserError(f"There is no {what}: give at least one.")
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise UserError(f"{what} {number} is empty: write some text.")


def positive(text: str) -> int:
    """argparse type: an integer of at least 1."""
    return _whole(text, 1)


def not_negative(text: str) -> int:
    """argparse type: an integer of at least 0."""
    return _whole(text, 0)


def _whole(text, least):
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer") from None
    if not least <= number <= _MOST:
        raise argparse.ArgumentTypeError(
            f"{number} is {'less' if number < least else 'more'} than "
            f"{least if number < least else _MOST}"
        )
    return number
