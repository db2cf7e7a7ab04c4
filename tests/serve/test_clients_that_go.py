"""Clients that leave, lie and send what is no HTTP disturb no others: over a socket."""

import http.client
import json
import signal
import socket

import psutil
import pytest

from feedback_kills import Service
from recbole_whisperlite.serve.limits import MOST_BYTES
from recommend import shops


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A service in a process of its own, and the file of its log."""
    folder = tmp_path_factory.mktemp("service")
    model = shops.shop("WhisperLitePlus").save(folder / "shop")
    service = Service(folder, model, f"sqlite:///{folder}/feedback.db")
    ask(service)
    yield service, folder / "service.txt"
    assert service.end(signal.SIGTERM) == 0
    assert "Traceback" not in (folder / "service.txt").read_text()


def ask(service, n=1):
    client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    body = json.dumps({"requests": ["red dress"] * n, "k": 200})
    client.request("POST", "/v1/recommend", body, {"Content-Type": "application/json"})
    response = client.getresponse()
    assert response.status == 200
    return json.loads(response.read())


def send(service, content, wait=True):
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
        try:
            client.sendall(content)
            return client.recv(2**16) if wait else b""
        except ConnectionError:
            return b""


HEAD = (
    b"POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\n"
)


@pytest.mark.parametrize(
    "content",
    [
        HEAD,
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"k":',
        HEAD + b'Content-Length: 15\r\n\r\n{"requests":[""',
        HEAD + b'Content-Length: 13\r\n\r\n{"request":""}',
    ],
)
def test_a_client_that_leaves(running, content):
    service, _ = running
    for _ in range(20):
        send(service, content, wait=False)
    assert len(ask(service, 3)["answers"]) == 3


@pytest.mark.parametrize(
    "content, status",
    [
        (b"\x16\x03\x01\x02\x00\x01", b"400"),  # of TLS
        (b"GET\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: -1\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: %d\r\n\r\n" % (MOST_BYTES + 1), b"413"),
        (HEAD + b"Content-Length: " + b"9" * 50 + b"\r\n\r\n", b"4"),
        (HEAD + b"X: " + b"x" * 2**17 + b"\r\n\r\n", b"4"),
        (b"GET /v1/items/%FF%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"422"),
        (b"GET /v1/models HTTP/1.1\r\n\r\n", b"4"),
        (b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
    ],
)
def test_what_is_wrong_below_a_body(running, content, status):
    service, _ = running
    said = send(service, content)
    assert said.startswith(b"HTTP/1.1 " + status) or (status != b"422" and not said)
    ask(service)


def test_a_body_that_never_ends_fills_no_memory(running):
    service, _ = running
    chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    before = memory(service)
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 200 * chunk)
        assert client.recv(2**16).startswith(b"HTTP/1.1 413")
    assert memory(service) - before < 100 * 2**20
    ask(service)


def memory(service):
    return psutil.Process(service.process).memory_info().rss
