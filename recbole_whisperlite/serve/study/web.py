"""The pages of raters: one list at a time, plain HTML forms, no JavaScript.

A rater's link, ``/r/<secret>``, leads to the first list that is not judged yet, so that
whoever closes the page goes on where they stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from recbole_whisperlite.serve.access import Access
from recbole_whisperlite.serve.doors import Doors
from recbole_whisperlite.serve.limits import BodyLimit
from recbole_whisperlite.serve.problems import Problem
from recbole_whisperlite.serve.study import templates
from recbole_whisperlite.serve.study.answers import Answers
from recbole_whisperlite.serve.study.make import PICTURES, link
from recbole_whisperlite.serve.study.plan import Plan

logger = logging.getLogger(__name__)
_HEADERS = {
    "Cache-Control": "no-store",
    # with Doors' no-referrer, browsers would not say that a form is ours; other sites
    # are told nothing either way
    "Referrer-Policy": "same-origin",
}
_STYLE_HEADERS = {"Cache-Control": "max-age=3600"}


class Entry(NamedTuple):
    """What is judged on a page: a product, or an attention check.

    Attributes:
        text (str): What is said of it.
        picture (str or None): Its address.
        chosen (int or None): The option that was chosen.
    """

    text: str
    picture: str | None
    chosen: int | None


def make_app(
    folder: str | Path, plan: Plan, answers: Answers, access: Access = Access()
) -> FastAPI:
    """Return the application.

    Args:
        folder (str or Path): The study, for its pictures.
        plan (Plan): Its plan.
        answers (Answers): Where answers are stored; closed in the end.
        access (Access): Who may see how far raters are.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_):
        yield
        answers.close()

    app = FastAPI(
        title="recbole-whisperlite study",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    _answer_errors(app, plan)
    _add_pages(app, Path(folder), plan, answers)

    @app.get("/")
    def front():
        raise Problem(404, "Please open the link that you were given.")

    @app.get("/style.css")
    def style():
        content = templates.stylesheet("study.css")
        return Response(content, media_type="text/css", headers=_STYLE_HEADERS)

    @app.get("/healthz")
    async def healthz():
        return {"status": "alive"}

    @app.get("/progress")
    def progress(request: Request):
        if not access.knows_users(request):
            raise Problem(403, "How far raters are is told to the study's owner only.")
        return [
            {
                "rater": rater.name,
                "judged": len(answers.of(number)),
                "of": len(rater.pages),
            }
            for number, rater in enumerate(plan.raters)
        ]

    app.add_middleware(BodyLimit)
    app.add_middleware(Doors, is_loopback=access.is_loopback)
    return app


def _add_pages(app, folder, plan, answers):
    by_secret = {rater.secret: number for number, rater in enumerate(plan.raters)}

    def number_of(secret):
        if secret not in by_secret:
            raise Problem(
                404,
                "There is no such link in this study.",
                "Please open the link that you were given, the whole of it.",
            )
        return by_secret[secret]

    def next_page(number):
        """Return the first page that is not judged; None if all are."""
        judged = answers.of(number)
        pages = range(len(plan.raters[number].pages))
        return next((page for page in pages if page not in judged), None)

    @app.get("/r/{secret}")
    def start(secret: str):
        number = number_of(secret)
        rater, judged, to = plan.raters[number], answers.of(number), next_page(number)
        if to is None:
            return _page("done.html", plan, rater=rater, link=link(rater))
        if judged:
            return _to(rater, to)
        return _page("welcome.html", plan, rater=rater, link=link(rater))

    @app.get("/r/{secret}/{page}")
    def show(secret: str, page: int):
        number, page = number_of(secret), page - 1
        rater, to = plan.raters[number], next_page(number)
        last = len(rater.pages) - 1 if to is None else to
        if not 0 <= page <= last:
            return _to(rater, last)
        said = answers.of(number).get(page)
        return _list(plan, number, page, said.options if said else None)

    @app.post("/r/{secret}/{page}")
    async def judge(secret: str, page: int, request: Request):
        number, page = number_of(secret), page - 1
        rater, to = plan.raters[number], next_page(number)
        if not 0 <= page < len(rater.pages) or (to is not None and page > to):
            raise Problem(409, "This list comes later.", "Please open your link again.")
        n = rater.pages[page].n_entries
        options = _options(await request.body(), n, len(plan.scale.options))
        if None in options:
            return _list(plan, number, page, options, is_incomplete=True)
        try:
            await asyncio.to_thread(answers.add, number, page, options)
        except OSError as error:
            logger.exception("an answer was not stored")
            raise Problem(
                503,
                "Your answer was not stored: the disk does not take it.",
                "Please go back, and send it again later.",
            ) from error
        return RedirectResponse(link(rater), 303, headers=_HEADERS)

    @app.get("/r/{secret}/pictures/{product}.jpg")
    def picture(secret: str, product: int):
        number_of(secret)
        path = folder / PICTURES / f"{product}.jpg"
        if not path.is_file():
            raise Problem(404, "There is no such picture.")
        headers = {"Cache-Control": "private, max-age=3600"}
        return FileResponse(path, media_type="image/jpeg", headers=headers)


def _options(body, n, n_options):
    """Return the option chosen for each of ``n`` entries, None where none is."""
    try:
        given = dict(parse_qsl(body.decode("ascii"), max_num_fields=4 * n))
    except ValueError:  # UnicodeDecodeError is one
        raise Problem(422, "This is no answer of the form.") from None
    options = []
    for entry in range(n):
        text = given.get(f"entry-{entry + 1}")
        known = {str(option): option for option in range(n_options)}
        if text is not None and text not in known:
            raise Problem(422, f"Entry {entry + 1}: '{text:.40}' cannot be answered.")
        options.append(known.get(text))
    return options


def _list(plan, number, page, options, is_incomplete=False):
    """Return the page of a list, with what was chosen."""
    rater = plan.raters[number]
    of_page = rater.pages[page]
    entries = []
    for product in of_page.products:
        about = plan.products[product]
        picture = about.picture and f"{link(rater)}/pictures/{about.picture}"
        entries.append((about.text, picture))
    if of_page.check:
        told = plan.scale.told_check(of_page.check.option)
        entries.insert(of_page.check.place, (told, None))
    chosen = options or [None] * len(entries)
    missing = [n for n, each in enumerate(chosen, start=1) if each is None]
    return _page(
        "list.html",
        plan,
        422 if is_incomplete else 200,
        link=link(rater),
        number=page + 1,
        n_pages=len(rater.pages),
        request=plan.requests[plan.lists[of_page.shown].request],
        entries=[Entry(*entry, each) for entry, each in zip(entries, chosen)],
        missing=missing if is_incomplete else [],
    )


def _page(name, plan, status=200, **values):
    content = templates.render(name, plan=plan, scale=plan.scale, **values)
    return HTMLResponse(content, status, headers=_HEADERS)


def _to(rater, page):
    return RedirectResponse(f"{link(rater)}/{page + 1}", 303, headers=_HEADERS)


def _answer_errors(app, plan):
    """Answer every error with a page that says what to do."""

    def page(status, message, accepted=""):
        return _page("problem.html", plan, status, message=message, accepted=accepted)

    @app.exception_handler(Problem)
    async def _(_request, error: Problem):
        return page(error.status, error.message, error.accepted)

    @app.exception_handler(HTTPException)
    @app.exception_handler(RequestValidationError)  # a number that is none
    async def _(_request, error):
        status = getattr(error, "status_code", 404)
        return page(status, "There is no such page.", "Please open your link again.")

    @app.exception_handler(Exception)
    async def _(_request, error: Exception):
        return page(500, "Something failed; the log of the study says why.")
