"""Where a service listens, and who reaches it: what its commands share."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from recbole_whisperlite.serve.access import Access

_BACKLOG = 2048  # uvicorn's own


def add_options(parser: argparse.ArgumentParser, token: str, open_: str) -> None:
    """Add ``--host --port --token-file --open``.

    Args:
        parser (argparse.ArgumentParser): Of the command.
        token, open_ (str): What the last two mean to it.
    """
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="the address to listen on")
    option("--port", type=_port, default=8000, help="0: any that is free")
    option("--token-file", metavar="FILE", help=token)
    option("--open", action="store_true", help=open_)


def check_installed(command: str, names: tuple[str, ...]) -> None:
    """Check that modules of the extra ``serve`` are installed.

    Raises:
        UserError: If one is not.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"{command} needs {name}, which is not installed: pip install "
                "'recbole-whisperlite[serve]'."
            )


def access_of(args: argparse.Namespace) -> Access:
    """Return the rules that the options make.

    Raises:
        UserError: If other machines reach the address and nothing says who may ask.
    """
    from recbole_whisperlite.serve import access

    token = access.read_token(args.token_file) if args.token_file else None
    # behind --open a proxy may stand, which brings requests of other machines
    is_loopback = access.is_loopback(args.host) and not args.open
    rules = access.Access(token, is_loopback, args.open)
    if not (rules.is_loopback or rules.is_open or token):
        raise UserError(
            f"--host {args.host}: other machines reach this address. Give --token-file "
            "FILE, so that only those who have the token may ask, or --open, so that "
            "everybody may."
        )
    return rules


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound: before models are loaded, which takes long.

    Raises:
        UserError: If the address cannot be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, port, error) from None
    return listening


def _unusable(host, port, error):
    return UserError(
        f"--host {host} --port {port}: this address cannot be used ({error}). Give "
        "another one; --port 0 takes any that is free."
    )


def address(listening: socket.socket) -> str:
    """Return the address of a bound socket, as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listening: socket.socket, say: Callable[[str], None]) -> None:
    """Serve an application until interrupted; what is under way is finished.

    Args:
        app (FastAPI): The application.
        listening (socket.socket): From :func:`listen`.
        say (callable): Called with the address once clients may come.

    Raises:
        UserError: If another process has taken the address since.
    """
    import uvicorn

    try:
        listening.listen(_BACKLOG)  # what comes before the first answer waits
    except OSError as error:
        raise _unusable(*listening.getsockname()[:2], error) from None
    # What is loaded stays: looking through it for garbage would stop all for long.
    gc.collect()
    gc.freeze()
    say(address(listening))
    config = uvicorn.Config(
        app,
        log_config=_LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the address of a client is of no use here
        timeout_graceful_shutdown=10,
    )
    with _ending_well():
        uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _ending_well():
    """Let what stops uvicorn, which it raises again when all is finished, not end the
    process before its last line."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda *_: None) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before):
            signal.signal(each, handler)


# No line for each request, and no texts of them unless they are asked for.
_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    # what encoders say of a text, such as its length, they would say of each request
    "root": {"handlers": ["stderr"], "level": "ERROR"},
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "recbole_whisperlite.serve": {
            "handlers": ["stderr"],
            "level": "INFO",
            "propagate": False,
        },
    },
}


def _port(text):
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, 0 to 65535")
    return int(text)
