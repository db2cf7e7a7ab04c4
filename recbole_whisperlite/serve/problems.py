"""One shape for every error: ``{"error": {"status", "message", "accepted"}}``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)
# Of a body with many mistakes, as many are named; and characters of a message, which may
# quote what was sent, and of a name in it.
_MOST_MISTAKES, _MOST_SAID, _MOST_NAME = 5, 2000, 100


class Problem(Exception):
    """An error that the client is told.

    Args:
        status (int): Of HTTP.
        message (str): What was found.
        accepted (str): What is accepted instead; "" if the message says it.
    """

    def __init__(self, status: int, message: str, accepted: str = ""):
        super().__init__(message)
        self.status, self.message, self.accepted = status, message, accepted


def response(
    status: int,
    message: str,
    accepted: str = "",
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error as JSON."""
    if len(message) > _MOST_SAID:
        message = f"{message[:_MOST_SAID]} …"
    error = {"status": status, "message": message, "accepted": accepted}
    # what a client sent may hold half a surrogate pair, which UTF-8 cannot carry
    error = {
        name: value.encode("utf-8", "replace").decode() if name != "status" else value
        for name, value in error.items()
    }
    headers = {**_HEADERS.get(status, {}), **(headers or {})}
    return JSONResponse({"error": error}, status, headers)


_ACCEPTED = (
    "A body is JSON, with the header Content-Type: application/json. /docs shows every "
    "field."
)
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}}


def answer_all(app: FastAPI) -> None:
    """Let an application answer every error that it knows in this shape."""

    @app.exception_handler(Problem)
    async def _(_request, error: Problem):
        return response(error.status, error.message, error.accepted)

    @app.exception_handler(UserError)
    async def _(_request, error: UserError):
        return response(422, str(error))

    @app.exception_handler(RequestValidationError)
    async def _(_request, error: RequestValidationError):
        mistakes = error.errors()
        said = [_sentence(mistake) for mistake in mistakes[:_MOST_MISTAKES]]
        more = len(mistakes) - len(said)
        said += [f"And {more} more."] if more else []
        return response(422, " ".join(said), _ACCEPTED)

    @app.exception_handler(HTTPException)
    async def _(request, error: HTTPException):
        # not request.url, which cannot be made of any Host
        message = f"{request.method} {request.scope['path']}: {error.detail}."
        accepted = "See /docs for what there is."
        return response(error.status_code, message, accepted, error.headers)


def guard(app: ASGIApp) -> ASGIApp:
    """Return an application that logs what nobody has expected, and says no more of it
    than that."""

    async def guarded(scope: Scope, receive: Receive, send: Send):
        is_answered = False

        async def noting(message):
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await app(scope, receive, noting)
        except Exception:
            if scope["type"] != "http" or is_answered:
                raise
            logger.exception("%s %s", scope["method"], scope["path"])
            failure = response(500, "The service failed; its log says why.")
            await failure(scope, receive, send)

    return guarded


def _sentence(mistake):
    where = ".".join(
        str(each)[:_MOST_NAME] for each in mistake["loc"] if each != "body"
    )
    said = mistake["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where}: {said}." if where else f"{said}."
