"""Every route, its limits, and its errors, which have one shape."""

import base64
import io
import json
import struct
import zlib

import pytest
from PIL import Image

from recbole_whisperlite.serve import limits
from recommend import shops
from serve.expected import TOKEN, is_error

ASK = "/v1/recommend"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def ask(client, **body):
    response = client.post(ASK, json=body)
    assert response.status_code == 200, response.text
    return response.json()["answers"][0]


def items(client, **body):
    return [found["item"] for found in ask(client, **body)["items"]]


def said(client, item, outcome, user="anna", **more):
    body = {"user": user, "events": [{"item": item, "outcome": outcome}], **more}
    response = client.post("/v1/feedback", json=body)
    assert response.status_code == 201, response.text
    return response.json()


# asking


def test_an_answer_is_that_of_the_model(service, plus):
    from recbole_whisperlite import Recommender

    answer = ask(
        service(), request="red dress", user="u1", k=4, explain=True, columns=["price"]
    )
    expected = Recommender.load(plus).recommend("red dress", "u1", k=4)
    assert [found["item"] for found in answer["items"]] == [e.item for e in expected]
    for rank, found in enumerate(answer["items"], start=1):
        assert found["rank"] == rank
        assert sum(found["parts"].values()) == pytest.approx(found["score"], rel=1e-5)
        assert found["columns"] == {"price": dict(_prices())[found["item"]]}
        assert found["times_chosen"] is not None
    assert answer["understood"] == {"wish": "red dress", "ruled_out": ""}
    assert answer["user"] == "u1" and answer["notes"] == []


def _prices():
    return [(id_, price) for id_, _, _, price, *_ in shops.ITEMS]


def test_what_is_ruled_out_is_told(service):
    answer = ask(service(), request="a coat, no stripes")
    assert answer["understood"] == {"wish": "a coat", "ruled_out": "stripes"}


def test_several_requests_have_an_answer_each(service):
    client, texts = service(), ["red dress", "black coat", "", "red dress"]
    body = {"requests": texts, "user": "u1", "k": 3}
    answers = client.post(ASK, json=body).json()["answers"]
    assert [answer["request"] for answer in answers] == texts
    assert len({answer["answer"] for answer in answers}) == 4
    for text, answer in zip(texts, answers):
        alone = ask(client, request=text, user="u1", k=3)["items"]
        for one, other in zip(answer["items"], alone, strict=True):
            assert one.pop("score") == pytest.approx(other.pop("score"), rel=1e-5)
            assert one == other


def test_where_among_and_exclude_say_what_may_be_found(service):
    client, everything = service(), {"request": "red", "k": 200}
    assert set(items(client, **everything)) == {*shops.IDS}
    of = {
        "category": {"category": "shoes"},
        "several": {"category": ["shoes", "coat"]},
        "none": {"category": ""},
        "tag": {"tags": "winter"},
        "price": {"price": {"min": 45, "max": 99.5}},
        "one price": {"price": 45},
        "prices": {"price": [45, 15.0]},
    }
    found = {key: {*items(client, **everything, where=of[key])} for key in of}
    assert found == {
        "category": {"i4", "i5", "i6"},
        "several": {"i2", "i3", "i4", "i5", "i6"},
        "none": {"i 9"},
        "tag": {"i2", "i3", "i 9", "i11"},
        "price": {"i2", "i4", "i7", "i8"},
        "one price": {"i7", "i8"},
        "prices": {"i7", "i8", "i 9"},
    }
    assert {*items(client, **everything, among=["i1", "i2"])} == {"i1", "i2"}
    assert items(client, **everything, among=[]) == []
    assert {"i1", "i2"}.isdisjoint(items(client, **everything, exclude=["i1", "i2"]))


def test_like_a_product_history_and_seen_products(service):
    client = service()
    assert "i0" not in items(client, request="cheaper", like="i0", k=200)
    assert items(client, user="u1", k=200) == items(
        client, history=["i0", "i3", "i4"], k=200
    )
    assert {"i0", "i3", "i4"}.isdisjoint(items(client, user="u1", k=200))
    assert len(items(client, user="u1", k=200, exclude_seen=False)) == 12


def test_similar_products(service):
    body = {"item": "i0", "k": 3, "where": {"category": ["dress", "coat"]}}
    response = service().post("/v1/similar", json={**body, "columns": ["title"]})
    found = response.json()["answers"][0]["items"]
    assert {each["item"] for each in found} == {"i1", "i2", "i3"}
    assert found[0]["columns"]["title"] in shops.TEXTS


