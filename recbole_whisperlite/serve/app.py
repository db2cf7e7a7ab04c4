"""The application: routes, page, errors, limits, metrics."""

from __future__ import annotations

import contextlib
from importlib import resources

from fastapi import Depends, FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import recbole_whisperlite
from recbole_whisperlite.feedback import Feedback
from recbole_whisperlite.serve import api, problems
from recbole_whisperlite.serve.access import Access
from recbole_whisperlite.serve.doors import Doors
from recbole_whisperlite.serve.limits import BodyLimit
from recbole_whisperlite.serve.metrics import Metrics
from recbole_whisperlite.serve.problems import Problem
from recbole_whisperlite.serve.shops import Shops

# browsers ask each time whether a file is still the same
_NOT_KEPT = {"Cache-Control": "no-cache"}
_DESCRIPTION = (
    "Ranks the products of a shop for any request, in the shopper's own words."
)


def make_app(
    shops: Shops,
    access: Access = Access(),
    feedback: Feedback | None = None,
    log_requests: bool = False,
) -> FastAPI:
    """Return a service as an ASGI application.

    Args:
        shops (Shops): The models.
        access (Access): Who may ask.
        feedback (Feedback, optional): Where feedback is stored; closed in the end.
        log_requests (bool): Whether the texts of requests are logged.
    """
    metrics = Metrics(shops)
    service = api.Service(shops, access, metrics, feedback, log_requests)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        yield
        service.desk.close()
        if feedback is not None:
            feedback.close()

    app = FastAPI(
        title="recbole-whisperlite",
        version=recbole_whisperlite.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,  # to an address made of any Host
        docs_url=None,  # FastAPI's own page loads its code from elsewhere
        redoc_url=None,
    )
    problems.answer_all(app)
    app.include_router(api.router(service))
    _add_pages(app)
    _add_probes(app, service)
    app.add_middleware(BodyLimit)
    app.add_middleware(problems.guard)
    app.add_middleware(Doors, is_loopback=access.is_loopback)
    app.add_middleware(metrics.watch)
    return app


class _Files(StaticFiles):
    """Files of the page, none of which may be that of an older release."""

    def file_response(self, *args, **kwargs):
        response = super().file_response(*args, **kwargs)
        response.headers.update(_NOT_KEPT)
        return response


def _add_pages(app):
    files = resources.files(recbole_whisperlite) / "serve"

    @app.get("/", include_in_schema=False)
    def page():
        return FileResponse(files / "page" / "index.html", headers=_NOT_KEPT)

    @app.get("/docs", include_in_schema=False)
    def docs():
        return FileResponse(files / "docs" / "index.html", headers=_NOT_KEPT)

    app.mount("/page", _Files(directory=files / "page"))
    app.mount("/docs/page", _Files(directory=files / "docs"))
    swagger = resources.files("fastapi_swagger") / "resources"
    app.mount("/docs/swagger", _Files(directory=swagger))


def _add_probes(app, service):
    @app.get("/healthz", include_in_schema=False)
    async def healthz():
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    def readyz():
        if service.feedback is not None and not service.feedback.is_there():
            raise Problem(503, "The database of feedback does not answer.")
        return {"status": "ready"}

    @app.get(
        "/metrics",
        include_in_schema=False,
        dependencies=[Depends(service.access.check)],
    )
    def metrics():
        content = generate_latest(service.metrics.registry)
        return Response(content, media_type=CONTENT_TYPE_LATEST)
