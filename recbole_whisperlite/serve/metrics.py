"""What the service counts, for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from recbole_whisperlite.serve.shops import Shops

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 5.0)


class Metrics:
    """The counters of one service.

    Args:
        shops (Shops): Its models.

    Attributes:
        registry (prometheus_client.CollectorRegistry): What ``/metrics`` shows.
    """

    def __init__(self, shops: Shops):
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "whisperlite_http_requests_total",
            "Requests over HTTP, by route and status.",
            ("route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "whisperlite_http_request_seconds",
            "Seconds until the last byte of the response.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.answers = Counter(
            "whisperlite_answers_total",
            "Answered requests of shoppers, by model.",
            ("model",),
            registry=self.registry,
        )
        self.feedback = Counter(
            "whisperlite_feedback_total",
            "Stored feedback, by outcome.",
            ("outcome",),
            registry=self.registry,
        )
        items = Gauge(
            "whisperlite_items",
            "Products of a model.",
            ("model",),
            registry=self.registry,
        )
        for shop in shops:
            size = items.labels(shop.name)
            size.set_function(lambda shop=shop: len(shop.recommender))

    def watch(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests are counted."""

        async def watched(scope: Scope, receive: Receive, send: Send):
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status, begin = 500, time.perf_counter()

            async def noting(message):
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, noting)
            finally:
                # the route's pattern: a label must not grow with what clients send
                route = getattr(scope.get("route"), "path", "none")
                self._requests.labels(route, status).inc()
                seconds = time.perf_counter() - begin
                self._seconds.labels(route).observe(seconds)

        return watched
