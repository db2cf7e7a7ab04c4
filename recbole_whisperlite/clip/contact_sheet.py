"""Contact sheets: queries and their results as one HTML page or one picture."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from recbole_whisperlite.clip import output
from recbole_whisperlite.encoder.pictures import PictureError, read_picture
from recbole_whisperlite.errors import UserError

_SIDE = 128  # pixels of a thumbnail
_MOST_PIXELS = 89_478_485  # Pillow warns about larger ones
_GAP = 12
_LINE = 15  # pixels of a line of text
_PAPER, _INK, _FAINT = "#ffffff", "#1c1c1c", "#8a8a8a"
_MISSING = "#eceff1"


class Tile(NamedTuple):
    """One product.

    Attributes:
        picture (str): A path or ``file.zip::member``; ``""`` for none.
        id (str): Its id.
        score (float): Its cosine with the query.
        text (str): Its text, ``""`` for none.
    """

    picture: str
    id: str
    score: float
    text: str


class Strip(NamedTuple):
    """One query and its results.

    Attributes:
        title (str): The query.
        picture (str, Path, PIL.Image.Image or None): The picture of the query, if any.
        tiles (list of Tile): The results, the best first.
    """

    title: str
    picture: str | Path | Image.Image | None
    tiles: list[Tile]


def check_name(path: str | Path) -> None:
    """Raise a UserError unless ``path`` ends in ``.html`` or ``.png``."""
    if Path(path).suffix.lower() not in _WRITERS:
        raise UserError(
            f"{path}: a contact sheet must be an .html page or a .png picture."
        )


def write(path: str | Path, strips: list[Strip]) -> None:
    """Write a contact sheet; an HTML page embeds its thumbnails.

    A picture that cannot be read leaves an empty tile.

    Args:
        path (str or Path): Ends in ``.html`` or ``.png``.
        strips (list of Strip): At least one.

    Raises:
        UserError: If the path ends otherwise, the picture would be too large, or the
            file cannot be written.
    """
    check_name(path)
    with output.writing(path) as temporary:
        _WRITERS[Path(path).suffix.lower()](temporary, strips)


def _thumbnail(picture):
    """Return a picture padded to a square; a grey square if it cannot be read."""
    try:
        image = read_picture(picture)
    except PictureError:
        return Image.new("RGB", (_SIDE, _SIDE), _MISSING)
    return ImageOps.pad(image, (_SIDE, _SIDE), color=_PAPER)


# ---------------------------------------------------------------- html

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 13px/1.4 system-ui, sans-serif; color: {ink}; margin: 24px; }}
h2 {{ font-size: 15px; margin: 28px 0 8px; overflow-wrap: anywhere; }}
div {{ display: flex; flex-wrap: wrap; gap: 12px; }}
figure {{ margin: 0; width: {side}px; }}
figure.query img {{ outline: 3px solid #2962ff; }}
img {{ width: {side}px; height: {side}px; display: block; border-radius: 3px; }}
figcaption {{ overflow-wrap: anywhere; }}
small {{ color: {faint}; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 3; overflow: hidden; }}
</style>
{body}
</html>
"""


def _write_html(path, strips):
    body = []
    for strip in strips:
        body.append(f"<h2>{html.escape(strip.title)}</h2>\n<div>")
        if strip.picture is not None:
            body.append(_figure(strip.picture, "query", "", kind=' class="query"'))
        for tile in strip.tiles:
            caption = f"{tile.id} · {tile.score:.3f}"
            body.append(_figure(tile.picture, caption, tile.text))
        body.append("</div>")
    page = _PAGE.format(
        title=html.escape(strips[0].title),
        ink=_INK,
        faint=_FAINT,
        side=_SIDE,
        body="\n".join(body),
    )
    path.write_text(page, encoding="utf-8")


def _figure(picture, caption, text, kind=""):
    content = io.BytesIO()
    _thumbnail(picture).save(content, "JPEG", quality=88)
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f'<figure{kind} title="{html.escape(text)}">'
        f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}<small>{html.escape(text)}</small>"
        "</figcaption></figure>"
    )


# ---------------------------------------------------------------- png


def _write_png(path, strips):
    font = ImageFont.load_default(12)
    columns = max(len(s.tiles) + (s.picture is not None) for s in strips)
    width = _GAP + max(columns, 4) * (_SIDE + _GAP)
    height = 2 * _LINE + _GAP + _SIDE + 3 * _LINE
    size = (width, height * len(strips) + _GAP)
    if size[0] * size[1] > _MOST_PIXELS:
        raise UserError(
            f"{len(strips):,} queries with up to {columns:,} pictures each make a sheet "
            f"of {size[0]:,} x {size[1]:,} pixels, too large for viewers. Write it as "
            ".html, or reduce the number of queries or k."
        )
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, strip in enumerate(strips):
        top = number * height + _GAP
        title = textwrap.shorten(strip.title, width // 7, placeholder=" …")
        pen.text((_GAP, top), title, fill=_INK, font=font)
        tiles = [(tile.picture, tile.id, f"{tile.score:.3f}") for tile in strip.tiles]
        if strip.picture is not None:
            tiles.insert(0, (strip.picture, "query", ""))
        for column, (picture, name, score) in enumerate(tiles):
            x, y = _GAP + column * (_SIDE + _GAP), top + 2 * _LINE
            sheet.paste(_thumbnail(picture), (x, y))
            name = textwrap.shorten(name, 20, placeholder="…") or name[:20]
            pen.text((x, y + _SIDE + 2), name, fill=_INK, font=font)
            pen.text((x, y + _SIDE + 2 + _LINE), score, fill=_FAINT, font=font)
    sheet.save(path, "PNG")


_WRITERS = {".html": _write_html, ".png": _write_png}
