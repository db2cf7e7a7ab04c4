"""A dataset's folder, replaced completely or left as it was."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import part_folder

#: The files a dataset may have beside ``.inter``; they are only replaced together.
ATOMIC = (".item", ".request", ".request.json")


@contextlib.contextmanager
def replacing(output: str | Path) -> Iterator[Path]:
    """Yield an empty folder whose files are moved to ``output`` if the block succeeds.

    Atomic files of an earlier dataset of this name are removed, even those that the new
    one lacks: old requests do not belong to new interactions. Other files, such as
    pictures, stay. While files are being moved the folder has no ``.inter``, so an
    interruption leaves no dataset rather than old interactions with new requests.

    Args:
        output (str or Path): The dataset's folder; created if missing.

    Yields:
        Path: The folder to write to; the block must write an ``.inter`` file.

    Raises:
        UserError: If the folder has no name, or the block raises an OSError.
    """
    output = Path(output)
    name = output.resolve().name
    if not name:
        raise UserError(
            f"{output}: give a folder with a name, such as dataset/shop; it becomes "
            "the dataset's name."
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        with part_folder(output / name) as part:
            yield part
            *others, inter = sorted(
                part.iterdir(),
                key=lambda file: (file.suffix == ".inter", file.name),
            )
            (output / inter.name).unlink(missing_ok=True)
            written = {file.name for file in others}
            for stale in {f"{name}{kind}" for kind in ATOMIC} - written:
                (output / stale).unlink(missing_ok=True)
            for file in (*others, inter):
                os.replace(file, output / file.name)
    except OSError as error:
        raise UserError(f"{output}: the dataset was not written. {error}") from error
    finally:
        with contextlib.suppress(OSError):
            output.rmdir()  # fails, as it should, unless the folder is empty
