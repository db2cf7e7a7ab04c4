"""A newly exported model, and products that come and go, disturb nobody who asks."""

import shutil
import threading

import pytest

from recommend import shops
from serve.expected import TOKEN

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def busy():
    """Return a function (client, body, check): three threads ask until told to stop, each
    answer is checked; it returns a function that stops them and returns how many."""
    stopping, threads, failed, counts = threading.Event(), [], [], []

    def ask(client, body, check):
        count = 0
        while not stopping.is_set():
            response = client.post("/v1/recommend", json=body)
            if response.status_code != 200:
                failed.append(response.text)
                return
            for answer in response.json()["answers"]:
                try:
                    check(answer)
                except AssertionError as error:
                    failed.append(repr(error))
                    return
            count += 1
        counts.append(count)

    def start(client, body, check):
        for _ in range(3):
            threads.append(threading.Thread(target=ask, args=(client, body, check)))
            threads[-1].start()
        return stop

    def stop():
        stopping.set()
        for thread in threads:
            thread.join(60)
        assert not failed, failed[0]
        return sum(counts)

    yield start
    stopping.set()


def test_a_reload_loses_no_request_and_mixes_no_models(service, tmp_path, busy):
    folder = tmp_path / "model"
    texts, seen = {}, set()
    for version in (0, 1):  # the same ids, with other texts and weights
        shop = shops.shop("WhisperLite", seed=version)
        if version:
            rows = [
                {"item_id": id_, "title": f"{text} again"}
                for id_, text in zip(shops.IDS, shops.TEXTS)
            ]
            shop.change_items(rows, shops.IDS)
        shop.save(tmp_path / f"version{version}")
        texts[version] = {shop.text(id_) for id_ in shops.IDS}
    shutil.copytree(tmp_path / "version0", folder)
    client = service({"m": str(folder)}, token=TOKEN)

    def check(answer):
        of = {found["text"] for found in answer["items"]}
        assert of == texts[0] or of == texts[1]
        seen.add(of == texts[1])

    stop = busy(client, {"requests": ["red dress", "coat"], "k": 200}, check)
    for turn in range(6):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / f"version{(turn + 1) % 2}", folder)
        assert client.post("/v1/models/m/reload", headers=BEARER).status_code == 200
    assert stop() > 3 and seen == {True, False}


def test_products_come_and_go_while_others_ask(service, busy, tmp_path):
    client = service(feedback=f"sqlite:///{tmp_path}/f.db", token=TOKEN)
    row = {"item_id": "n1", "title": "red summer dress", "price": 1.0}
    kept = {"user": "anna", "events": [{"item": "i7", "outcome": "kept"}]}
    assert client.post("/v1/feedback", json=kept).status_code == 201

    def check(answer):
        ids = {found["item"] for found in answer["items"]}
        assert ids <= {*shops.IDS, "n1"} and len(answer["items"]) == len(ids)
        for found in answer["items"]:
            assert found["columns"]["title"] == found["text"]

    body = {
        **{"request": "red summer dress", "user": "anna", "k": 200, "explain": True},
        "columns": ["title"],
    }
    stop = busy(client, body, check)
    for _ in range(40):
        for change in (
            {"add": [row], "remove": ["i7"]},
            {"add": [{"item_id": "i7", "title": "blue jeans"}], "remove": ["n1"]},
        ):
            response = client.post("/v1/items", json=change, headers=BEARER)
            assert response.status_code == 200, response.text
            pictures = client.get("/v1/items/n1").status_code
            assert pictures == (200 if change["remove"] == ["i7"] else 404)
    assert stop() > 3
