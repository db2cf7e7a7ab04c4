"""What every response says to browsers, and whose pages may speak to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from recbole_whisperlite.serve import access, problems

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Doors:
    """Adds the headers, and refuses what pages of other sites send.

    Without this, any page that somebody opens on the machine of a service on a loopback
    address could speak to it, under a name that it lets point to 127.0.0.1, too.

    Args:
        app (ASGI application): The service.
        is_loopback (bool): Whether the host that is asked for must be this machine.
    """

    def __init__(self, app: ASGIApp, is_loopback: bool):
        self._app, self._is_loopback = app, is_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message):
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(Headers(scope=scope))
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, headers):
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._is_loopback and not access.is_loopback(_name(host)):
            return problems.response(
                421, "This service answers for this machine only.", "Ask 127.0.0.1."
            )
        if origin is not None and _place(origin) != host:
            return problems.response(
                403, "Pages of other sites may not use this service."
            )
        return None


def _place(origin):
    """Return host and port of an origin, None if it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _name(host):
    """Return the host without a port."""
    return host[: host.find("]") + 1] if host.startswith("[") else host.split(":")[0]
