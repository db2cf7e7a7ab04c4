"""Pictures of items, small enough to be embedded in the page."""

import base64
import contextlib
import io
import os
from pathlib import Path

from recbole_whisperlite.encoder.pictures import PictureError, read_picture

#: Longer side in pixels; shown at half the size, so that it is sharp on dense screens.
SIZE = 144


def embedded(items: dict[str, dict], folder: str | None) -> dict[str, str]:
    """Return small pictures as data URIs.

    Args:
        items (dict): ``{item: {"image": path relative to folder, or None}}``.
        folder (str or None): The folder of the pictures.

    Returns:
        dict: ``{item: data URI}``. Items whose picture is missing or cannot be read are
        left out, because a page without a picture is better than no page. So are those
        named by :func:`outside`.
    """
    found, elsewhere = {}, {*outside(items, folder)}
    for item, about in items.items():
        if folder and about["image"] and item not in elsewhere:
            with contextlib.suppress(PictureError):
                found[item] = _data_uri(Path(folder) / about["image"])
    return found


def outside(items: dict[str, dict], folder: str | None) -> list[str]:
    """Return the items whose picture is an absolute path that leads out of the folder.

    A report is shown to others, and a dataset that came from elsewhere must not decide
    which files of this machine it shows.

    Args:
        items, folder: As for :func:`embedded`.
    """
    home = os.path.abspath(folder or ".")
    return [
        item
        for item, about in items.items()
        if about["image"]
        and os.path.isabs(about["image"])
        and os.path.commonpath([home, os.path.normpath(about["image"])]) != home
    ]


def _data_uri(path):
    content = io.BytesIO()
    picture = read_picture(path)
    picture.thumbnail((SIZE, SIZE))
    picture.save(content, "WEBP", quality=75)
    encoded = base64.b64encode(content.getvalue()).decode()
    return f"data:image/webp;base64,{encoded}"