def test_models_by_name(service, plus, bm25):
    client = service({"plus": str(plus), "words": str(bm25)})
    first, second = client.get("/v1/models").json()
    assert (first["name"], first["model"], first["items"]) == (
        "plus",
        "WhisperLitePlus",
        12,
    )
    assert first["users"] == 5 and first["columns"] == shops.TYPES
    assert second["model"] == "BM25"
    answers = {
        name: client.post(ASK, json={"request": "red", "model": name}).json()
        for name in (None, "plus", "words")
    }
    assert answers[None]["model"] == "plus" and answers["words"]["model"] == "words"
    assert is_error(
        client.post(ASK, json={"request": "x", "model": "wrods"}),
        404,
        "There is no model 'wrods'. Did you mean 'words'?",
        "plus, words",
    )


def test_a_product_its_picture_and_ids_of_all_kinds(service):
    client = service()
    product = client.get("/v1/items/i%209").json()
    assert product["text"] == "white shirt" and product["columns"]["price"] == 15
    picture = client.get(client.get("/v1/items/i0").json()["picture"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(picture.content)).size == (480, 320)
    assert is_error(client.get("/v1/pictures/i3"), 404, "no picture")
    assert is_error(client.get("/v1/pictures/i11"), 404, "cannot be read")
    assert is_error(client.get("/v1/items/nothing/at/all"), 404, "'nothing/at/all'")
    assert is_error(client.get("/v1/items/i0?model=x"), 404, "no model 'x'")


def test_pictures_out_of_their_folder_are_not_shown(service, plus, tmp_path):
    from recbole_whisperlite import Recommender

    shop = Recommender.load(plus)
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    rows = [("n1", str(tmp_path / "secret.png")), ("n2", "../../../etc/passwd")]
    shop.add_items(
        [{"item_id": id_, "title": "a hat", "image": path} for id_, path in rows]
    )
    folder = shop.save(tmp_path / "model")
    client = service({"m": str(folder)})
    for id_ in ("n1", "n2"):
        assert is_error(client.get(f"/v1/pictures/{id_}"), 404, "no picture")


def test_users(service):
    client = service()
    assert client.get("/v1/users").json() == ["u1", "u2", "u3", "u4", "7"]
    assert client.get("/v1/users?prefix=u&limit=2").json() == ["u1", "u2"]
    assert client.get("/v1/users/u1").json() == {
        **{"user": "u1", "known": True, "history": ["i0", "i3", "i4"], "said": {}}
    }
    stranger = client.get("/v1/users/a/b").json()
    assert (stranger["user"], stranger["known"]) == ("a/b", False)
    for limit in (0, 101, "x", 10**30):
        assert is_error(client.get(f"/v1/users?limit={limit}"), 422, "limit")
    assert is_error(client.get("/v1/users/%00"), 422, "NUL")


# feedback


def test_feedback_changes_the_next_answer(with_feedback):
    client, asked = with_feedback, {"request": "red dress", "user": "anna", "k": 5}
    first, second, third, *_ = items(client, **asked)
    said(client, first, "kept")
    said(client, second, "not_tried")
    said(client, third, "shown")
    after = items(client, **{**asked, "k": 200})
    assert {*after} == {*shops.IDS} - {first, second}
    assert after[:5] == items(client, **asked)
    assert after == items(
        client, request="red dress", history=[first], exclude=[second], k=200
    )
    assert client.get("/v1/users/anna").json()["said"] == {
        first: "kept",
        second: "not_tried",
    }
    said(client, first, "withdrawn")
    said(client, second, "withdrawn")
    assert items(client, **asked)[:3] == [first, second, third]
    assert items(client, request="red dress", user="bea", k=5)[0] == first


def test_what_a_known_user_keeps_joins_their_history(with_feedback):
    said(with_feedback, "i7", "tried", user="u1")
    got = items(with_feedback, request="x", user="u1", k=200)
    expected = items(
        with_feedback, request="x", history=["i0", "i3", "i4", "i7"], k=200
    )
    assert got == expected


def test_feedback_of_products_that_are_gone_is_no_obstacle(with_feedback):
    for item, outcome in (("i7", "kept"), ("i8", "not_tried")):
        said(with_feedback, item, outcome)
    body = {"remove": ["i7", "i8"]}
    assert with_feedback.post("/v1/items", json=body, headers=BEARER).status_code == 200
    assert len(items(with_feedback, user="anna", k=200)) == 10


def test_feedback_is_refused_as_a_whole(with_feedback, service):
    body = {"user": "anna", "events": [{"item": "i1", "outcome": "kept"}]}
    wrong = {**body, "events": [*body["events"], {"item": "x", "outcome": "kept"}]}
    assert is_error(with_feedback.post("/v1/feedback", json=wrong), 422, "'x'")
    assert with_feedback.get("/v1/users/anna").json()["said"] == {}
    wrong = {**body, "events": [{"item": "i1", "outcome": "loved"}]}
    assert is_error(
        with_feedback.post("/v1/feedback", json=wrong), 422, "'not_tried'", "outcome"
    )
    assert is_error(service().post("/v1/feedback", json=body), 409, "--feedback")


# products come and go


def test_products_come_and_go(service, plus, tmp_path):
    import shutil

    folder = shutil.copytree(plus, tmp_path / "copy")
    client = service({"m": str(folder)}, token=TOKEN)

    def change(**body):
        return client.post("/v1/items", json=body, headers=BEARER)

    new = {"item_id": "n1", "title": "green hat", "price": 5, "tags": ["a", "b"]}
    assert change(add=[new], remove=["i0"]).json() == {"model": "m", "items": 12}
    assert items(client, request="x", where={"tags": "b"}) == ["n1"]
    assert "i0" not in items(client, request="red dress", k=200)
    assert client.get("/v1/items/n1").json()["columns"]["price"] == 5
    assert is_error(change(add=[new]), 422, "already in the catalogue")
    assert is_error(change(remove=["i0"]), 422, "no item 'i0'")
    assert is_error(change(add=[{**new, "image": "/etc/passwd"}]), 422, "pictures")
    assert is_error(change(add=[{"item_id": "n2"}]), 422, "has no text")
    assert is_error(change(add=[{"title": "x"}]), 422, "'item_id'")
    assert is_error(change(add=[{**new, "item_id": "n3", "price": "x"}]), 422, "number")
    # what was not saved is gone after a reload, what was saved is not
    for save, known in ((False, False), (True, True)):
        if save:
            change(add=[new], save=True)
        reload = client.post("/v1/models/m/reload", headers=BEARER)
        assert reload.status_code == 200 and reload.json()["model"] == "m"
        assert (client.get("/v1/items/n1").status_code == 200) == known


def test_a_model_that_cannot_be_loaded_again_stays(service, plus, tmp_path):
    import shutil

    folder = shutil.copytree(plus, tmp_path / "copy")
    client = service({"m": str(folder)}, token=TOKEN)
    (folder / "config.json").write_text("{")
    response = client.post("/v1/models/m/reload", headers=BEARER)
    assert is_error(response, 422, "config.json")
    assert len(items(client, request="red")) == 10


# limits


def test_large_bodies_are_refused_before_they_are_read(service):
    client, large = service(), b'{"request": "' + b"x" * limits.MOST_BYTES + b'"}'
    headers = {"Content-Type": "application/json"}
    declared = client.post(ASK, content=large, headers=headers)
    assert is_error(declared, 413, "too large", "12,582,912 bytes")

    def parts():
        for begin in range(0, len(large), 2**20):
            yield large[begin : begin + 2**20]

    streamed = client.post(ASK, content=parts(), headers=headers)
    assert is_error(streamed, 413, "too large", "12,582,912 bytes")
    lie = client.post(
        ASK, content=b"{}", headers={**headers, "Content-Length": "9" * 30}
    )
    assert is_error(lie, 413)


@pytest.mark.parametrize(
    "body, part",
    [
        ({"request": "x" * 10_001}, "10000 characters"),
        ({"request": "a\0b"}, "NUL"),
        ({"request": "a\ud800b"}, "unicode"),
        ({"request": 3}, "string"),
        ({"requests": []}, "at least 1"),
        ({"requests": ["x"] * 65}, "at most 64"),
        ({"request": "x", "requests": ["x"]}, "not both"),
        ({"k": 0}, "greater than or equal to 1"),
        ({"k": 201}, "less than or equal to 200"),
        ({"k": 2.0}, "integer"),
        ({"k": True}, "integer"),
        ({"k": "5"}, "integer"),
        ({"user": ""}, "at least 1 character"),
        ({"user": "u" * 501}, "500 characters"),
        ({"user": "\0"}, "NUL"),
        ({"history": ["x"]}, "no item 'x'"),
        ({"history": ["i1"] * 5001}, "5000"),
        ({"exclude": ["x"]}, "no item 'x'"),
        ({"among": ["x"]}, "no item 'x'"),
        ({"like": "x"}, "no item 'x'"),
        ({"columns": ["prise"]}, "Did you mean 'price'?"),
        ({"where": {"colour": "red"}}, "no column 'colour'"),
        ({"where": {"price": "red"}}, "price is a number"),
        ({"where": {"price": ["red"]}}, "not ['red']"),
        ({"where": {"category": {"min": 3}}}, "no range"),
        ({"where": {"price": {}}}, "min or max"),
        ({"where": {"price": None}}, "where.price"),
        ({"where": []}, "where"),
        ({"exclude_seen": 1}, "boolean"),
        ({"explain": "yes"}, "boolean"),
        ({"prompt": "x"}, "prompt: Extra inputs"),
        ({"picture": "images/a.png"}, "not base64"),
        ({"picture": "http://127.0.0.1/a.png"}, "not base64"),
        ({"picture": "/etc/passwd"}, "not base64"),
        ({"picture": "/etc/passwd1"}, "not a picture"),
        ({"picture": "file:///etc/passwd"}, "not base64"),
        ({"picture": "data:text/plain,hello"}, "not base64"),
        ({"picture": ""}, "empty"),
        ([], "valid dictionary"),
        # null: an absent body to FastAPI 0.150, and no dictionary to 0.161
        (None, "A body is JSON"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_not_accepted_is_said(service, body, part):
    content = json.dumps(body).encode()
    response = service().post(
        ASK, content=content, headers={"Content-Type": "application/json"}
    )
    assert is_error(response, 422, part)


@pytest.mark.parametrize(
    "content, status, part",
    [
        (b"{", 422, "JSON"),
        (b'"\xff"', 400, "parsing"),
        (b"[" * 100_000, 400, "parsing"),
        (b"", 422, "required"),
        (b'{"k": ' + b"9" * 5000 + b"}", 400, "parsing"),
        (b'{"where": {"price": ' + b"9" * 400 + b"}}", 422, "price"),
        (b'{"where": {"price": NaN}}', 422, "price"),
        (b'{"where": {"price": 1e999}}', 422, "price"),
    ],
)
def test_what_is_no_json_is_said(service, content, status, part):
    headers = {"Content-Type": "application/json"}
    response = service().post(ASK, content=content, headers=headers)
    assert is_error(response, status, part)
    assert is_error(service().post(ASK, content=b"{}"), 422, "Content-Type")


def test_a_long_mistake_is_not_sent_back_whole(service):
    response = service().post(ASK, json={"x" * 100_000: 1, "y" * 100_000: 1})
    assert is_error(response, 422, "Extra inputs")
    assert len(response.content) < 5000


def test_a_picture_bomb_is_not_unpacked(service):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"")
    response = service().post(ASK, json={"picture": base64.b64encode(bomb).decode()})
    assert is_error(response, 422, "24,000,000 pixels", "no path and no address")


def test_an_eps_is_no_picture(service):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    response = service().post(ASK, json={"picture": base64.b64encode(eps).decode()})
    assert is_error(response, 422, "not a picture")


def test_a_picture_is_told_to_a_model_that_knows_none(service):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    body = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    response = service().post(ASK, json={"picture": body})
    assert is_error(response, 422, "knows no pictures")


# errors


def test_other_addresses_and_methods(service):
    client = service()
    assert is_error(client.get("/v2"), 404, "GET /v2: Not Found", "/docs")
    assert is_error(client.get("/v1/models/"), 404)
    wrong = client.get(ASK)
    assert is_error(wrong, 405, "Method Not Allowed")
    assert wrong.headers["allow"] == "POST"
    for path in ("/page/../api.py", "/page/%2e%2e/api.py", "/docs/page/%2e%2e/api.py"):
        response = client.get(path)
        assert response.status_code == 404 and "import" not in response.text


def test_no_traceback_reaches_a_client(service, monkeypatch, caplog):
    client = service()

    def fail(*_, **__):
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("recbole_whisperlite.serve.shops.Shop.answer", fail)
    response = client.post(ASK, json={"request": "what I want"})
    assert is_error(response, 500, "its log says why")
    assert "secret" not in response.text and "what I want" not in caplog.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_texts_of_requests_are_logged_only_if_that_is_asked_for(service, caplog):
    caplog.set_level("DEBUG")
    for name in ("recbole_whisperlite.serve", "uvicorn"):
        caplog.set_level("DEBUG", name)
    body = {"requests": ["what nobody should know"], "user": "anna"}
    service(feedback="sqlite:///a.db").post(ASK, json=body)
    service(feedback="sqlite:///a.db").post(ASK, json={**body, "k": 0})
    assert "nobody should know" not in caplog.text
    service(log_requests=True).post(ASK, json=body)
    assert '"requests": ["what nobody should know"]' in caplog.text


# probes and figures


def test_probes_and_metrics(with_feedback):
    client = with_feedback
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    ask(client, request="red")
    said(client, "i1", "kept")
    for number in range(30):
        client.get(f"/nowhere/{number}")
        client.get(f"/v1/items/{number}")
    text = client.get("/metrics").text
    assert 'whisperlite_answers_total{model="plus"} 1.0' in text
    assert 'whisperlite_feedback_total{outcome="kept"} 1.0' in text
    assert 'whisperlite_items{model="plus"} 12.0' in text
    assert '{route="/v1/recommend",status="200"} 1.0' in text
    assert '{route="none",status="404"} 30.0' in text
    assert text.count("whisperlite_http_requests_total{") < 12


def test_every_response_has_the_headers(service):
    client = service()
    for path in ("/", "/docs", "/v1/models", "/nowhere", "/v1/items/x"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
