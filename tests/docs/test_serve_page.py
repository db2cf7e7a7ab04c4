"""The requests that docs/serve.md shows fit the schema of the service, and its routes are
all there are."""

import json
import re
from pathlib import Path

import pytest

from recbole_whisperlite.serve import limits, schemas

PAGE = (Path(__file__).resolve().parents[2] / "docs/serve.md").read_text("utf-8")
BODIES = {
    "recommend": schemas.Asking,
    "similar": schemas.AskingSimilar,
    "feedback": schemas.Saying,
    "items": schemas.Changing,
}
SHOWN = [
    (command.split()[0], command.partition(" -d '")[2].rpartition("'")[0])
    for block in re.findall(r"```bash\n(.+?)```", PAGE, re.DOTALL)
    for command in block.split("curl -s localhost:8000/v1/")[1:]
    if " -d '" in command
]


def test_each_route_that_takes_a_body_is_shown():
    assert {route for route, _ in SHOWN} == set(BODIES)


@pytest.mark.parametrize("route, body", SHOWN, ids=[route for route, _ in SHOWN])
def test_a_body_that_is_shown_is_accepted(route, body):
    BODIES[route].model_validate(json.loads(body))


def test_every_route_is_on_the_page():
    from recbole_whisperlite.serve.app import make_app
    from recbole_whisperlite.serve.shops import Shops

    for path, methods in make_app(Shops({}, {})).openapi()["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}`" in PAGE, path


def test_limits_on_the_page_are_those_of_the_service():
    table = PAGE.split("## Limits")[1].split("\n## ")[0]
    for number in (limits.MOST_TEXT, limits.MOST_IDS):
        assert f"{number:,}" in table
    for number in (limits.MOST_REQUESTS, limits.MOST_K, limits.MOST_ID):
        assert re.search(rf"\b{number}\b", table)
    assert f"{limits.MOST_BYTES // 2**20} MiB" in table
    assert f"{limits.MOST_PIXELS // 10**6} million pixels" in table
