"""The routes under ``/v1``."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import itertools
import json
import logging
import uuid
from collections.abc import Collection
from concurrent.futures import Future
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from recbole_whisperlite import feedback
from recbole_whisperlite.feedback import Feedback, Judged
from recbole_whisperlite.serve import schemas
from recbole_whisperlite.serve.access import Access
from recbole_whisperlite.serve.desk import Desk
from recbole_whisperlite.serve.limits import picture_of
from recbole_whisperlite.serve.metrics import Metrics
from recbole_whisperlite.serve.problems import Problem
from recbole_whisperlite.serve.shops import Ask, Shops

logger = logging.getLogger(__name__)
# Of a list of users.
_MOST_USERS = 100


@dataclasses.dataclass
class Service:
    """What the routes share.

    Attributes:
        shops (Shops): The models.
        access (Access): Who may ask.
        metrics (Metrics): What is counted.
        feedback (Feedback or None): Where it is stored; None: it is not.
        log_requests (bool): Whether the texts of requests are logged.
        desk (Desk): Asks the models.
    """

    shops: Shops
    access: Access
    metrics: Metrics
    feedback: Feedback | None
    log_requests: bool = False

    def __post_init__(self):
        self.desk = Desk(self.judged)

    def user(self, request: Request, user: str | None) -> str | None:
        """Return a user who may be asked for.

        Raises:
            Problem: If the client may not ask in their name.
        """
        if user is not None and not self.access.knows_users(request):
            if any(user in (shop.recommender.users or ()) for shop in self.shops):
                raise Problem(
                    403,
                    f"'{user}' is a user of the shop, for whom this service answers to "
                    "the shop only.",
                    "Send the service's token, or another name, such as a random one.",
                )
        return user

    def judged(self, users: Collection[str]) -> dict[str, Judged]:
        """Return what users have said, by user.

        Raises:
            Problem: If the database does not answer.
        """
        if self.feedback is None:
            return {user: Judged({}) for user in users}
        try:
            return self.feedback.judged(users)
        except feedback.Away as error:
            logger.error("feedback cannot be read: %s", error)
            raise Problem(503, "The database of feedback does not answer.") from None


def router(service: Service) -> APIRouter:
    """Return the routes of a service."""
    codes = (400, 401, 403, 404, 413, 421, 422, 503)
    errors = {code: {"model": schemas.Error} for code in codes}
    routes = APIRouter(
        prefix="/v1", dependencies=[Depends(service.access.check)], responses=errors
    )
    token_needed = [Depends(service.access.check_token)]

    @routes.post("/recommend", response_model=schemas.Answers)
    async def recommend(asking: schemas.Asking, request: Request):
        """Rank the catalogue for a request, a picture, or a history."""
        shop = service.shops[asking.model]
        user = service.user(request, asking.user)
        picture = None
        if asking.picture is not None:
            picture = await asyncio.to_thread(picture_of, asking.picture)
        ask = Ask(
            request=None,
            user=user,
            k=asking.k,
            history=None if asking.history is None else tuple(asking.history),
            picture=picture,
            like=asking.like,
            exclude_seen=asking.exclude_seen,
            columns=tuple(asking.columns),
            explain=asking.explain,
            **_among(asking),
        )
        if service.log_requests:
            logger.info("%s", json.dumps({"user": user, **_texts(asking)}))
        texts = asking.requests or [asking.request]
        asks = [dataclasses.replace(ask, request=text) for text in texts]
        answers = await asyncio.gather(*(service.desk.ask(shop, each) for each in asks))
        service.metrics.answers.labels(shop.name).inc(len(asks))
        return JSONResponse({"model": shop.name, "answers": answers})

    @routes.post("/similar", response_model=schemas.Answers)
    async def similar(asking: schemas.AskingSimilar):
        """Return the products most similar to one."""
        shop = service.shops[asking.model]
        if asking.item not in shop.recommender:
            raise Problem(404, f"There is no product '{asking.item}'.")
        among = _among(asking)
        answer = await service.desk.run(
            lambda: shop.similar(asking.item, asking.columns, k=asking.k, **among)
        )
        return JSONResponse({"model": shop.name, "answers": [answer]})

    @routes.post(
        "/feedback",
        response_model=schemas.Stored,
        status_code=201,
        responses={409: {"model": schemas.Error}},
    )
    async def say(saying: schemas.Saying, request: Request):
        """Store what a shopper said of products; it changes their next answer."""
        if service.feedback is None:
            raise Problem(
                409,
                "This service stores no feedback.",
                "Start it with --feedback sqlite:///feedback.db.",
            )
        shop = service.shops[saying.model]
        user = service.user(request, saying.user)
        for event in saying.events:
            if event.item not in shop.recommender:
                raise Problem(422, f"There is no product '{event.item}'.")
        message, now = _message(user, saying.id), feedback.now()
        rows = [
            feedback.Row(
                id=f"{message}:{number}",
                time=now,
                user=user,
                request=saying.request,
                item=event.item,
                outcome=event.outcome,
                answer=saying.answer,
                model=shop.name,
                rank=event.rank,
            )
            for number, event in enumerate(saying.events)
        ]
        await _done(service.feedback.add(rows))
        for event in saying.events:
            service.metrics.feedback.labels(event.outcome).inc()
        return {"stored": len(rows)}

    @routes.get("/models", response_model=list[schemas.AboutModel])
    async def models():
        """Return the models of this service, the default one first."""
        return [_about(shop) for shop in service.shops]

    @routes.get("/items/{item:path}", response_model=schemas.Item)
    def item(item: schemas.Id, model: schemas.Model = None):
        """Return a product."""
        return JSONResponse(service.shops[model].item(item))

    @routes.get(
        "/pictures/{item:path}",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    def picture(item: schemas.Id, model: schemas.Model = None):
        """Return a product's picture."""
        content = service.shops[model].picture(item)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(content, media_type="image/jpeg", headers=headers)

    @routes.get("/users", response_model=list[str])
    def users(
        request: Request,
        model: schemas.Model = None,
        prefix: schemas.Word = "",
        limit: Annotated[int, Query(ge=1, le=_MOST_USERS)] = 20,
    ):
        """Return some of the users whose histories a model knows."""
        if not service.access.knows_users(request):
            raise Problem(
                403, "Who the users of the shop are is told to the shop only."
            )
        known = service.shops[model].recommender.users or ()
        found = (user for user in known if user.startswith(prefix))
        return list(itertools.islice(found, limit))

    @routes.get("/users/{user:path}", response_model=schemas.AboutUser)
    async def user(user: schemas.Id, request: Request, model: schemas.Model = None):
        """Return the history of a user, and what they said."""
        shop = service.shops[model].recommender
        service.user(request, user)
        judged = (await asyncio.to_thread(service.judged, [user]))[user]
        return JSONResponse(
            {
                "user": user,
                "known": user in (shop.users or ()),
                "history": shop.history(user),
                "said": judged.outcomes,
            }
        )

    @routes.post("/items", response_model=schemas.Changed, dependencies=token_needed)
    async def change(changing: schemas.Changing):
        """Add and remove products; answers know them at once."""
        shop = service.shops[changing.model]
        for row in changing.add:
            if "image" in row:
                raise Problem(
                    422,
                    "add: a client cannot name pictures of this machine.",
                    "Leave the column 'image' out; export the model anew for pictures.",
                )

        n_items = await asyncio.to_thread(
            shop.change, changing.add, changing.remove, changing.save
        )
        return {"model": shop.name, "items": n_items}

    @routes.post(
        "/models/{name:path}/reload",
        response_model=schemas.Changed,
        dependencies=token_needed,
    )
    async def reload(name: str):
        """Load a newly exported model; until it is loaded, the old one answers."""
        shop = service.shops[name]
        await asyncio.to_thread(shop.reload)
        return {"model": shop.name, "items": len(shop.recommender)}

    for route in routes.routes:  # in /docs, a sentence says more than a function's name
        route.summary = (route.description or "").rstrip(".")
    return routes


