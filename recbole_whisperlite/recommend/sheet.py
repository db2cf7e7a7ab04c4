"""An answer as one HTML page: pictures, texts, and the parts of each score as bars."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import ImageOps

from recbole_whisperlite.clip import output
from recbole_whisperlite.encoder.pictures import PictureError, read_picture
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.answer import Answer

_SIDE = 320  # pixels of a thumbnail; screens with a high resolution show half of them


def check_path(path: str | Path) -> None:
    """Check before the model is loaded that the page can be written.

    Raises:
        UserError: If the name does not end in ``.html``, or it cannot be written.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--sheet {path}: the sheet is a page, give an .html file.")
    output.check_writable(path)


def write(
    path: str | Path, answer: Answer, title: str, picture: object, model: str
) -> None:
    """Write the page; it refers to nothing outside itself.

    A picture that cannot be read is left out.

    Args:
        path (str or Path): Ends in ``.html``.
        answer (Answer): What is shown.
        title (str): What was asked.
        picture (optional): The picture that was asked for, as for ``recommend``.
        model (str): The name of the model.

    Raises:
        UserError: If the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("recbole_whisperlite.recommend", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values = [abs(value) for each in answer for value in each.parts.values()]
    page = environment.get_template("sheet.html").render(
        answer=answer,
        title=title or "No request",
        asked_for=_thumbnail(picture),
        model=model,
        items=[(each, _thumbnail(each.picture)) for each in answer],
        largest=max(values, default=0) or 1,
        several=len({name for each in answer for name in each.parts}) > 1,
    )
    with output.writing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _thumbnail(picture):
    """Return a picture as a data URI, None if there is none or it cannot be read."""
    if picture is None:
        return None
    try:
        image = read_picture(picture)
    except PictureError:
        return None
    content = io.BytesIO()
    ImageOps.contain(image, (_SIDE, _SIDE)).save(content, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
