"""Nothing that was acknowledged is lost: by kills, by two who say the same, by a database
that goes away."""

import signal
import threading
import time
from concurrent.futures import Future

import pytest
import sqlalchemy

import feedback_kills
import postgres
from recbole_whisperlite import feedback
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.feedback import Away, Feedback, Row
from serve.expected import is_error


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server."""
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/feedback.db"
    server = request.getfixturevalue("server")
    engine = sqlalchemy.create_engine(
        server.url.replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS whisperlite_feedback"))
    engine.dispose()
    return server.url


def row(id_, item="i1", outcome="kept", user="anna"):
    return Row(id_, 1.5, user, 'a "red" dress; DROP\'', item, outcome, "a1", "m", 3)


def say(client, outcome="kept", item="i1", **more):
    body = {"user": "anna", "events": [{"item": item, "outcome": outcome}], **more}
    return client.post("/v1/feedback", json=body)


# the database


def test_what_is_stored_is_read(url):
    database = Feedback(url)
    rows = [row("1"), row("2", "i2", "not_tried")._replace(rank=None, answer="")]
    database.add(rows).result(10)
    assert list(feedback.read(url)) == rows
    assert list(feedback.read(url, ["not_tried"])) == rows[1:]
    assert database.is_there()
    database.close()


def test_the_last_word_holds(url):
    database = Feedback(url)
    words = [("i1", "kept"), ("i2", "tried"), ("i3", "not_tried"), ("i4", "shown")]
    words += [("i2", "withdrawn"), ("i3", "kept"), ("i1", "kept")]
    for number, (item, outcome) in enumerate(words):
        database.add([row(str(number), item, outcome)]).result(10)
    judged = database.judged(["anna"])["anna"]
    assert judged.wanted == ["i3", "i1"] and judged.unwanted == []
    assert judged.outcomes == {"i2": "withdrawn", "i3": "kept", "i1": "kept"}
    assert database.judged(["bea"])["bea"].outcomes == {}
    database.close()


def test_a_message_that_is_sent_twice_is_stored_once(url):
    database = Feedback(url)
    together = [database.add([row("1")]) for _ in range(50)]
    for done in together:
        done.result(10)
    database.add([row("1", "i2")]).result(10)
    assert [each.item for each in feedback.read(url)] == ["i1"]
    database.close()


def test_what_comes_while_a_transaction_is_written_is_written_together(url):
    database, begun, go, sizes = Feedback(url), threading.Event(), threading.Event(), []
    insert = database._insert

    def slow(rows):
        begun.set()
        go.wait(10)
        sizes.append(len(rows))
        insert(rows)

    database._insert = slow
    first = database.add([row("first")])
    assert begun.wait(10)
    others = [database.add([row(f"{n}")]) for n in range(40)]
    assert not first.done()
    go.set()
    for done in (first, *others):
        done.result(10)
    assert sizes == [1, 40]
    database.close()


def test_rows_that_cannot_be_stored_take_no_others_with_them(tmp_path):
    database, begun, go = Feedback(f"sqlite:///{tmp_path}/f.db"), [], threading.Event()
    insert = database._insert
    database._insert = lambda rows: (begun.append(1), go.wait(10), insert(rows))
    block = database.add([row("0")])
    while not begun:
        time.sleep(0.001)
    wrong = [row("2"), row("3")._replace(user=None)]
    jobs = [database.add(rows) for rows in ([row("1")], wrong, [row("4")])]
    go.set()
    with pytest.raises(Away):
        jobs[1].result(10)
    for done in (block, jobs[0], jobs[2]):
        done.result(10)
    database.close()
    assert {each.id for each in feedback.read(f"sqlite:///{tmp_path}/f.db")} == set(
        "014"
    )


def test_who_gives_up_waiting_does_not_stop_the_writer(tmp_path):
    database, begun, go = Feedback(f"sqlite:///{tmp_path}/f.db"), [], threading.Event()
    insert = database._insert
    database._insert = lambda rows: (begun.append(1), go.wait(10), insert(rows))
    first = database.add([row("1")])
    while not begun:
        time.sleep(0.001)
    gone = database.add([row("2")])
    assert gone.cancel() and not first.cancel()
    go.set()
    first.result(10)
    database.add([row("3")]).result(10)
    assert database.is_there()
    database.close()


def test_what_is_waiting_is_written_at_the_end(url):
    database = Feedback(url)
    jobs = [database.add([row(f"{n}")]) for n in range(1000)]
    database.close()
    assert all(done.done() for done in jobs)
    assert len(list(feedback.read(url))) == 1000


@pytest.mark.parametrize(
    "address, said",
    [
        ("sqlite:///nowhere/at/all/f.db", "unable to open"),
        ("sqlite://", "is kept in a file"),
        ("sqlite:///:memory:", "is kept in a file"),
        ("sqlite:///file:there.db?mode=ro&uri=true", "readonly database"),
        ("mysql://u:secret@h/d", "not supported"),
        ("what", "no address"),
        ("postgresql://u:secret@127.0.0.1:1/d", r"cannot be used \(.*[Cc]onnection"),
    ],
)
def test_a_database_that_cannot_be_written_to_is_told_at_the_start(address, said):
    Feedback("sqlite:///there.db").close()
    with pytest.raises(UserError, match=said) as error:
        Feedback(address)
    assert "secret" not in str(error.value)


# over HTTP


def test_messages_of_two_users_with_one_id_are_two(service, url):
    client = service(feedback=url)
    for user in ("anna", "bea", "anna"):
        assert say(client, user=user, id="1" * 500).status_code == 201
    assert [each.user for each in feedback.read(url)] == ["anna", "bea"]


def test_all_that_is_said_is_stored(service, url):
    client = service(feedback=url)
    more = {"request": '日本 \U0001f457 "x"', "answer": "a1", "rank": 2}
    events = [{"item": "i 9", "outcome": "kept", "rank": more.pop("rank")}]
    body = {"user": "ü" * 500, "events": events, **more}
    assert client.post("/v1/feedback", json=body).json() == {"stored": 1}
    (stored,) = feedback.read(url)
    assert stored[2:] == (
        *("ü" * 500, more["request"], "i 9", "kept", "a1", "plus", 2),
    )
    assert abs(stored.time - time.time()) < 60


def test_a_database_that_comes_back_is_used_again(service, server):
    client = service(feedback=server.url)
    assert say(client).status_code == 201
    server.stop()
    try:
        assert is_error(say(client), 503, "was not stored")
        assert is_error(client.get("/readyz"), 503, "does not answer")
        asked = client.post("/v1/recommend", json={"request": "red", "user": "anna"})
        assert is_error(asked, 503, "does not answer")
        assert is_error(client.get("/v1/users/anna"), 503, "does not answer")
        asked = client.post("/v1/recommend", json={"request": "red"})
        assert asked.status_code == 200  # nobody's feedback is needed
    finally:
        server.start()
    assert say(client, item="i2").status_code == 201
    assert client.get("/readyz").status_code == 200
    assert "i2" in client.get("/v1/users/anna").json()["said"]


def test_what_cannot_be_stored_is_not_acknowledged_nor_logged(service, caplog):
    client = service(feedback="sqlite:///f.db")
    engine = sqlalchemy.create_engine("sqlite:///f.db")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE whisperlite_feedback"))
    assert is_error(say(client, request="what nobody should know"), 503, "not stored")
    assert "no such table" in caplog.text and "nobody" not in caplog.text


# kills


def test_nothing_acknowledged_is_lost_when_the_service_is_killed(capsys):
    assert feedback_kills.measure(5, seed=1, longest=0.3) == 0
    assert "5 kills" in capsys.readouterr().out


def test_nor_with_postgresql(server):
    assert feedback_kills.measure(2, seed=2, url=server.url, longest=0.3) == 0


def test_when_it_is_stopped_it_ends_well(capsys):
    stopped = {"how": signal.SIGTERM, "status": 0, "longest": 0.3}
    assert feedback_kills.measure(2, seed=3, **stopped) == 0


def test_a_loss_is_found(monkeypatch, capsys):
    add = Feedback.add

    def early(self, rows):
        done = Future()
        done.set_result(None)
        threading.Timer(0.2, add, (self, rows)).start()
        return done

    monkeypatch.setattr(Feedback, "add", early)
    assert feedback_kills.measure(1, seed=1, longest=0.3) > 0
    assert "lost: 0 of" in str(capsys.readouterr())
