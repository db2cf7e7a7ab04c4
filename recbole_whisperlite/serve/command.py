"""The command ``serve``."""

from __future__ import annotations

import argparse
import importlib.util
import socket
import sys

from recbole_whisperlite.errors import UserError

_NONE = "none"
_BACKLOG = 2048  # uvicorn's own


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite serve",
        description="Answer requests over HTTP with exported models, and show a page to "
        "try them. Everything is described at /docs of the service.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option(
        "--model",
        action="append",
        required=True,
        metavar="[NAME=]FOLDER",
        help="an exported model, a checkpoint or hf-hub:<owner>/<name>; several times "
        "for several models, of which the first is the default",
    )
    option("--host", default="127.0.0.1", help="the address to listen on")
    option("--port", type=_port, default=8000, help="0: any that is free")
    option(
        "--feedback",
        default="sqlite:///feedback.db",
        metavar="URL",
        help="database of feedback: sqlite:///FILE, postgresql+psycopg://…, or none",
    )
    option(
        "--token-file",
        metavar="FILE",
        help="a file with the token that clients need: to change products and models "
        "always, to ask on an address that is not this machine's own",
    )
    option(
        "--open", action="store_true", help="everybody who reaches the address may ask"
    )
    option("--log-requests", action="store_true", help="log the texts of requests, too")
    option(
        "--pictures", metavar="FOLDER", help="to which paths of pictures are relative"
    )
    option(
        "--own-code",
        action="store_true",
        help="allow the models to import the encoder module that they name",
    )
    return parser


def main(argv: list[str]) -> int:
    """Serve exported models until interrupted.

    Args:
        argv (list of str): The command line after ``serve``.

    Returns:
        int: The exit status, 0.

    Raises:
        UserError: If a model cannot be loaded, the address is taken or needs a token,
            or the database cannot be used.
    """
    args = make_parser().parse_args(argv)
    _check_installed()
    import uvicorn

    from recbole_whisperlite.feedback import Feedback
    from recbole_whisperlite.serve import access, shops
    from recbole_whisperlite.serve.app import make_app

    token = access.read_token(args.token_file) if args.token_file else None
    rules = access.Access(token, access.is_loopback(args.host), args.open)
    if not (rules.is_loopback or rules.is_open or token):
        raise UserError(
            f"--host {args.host}: other machines reach this address. Give --token-file "
            "FILE, so that only those who have the token may ask, or --open, so that "
            "everybody may."
        )
    sources = shops.named(args.model)
    listening = _listen(args.host, args.port)
    options = {"pictures": args.pictures, "own_code": args.own_code}
    models = shops.Shops(sources, options)
    stored = None if args.feedback == _NONE else Feedback(args.feedback)
    app = make_app(models, rules, stored, args.log_requests)
    for shop in models:
        print(f"{shop.name}: {shop.recommender!r}", file=sys.stderr)
    listening.listen(_BACKLOG)  # what comes before the first answer waits
    print(f"Open {_address(listening)}  (Ctrl+C stops it)", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app,
        log_config=_logging(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _check_installed():
    for name in ("fastapi", "fastapi_swagger", "prometheus_client", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"serve needs {name}, which is not installed: pip install "
                "'recbole-whisperlite[serve]'."
            )


def _listen(host, port):
    """Return a socket that listens: before models are loaded, which takes long."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"--host {host} --port {port}: this address cannot be used ({error}). Give "
            "another one; --port 0 takes any that is free."
        ) from None
    return listening


def _address(listening):
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _logging():
    """Return the configuration of logs: no line for each request, and no texts of them
    unless they are asked for."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "plain"}
        },
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
