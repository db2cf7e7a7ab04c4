"""Pictures of items, small enough to be carried along in the page."""

import base64
import io
from pathlib import Path

from PIL import Image

#: Longer side in pixels; shown at half of it, so that it is sharp on dense screens.
SIZE = 144


def embedded(items, folder):
    """Return small pictures as data URIs.

    Args:
        items (dict): ``{item: {"image": path relative to folder, or None}}``.
        folder (str or None): Where the pictures lie.

    Returns:
        dict: ``{item: data URI}``, without items whose picture is not there or cannot
        be read: a page without a picture is better than no page.
    """
    found = {}
    for item, about in items.items():
        if folder and about["image"]:
            try:
                found[item] = _data_uri(Path(folder) / about["image"])
            except (OSError, SyntaxError, ValueError):  # Pillow's, for broken files
                continue
    return found


def _data_uri(path):
    content = io.BytesIO()
    with Image.open(path) as picture:
        picture.thumbnail((SIZE, SIZE))
        picture.convert("RGBA").save(content, "WEBP", quality=75)
    encoded = base64.b64encode(content.getvalue()).decode()
    return f"data:image/webp;base64,{encoded}"
