"""Who may ask for what, and whose pages may."""

import pytest

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.serve import access
from serve.expected import TOKEN, is_error

ASK = "/v1/recommend"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
#: What only asks, and what changes a model.
ASKING = [
    ("POST", ASK, {"request": "red"}, 200),
    ("POST", "/v1/similar", {"item": "i1"}, 200),
    (
        "POST",
        "/v1/feedback",
        {"user": "anna", "events": [{"item": "i1", "outcome": "kept"}]},
        201,
    ),
    ("GET", "/v1/models", None, 200),
    ("GET", "/v1/items/i1", None, 200),
    ("GET", "/v1/pictures/i0", None, 200),
    ("GET", "/v1/users/stranger", None, 200),
    ("GET", "/metrics", None, 200),
]
CHANGING = [
    ("POST", "/v1/items", {}, 200),
    ("POST", "/v1/models/plus/reload", None, 200),
]
#: Nothing of the shop is in these.
PUBLIC = ["/", "/docs", "/openapi.json", "/healthz", "/readyz"]


def send(client, method, path, body, headers=None):
    return client.request(method, path, json=body, headers=headers)


@pytest.fixture
def start(service, tmp_path):
    def run(**rules):
        return service(feedback=f"sqlite:///{tmp_path}/feedback.db", **rules)

    return run


def test_a_loopback_service_is_open_to_this_machine(start):
    client = start()
    for *what, status in ASKING:
        assert send(client, *what).status_code == status, what
    for *what, _ in CHANGING:
        assert is_error(send(client, *what), 403, "--token-file")
        assert is_error(send(client, *what, BEARER), 403, "without a token")


def test_with_a_token_only_changes_need_it_there(start):
    client = start(token=TOKEN)
    for *what, status in ASKING:
        assert send(client, *what).status_code == status, what
    for *what, status in CHANGING:
        assert is_error(send(client, *what), 401, "Bearer")
        assert send(client, *what, BEARER).status_code == status, what


def test_on_another_address_everything_needs_the_token(start):
    client = start(token=TOKEN, is_loopback=False, host="shop.example")
    for *what, status in ASKING + CHANGING:
        refused = send(client, *what)
        assert is_error(refused, 401, "service's token")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert send(client, *what, BEARER).status_code == status, what
    for path in PUBLIC:
        response = client.get(path)
        assert response.status_code == 200 and "plus" not in response.text


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        "Bearer é",
        f"Bearer x {TOKEN}",
    ],
)
def test_another_token_is_refused(start, header):
    client = start(token=TOKEN, is_loopback=False, host="shop.example")
    headers = {"Authorization": header.encode("latin-1")}
    response = client.get("/v1/models", headers=headers)
    assert is_error(response, 401, "another one")
    assert TOKEN not in response.text


def test_the_word_bearer_may_be_written_small(start):
    client = start(token=TOKEN, is_loopback=False, host="shop.example")
    headers = {"Authorization": f"bearer {TOKEN}"}
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_an_open_service_answers_everybody_but_not_for_known_users(start):
    client = start(is_open=True, is_loopback=False, host="shop.example", token=TOKEN)
    for *what, status in ASKING:
        assert send(client, *what).status_code == status, what
    known = [
        ("POST", ASK, {"user": "u1"}),
        ("GET", "/v1/users/u1", None),
        (
            "POST",
            "/v1/feedback",
            {"user": "u1", "events": [{"item": "i1", "outcome": "kept"}]},
        ),
    ]
    for what in known:
        assert is_error(send(client, *what), 403, "a user of the shop")
        assert send(client, *what, BEARER).status_code < 300
    assert is_error(client.get("/v1/users"), 403, "told to the shop only")
    assert client.get("/v1/users", headers=BEARER).json()[0] == "u1"
    for *what, _ in CHANGING:
        assert is_error(send(client, *what), 401)


def test_an_open_service_without_a_token_changes_nothing(start):
    client = start(is_open=True, is_loopback=False, host="shop.example")
    for *what, _ in CHANGING:
        assert is_error(send(client, *what), 403, "without a token")
    assert is_error(client.get("/v1/users/u1"), 403)


# pages of others


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LocalHost:1", "[::1]:8000", "127.8.8.8"]
)
def test_hosts_that_are_this_machine(start, host):
    assert start().get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "["]
    + [
        "10.0.0.1",
        "[::2]",
        "0.0.0.0",
        "evil.example#localhost",
        "127.0.0.1@evil.example",
    ],
)
def test_a_name_that_points_here_is_refused(start, host):
    response = start().get("/v1/models", headers={"Host": host})
    assert is_error(response, 421, "this machine only")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9", "http://[", "", "127.0.0.1"],
)
def test_pages_of_other_sites_are_refused(start, origin):
    headers = {"Origin": origin}
    response = start(token=TOKEN).post(ASK, json={}, headers={**headers, **BEARER})
    assert is_error(response, 403, "other sites")
    assert "access-control-allow-origin" not in response.headers


def test_its_own_pages_may_ask(start):
    headers = {"Origin": "http://127.0.0.1"}
    assert start().post(ASK, json={}, headers=headers).status_code == 200


def test_any_host_may_be_named_where_other_machines_reach_it(start):
    client = start(is_open=True, is_loopback=False, host="shop.example")
    for host in ("shop.example", "10.0.0.1:80", "[", "x:y:z"):
        headers = {"Host": host}
        assert client.get("/healthz", headers=headers).status_code == 200
        assert is_error(client.get("/nowhere", headers=headers), 404)


# tokens and addresses


@pytest.mark.parametrize(
    "content, said",
    [
        (b"short", "at least 16"),
        (b"", "at least 16"),
        (b"a token of several words", "one word"),
        ("ä-token-of-many-letters".encode(), "ASCII"),
        (b"\xff" * 20, "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_token_that_can_be_guessed_is_refused(tmp_path, content, said):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        access.read_token("token")
    assert "token of several" not in str(error.value)


def test_a_token_in_a_file(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert access.read_token("token") == TOKEN
