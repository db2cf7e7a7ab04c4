"""Who may ask for what.

A service on a loopback address is open to this machine; on any other address it needs a
token, or ``--open``. What changes a model always needs the token. On an open service the
users that a model knows are asked for with the token only, so that nobody can read a
stranger's history off the answers.
"""

from __future__ import annotations

import dataclasses
import hmac
import ipaddress
from pathlib import Path

from fastapi import Request

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.serve.problems import Problem

# Less can be guessed.
_LEAST_TOKEN = 16


@dataclasses.dataclass(frozen=True)
class Access:
    """The rules of a service.

    Attributes:
        token (str or None): What a client proves itself with.
        is_loopback (bool): Whether only this machine asks.
        is_open (bool): Whether everybody may ask.
    """

    token: str | None = None
    is_loopback: bool = True
    is_open: bool = False

    # these two are coroutines, as FastAPI runs functions in threads

    async def check(self, request: Request) -> None:
        """Let a request pass that asks, and changes nothing.

        Raises:
            Problem: If it may not.
        """
        if not (self.is_loopback or self.is_open or self.has_token(request)):
            raise _unauthorized(request)

    async def check_token(self, request: Request) -> None:
        """Let a request pass that changes a model.

        Raises:
            Problem: If it may not.
        """
        if self.token is None:
            raise Problem(
                403,
                "This service changes nothing: it was started without a token.",
                "Start it with --token-file FILE.",
            )
        if not self.has_token(request):
            raise _unauthorized(request)

    def knows_users(self, request: Request) -> bool:
        """Return whether a client may ask in the name of users that the model knows."""
        return self.is_loopback or self.has_token(request)

    def has_token(self, request: Request) -> bool:
        """Return whether a request has the token, ``Authorization: Bearer …``."""
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if self.token is None or kind.lower() != "bearer":
            return False
        # bytes: text that is not ASCII cannot be compared
        return hmac.compare_digest(given.strip().encode(), self.token.encode())


def _unauthorized(request):
    given = "authorization" in request.headers
    return Problem(
        401,
        "The token is another one." if given else "This needs the service's token.",
        "Send it in a header, Authorization: Bearer <token>.",
    )


def read_token(path: str) -> str:
    """Return the token in a file.

    Raises:
        UserError: If the file cannot be read, or its token can be guessed.
    """
    try:
        token = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--token-file {path}: this cannot be read ({error})."
        ) from None
    if len(token) < _LEAST_TOKEN or not token.isascii() or len(token.split()) != 1:
        raise UserError(
            f"--token-file {path}: the token must be one word of at least {_LEAST_TOKEN} "
            "ASCII characters, such as that of: openssl rand -hex 32"
        )
    return token


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
