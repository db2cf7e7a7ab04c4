"""What a client may send: bytes of a body, pixels of a picture."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
from typing import TYPE_CHECKING

from recbole_whisperlite.encoder.pictures import PictureError, read_picture
from recbole_whisperlite.serve import problems
from recbole_whisperlite.serve.problems import Problem

if TYPE_CHECKING:
    from PIL.Image import Image
    from starlette.types import ASGIApp, Receive, Scope, Send

MOST_BYTES = 12 * 2**20
MOST_PIXELS = 24_000_000
#: Characters of a request, of an id, and how many of each a body may have.
MOST_TEXT, MOST_ID, MOST_REQUESTS, MOST_IDS = 10_000, 500, 64, 5000
#: Products of an answer.
MOST_K = 200


class BodyLimit:
    """Refuses bodies that are too large, before they are read as a whole.

    Args:
        app (ASGI application): Whose bodies these are.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and (len(declared) > 20 or int(declared) > MOST_BYTES):
            await _refusal()(scope, receive, send)
            return
        n_read, is_answered = 0, False

        async def counted():
            nonlocal n_read
            message = await receive()
            n_read += len(message.get("body", b""))
            if n_read > MOST_BYTES:
                raise _TooLarge
            return message

        async def watched(message):
            nonlocal is_answered
            if n_read > MOST_BYTES and not is_answered:
                return  # what the application makes of an error while it reads
            is_answered = True
            await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, counted, watched)
        if n_read > MOST_BYTES and not is_answered:
            await _refusal()(scope, receive, send)


class _TooLarge(Exception):
    pass


def _refusal():
    return problems.response(
        413, "The body is too large.", f"At most {MOST_BYTES:,} bytes are accepted."
    )


def picture_of(text: str | None) -> Image | None:
    """Return the picture that a client sent, decoded; never one that it only names.

    Args:
        text (str or None): The file's bytes in base64, with or without ``data:…,``.

    Raises:
        Problem: If it is no picture, broken or too large.
    """
    if text is None:
        return None
    accepted = (
        "The bytes of a JPEG, PNG, WebP, GIF, BMP or TIFF file in base64, of at most "
        f"{MOST_PIXELS:,} pixels; no path and no address."
    )
    head, comma, body = text.partition(",")
    encoded = body if comma and head.startswith("data:") else text
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "picture: this is not base64.", accepted) from None
    try:
        return read_picture(io.BytesIO(content), "picture", most_pixels=MOST_PIXELS)
    except PictureError as error:
        raise Problem(422, str(error), accepted) from None
