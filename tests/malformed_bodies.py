"""What the service says to bodies that no client should send.

A longer measurement than the tests have time for, as figures for docs/reliability.md; it
needs the extra ``load``::

    PYTHONPATH=.:tests python tests/malformed_bodies.py --times 10000

Half of the requests are drawn by schemathesis from the schema of the service: some that
fit it, most that break it in a place. Half are sound bodies that are harmed as text: cut,
nested, with other bytes, numbers, types and headers. Each goes to the service of a dozen
products in this process, with the token or without it. Faults, each of which is printed,
are

- a status of 5xx, and a response that takes longer than ``--limit``;
- a status, a type of content or a body of a response that the schema does not have;
- an error of another shape than the one of all, or with a traceback.
"""

import argparse
import collections
import json
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

import recbole_whisperlite  # noqa: F401  (RecBole comes after, and finds us)
import hypothesis
import schemathesis
from fastapi.testclient import TestClient
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from tqdm import tqdm

from recbole_whisperlite.feedback import Feedback
from recbole_whisperlite.serve.access import Access
from recbole_whisperlite.serve.app import make_app
from recbole_whisperlite.serve.shops import Shops
from recommend import shops

TOKEN = "a-token-of-many-letters"
ADDRESS = "http://127.0.0.1"
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
#: Sound bodies by route.
BODIES = {
    "/v1/recommend": [
        {
            **{"request": "red dress, no stripes", "user": "u1", "k": 5},
            **{"columns": ["price", "title"], "explain": True, "exclude": ["i2"]},
        },
        {
            **{"requests": ["black coat", ""], "history": ["i0", "i3"], "like": "i4"},
            **{"where": {"category": ["coat", "dress"], "price": {"max": 99.5}}},
        },
        {"picture": "iVBORw0KGgo=", "among": ["i1", "i2"], "exclude_seen": False},
    ],
    "/v1/similar": [{"item": "i1", "k": 3, "where": {"tags": "summer"}}],
    "/v1/feedback": [
        {
            **{"user": "anna", "request": "red dress", "answer": "a", "id": "m"},
            "events": [
                {"item": "i1", "outcome": "kept", "rank": 1},
                {"item": "i2", "outcome": "not_tried"},
            ],
        }
    ],
    "/v1/items": [
        {"add": [{"item_id": "n1", "title": "a hat", "price": 3}], "remove": ["n1"]},
        {"add": [{"item_id": "n1", "title": "a hat", "tags": ["x", "y"]}]},
    ],
}
#: What stands in the place of a value, as JSON.
VALUES = (
    *("null", "true", "[]", "{}", '""', "0", "-1", "1e999", "-1e999", "NaN", "0.1"),
    *("9" * 400, "9" * 5000, "1e-400", "Infinity", "-0", "1.5", '"1"', '" "'),
    *('"\\ud800"', '"\\u0000"', '"\\u202e"', '"i1"', '"../../etc/passwd"', "[[[]]]"),
    *('"http://127.0.0.1/"', '"file:///etc/passwd"', '"data:image/png;base64,QQ=="'),
    *(json.dumps("x" * 10_001), json.dumps("é" * 501), '["i1", "i1"]', '{"min": 1}'),
    *('{"min": null}', "[null]", '[["i1"]]', "[1, 2]", '{"": ""}', '{"min": "x"}'),
)
TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "")
TYPES += ("application/json; charset=utf-16", "application/jsonx", "é", "a/b/c;=;")


def a_value(rng, text):
    """Put something else in the place of a value, at any depth."""
    body = json.loads(text)
    places = list(_places(body))
    holder, key = rng.choice(places)
    holder[key] = "\0place\0"
    return json.dumps(body).replace(json.dumps("\0place\0"), rng.choice(VALUES))


def a_key(rng, text):
    body = json.loads(text)
    del body[rng.choice(list(body))]
    body[rng.choice(["", "x", "K", "request ", "\0", "\ud800", "__proto__"])] = 1
    return json.dumps(body)


def twice(rng, text):
    body = text.strip()[1:-1]
    return f"{{{body}, {body}}}"


def cut(rng, text):
    return text[: rng.randrange(len(text))]


def nested(rng, text):
    deep = rng.choice([10, 900, 100_000])
    left, right = rng.choice([("[", "]"), ('{"a":', "}")])
    inner = rng.choice([text, "1", ""])
    whole = left * deep + inner + rng.choice([right * deep, ""])
    return rng.choice([whole, f'{{"request": {whole}}}', f'{{"where": {whole}}}'])


def many(rng, text):
    n = rng.choice([65, 5001, 100_000])
    key = rng.choice(["requests", "exclude", "among", "columns", "events", "remove"])
    return json.dumps({**json.loads(text), key: ["i1"] * n})


def a_byte(rng, text):
    content = bytearray(text.encode())
    at = rng.randrange(len(content))
    content[at : at + rng.randrange(2)] = rng.choice(
        [b"\x00", b"\xff", b'"', b"\\", b"{", b",", b"\xed\xa0\x80", b"\xef\xbb\xbf"]
    )
    return bytes(content)


def noise(rng, text):
    return rng.randbytes(rng.choice([0, 1, 10, 10_000]))


