"""A data set's folder, replaced as a whole or left as it was."""

import contextlib
import os
import tempfile
from pathlib import Path

from recbole_whisperlite.errors import UserError

#: What a data set may have beside ``.inter``, all of one making.
ATOMIC = (".item", ".request", ".request.json")


@contextlib.contextmanager
def replacing(output):
    """Yield an empty folder whose files become ``output``'s when the block ends well.

    Atomic files of an earlier data set of this name go, also those that the new one
    does not have: its requests are not those of new interactions. Other files, such as
    pictures, stay. During the replacement itself the folder has no ``.inter``: whoever
    is interrupted just there has no data set rather than old interactions beside new
    requests.

    Args:
        output (str or Path): The data set's folder; it is made if need be.

    Yields:
        Path: The folder to write to; one of the files written is an ``.inter``.

    Raises:
        UserError: If the folder has no name, or the operating system refuses anything
            inside the block.
    """
    output = Path(output)
    name = output.resolve().name
    if not name:
        raise UserError(
            f"{output}: give a folder with a name, such as dataset/shop: the name is the "
            "data set's."
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=output) as part:
            yield Path(part)
            *others, inter = sorted(
                Path(part).iterdir(),
                key=lambda file: (file.suffix == ".inter", file.name),
            )
            (output / inter.name).unlink(missing_ok=True)
            written = {file.name for file in others}
            for stale in {f"{name}{kind}" for kind in ATOMIC} - written:
                (output / stale).unlink(missing_ok=True)
            for file in (*others, inter):
                os.replace(file, output / file.name)
    except OSError as error:
        raise UserError(f"{output}: no data set was written there. {error}") from error
    finally:
        with contextlib.suppress(OSError):
            output.rmdir()  # only an empty folder lets itself be removed
