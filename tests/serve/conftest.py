"""A service of hand-made models, asked without a network."""

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from recbole_whisperlite.feedback import Feedback
from recbole_whisperlite.serve.access import Access
from recbole_whisperlite.serve.app import make_app
from recbole_whisperlite.serve.shops import Shops
from recommend import shops
from serve.expected import TOKEN


@pytest.fixture(scope="session")
def plus(tmp_path_factory):
    """The folder of a WhisperLitePlus with a dozen items and five users, and pictures."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "pictures").mkdir()
    for id_, *_, image in shops.ITEMS[:9]:
        if image:
            Image.new("RGB", (900, 600), "red").save(folder / "pictures" / image)
    shops.shop("WhisperLitePlus").save(folder / "plus")
    return folder / "plus"


@pytest.fixture(scope="session")
def bm25(tmp_path_factory):
    """The folder of a BM25 of the same items."""
    return shops.shop("BM25").save(tmp_path_factory.mktemp("exported") / "bm25")


@pytest.fixture
def service(plus, tmp_path):
    """Return a function (feedback=…, log_requests=…, rules of Access…) -> client; by
    default of this machine alone, and without feedback."""
    clients = []

    def start(
        models=None,
        feedback=None,
        log_requests=False,
        host="127.0.0.1",
        **rules,
    ):
        pictures = plus.parent / "pictures"
        models = Shops(models or {"plus": str(plus)}, {"pictures": str(pictures)})
        stored = feedback and Feedback(feedback)
        app = make_app(models, Access(**rules), stored, log_requests)
        client = TestClient(
            app, base_url=f"http://{host}", raise_server_exceptions=False
        )
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def with_feedback(service, tmp_path):
    """A client of a service that stores feedback in feedback.db, and has a token."""
    return service(feedback=f"sqlite:///{tmp_path}/feedback.db", token=TOKEN)