def _among(asking: schemas.Asking | schemas.AskingSimilar) -> dict:
    """Return which products may be found, as :class:`Ask` has it."""
    where = {
        column: (value.min, value.max) if isinstance(value, schemas.Range) else value
        for column, value in asking.where.items()
    }
    return {
        "exclude": tuple(asking.exclude),
        "among": None if asking.among is None else tuple(asking.among),
        "where": tuple(
            (column, frozenset(value) if isinstance(value, list) else value)
            for column, value in sorted(where.items())
        ),
    }


def _texts(asking):
    texts = asking.requests if asking.request is None else [asking.request]
    return {"model": asking.model, "requests": texts}


def _message(user, id_):
    """Return an id for a message. Two users may use the same one, and it may be longer
    than a database has room for in an index."""
    if id_ is None:
        return uuid.uuid4().hex
    whole = json.dumps([user, id_]).encode()
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


async def _done(future: Future) -> None:
    """Await what another thread does."""
    try:
        await asyncio.wrap_future(future)
    except feedback.Away as error:
        logger.error("feedback was not stored: %s", error)
        raise Problem(
            503, "The feedback was not stored: the database does not take it."
        ) from None


def _about(shop):
    recommender = shop.recommender
    users = recommender.users
    return {
        "name": shop.name,
        "model": recommender.model,
        "items": len(recommender),
        "users": None if users is None else len(users),
        "columns": recommender.columns,
        "knows_pictures": recommender.knows_pictures,
        "about": recommender.about,
    }