def other_encoding(rng, text):
    return text.encode(rng.choice(["utf-16", "utf-32", "utf-7", "utf-8-sig"]))


HARM = (a_value, a_value, a_value, a_key, twice, cut, nested, many, a_byte, noise)
HARM += (other_encoding,)


def _places(value):
    of = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in of:
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from _places(inner)


class Measurement:
    """Sends requests, and looks at what comes back.

    Args:
        client (TestClient): Of the service.
        limit (float): Seconds that a response may take.
        bar (tqdm): Is moved.
    """

    def __init__(self, client, limit, bar):
        self._client, self._limit, self._bar = client, limit, bar
        self.statuses, self.faults, self.slowest = collections.Counter(), [], (0.0, "")

    def send(self, what, **request):
        """Send a request; return the response."""
        begin = time.perf_counter()
        response = self._client.request(**request)
        seconds = time.perf_counter() - begin
        self.slowest = max(self.slowest, (seconds, what[:100]))
        self.statuses[response.status_code] += 1
        self._bar.update()
        if response.status_code >= 500:
            self.fault(what, f"{response.status_code} {response.text[:300]}")
        if seconds > self._limit:
            self.fault(what, f"{seconds:.1f} s")
        if response.status_code >= 400:
            error = response.json().get("error", {})
            if set(error) != {"status", "message", "accepted"}:
                self.fault(what, f"another shape: {response.text[:300]}")
            if "Traceback" in response.text:
                self.fault(what, f"a traceback: {response.text[:300]}")
        return response

    def fault(self, what, said):
        """Note and print what should not be."""
        self.faults.append(said)
        tqdm.write(f"{what[:300]}: {said}")


def from_schema(measurement, app, rng, times):
    """Send what schemathesis draws from the schema."""
    schema = schemathesis.openapi.from_dict(app.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    modes = [schemathesis.GenerationMode.POSITIVE]
    modes += [schemathesis.GenerationMode.NEGATIVE] * 3
    jobs = [(operation, mode) for operation in operations for mode in modes]
    counts = [times // len(jobs) + (n < times % len(jobs)) for n in range(len(jobs))]
    for (operation, mode), n in zip(jobs, counts):
        left = n
        while left > 0:  # hypothesis ends early where there is little to draw
            done = _draw(measurement, operation, mode, rng, left)
            left -= max(done, 1)


def _draw(measurement, operation, mode, rng, times):
    done = 0

    @hypothesis.seed(rng.randrange(2**32))
    @hypothesis.settings(
        max_examples=times,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def ask(case):
        nonlocal done
        if done == times:
            return
        done += 1
        request = case.as_transport_kwargs(base_url=ADDRESS)
        request["headers"] = {**dict(request["headers"]), **_token(rng)}
        for option in {"cookies", "files", "auth"} & {*request}:
            request.pop(option)
        what = f"{case.method} {request['url']} {request.get('json', '')!r}"
        response = measurement.send(what, **request)
        try:
            case.validate_response(response, checks=CHECKS)
        except schemathesis.errors.FailureGroup as group:
            for failure in group.exceptions:
                measurement.fault(what, f"{failure}".replace("\n", " ")[:500])

    try:
        ask()
    except hypothesis.errors.Unsatisfiable:
        pass
    return done


def harmed(measurement, rng, times):
    """Send sound bodies that were harmed."""
    for _ in range(times):
        route = rng.choice(list(BODIES))
        text = json.dumps(rng.choice(BODIES[route]))
        harm = rng.choice(HARM)
        body = harm(rng, text)
        kind = "application/json" if rng.random() < 0.9 else rng.choice(TYPES)
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        measurement.send(
            f"POST {route} {harm.__name__} {body[:200]!r}",
            method="POST",
            url=f"{ADDRESS}{route}",
            content=body,
            headers={"Content-Type": kind.encode(), **_token(rng)},
        )


def _token(rng):
    return {"Authorization": f"Bearer {TOKEN}"} if rng.random() < 0.7 else {}


def measure(times, seed, limit=10.0):
    """Send so many requests; return how many faults there were, after printing them and a
    line of figures."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        model = shops.shop("WhisperLitePlus").save(Path(folder, "shop"))
        database = Feedback(f"sqlite:///{folder}/feedback.db")
        app = make_app(Shops({"shop": str(model)}, {}), Access(TOKEN), database)
        bar = tqdm(total=times, disable=None)
        with bar, TestClient(app, raise_server_exceptions=False) as client:
            measurement = Measurement(client, limit, bar)
            from_schema(measurement, app, rng, times // 2)
            harmed(measurement, rng, times - sum(measurement.statuses.values()))
    statuses = sorted(measurement.statuses.items())
    print(
        f"{sum(measurement.statuses.values()):,} requests: "
        f"{', '.join(f'{count:,} of status {status}' for status, count in statuses)}; "
        f"the slowest took {measurement.slowest[0]:.2f} s ({measurement.slowest[1]}); "
        f"faults: {len(measurement.faults)}",
        flush=True,
    )
    return len(measurement.faults)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds, of each")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    return 1 if measure(args.times, args.seed, args.limit) else 0


if __name__ == "__main__":
    sys.exit(main())
