"""One shape for every error: ``{"error": {"status", "message", "accepted"}}``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)
# Of a body with many mistakes, as many are named.
_MOST_MISTAKES = 5


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


def response(status: int, message: str, accepted: str = "") -> JSONResponse:
    """Return an error as JSON."""
    error = {"status": status, "message": message, "accepted": accepted}
    # what a client sent may hold half a surrogate pair, which UTF-8 cannot carry
    error = {
        name: value.encode("utf-8", "replace").decode() if name != "status" else value
        for name, value in error.items()
    }
    return JSONResponse({"error": error}, status, headers=_HEADERS.get(status))


_ACCEPTED = (
    "A body is JSON, with the header Content-Type: application/json. /docs shows every "
    "field."
)
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}}


def answer_all(app: FastAPI) -> None:
    """Let an application answer every error in this shape; no traceback leaves it."""

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
        message = f"{request.method} {request.url.path}: {error.detail}."
        return response(error.status_code, message, "See /docs for what there is.")

    @app.exception_handler(Exception)
    async def _(_request, error: Exception):
        # Starlette logs the traceback here, and hands on no more than this
        return response(500, "The service failed; its log says why.")


def _sentence(mistake):
    where = ".".join(str(each) for each in mistake["loc"] if each != "body")
    said = mistake["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where}: {said}." if where else f"{said}."
