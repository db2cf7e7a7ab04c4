"""Whether feedback is kept that a service had acknowledged when it was killed.

A longer measurement than the tests have time for, as figures for docs/reliability.md::

    PYTHONPATH=.:tests python tests/feedback_kills.py --times 50
    PYTHONPATH=.:tests python tests/feedback_kills.py --times 50 --postgresql

A service is started in a process of its own; eight clients send it messages of one to three
products, each as soon as the last was acknowledged. At a moment drawn at random the service
is killed (signal 9), the database is read, and another service goes on with it, to which the
clients send again what was in doubt. Faults, each of which is printed, are

- a message that was acknowledged and is not in the database, or not all of it;
- a message of which a part is in the database, and one that is there twice;
- any answer but 201, and a database that SQLite calls damaged.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import recbole_whisperlite  # noqa: F401  (RecBole comes after, and finds us)
from tqdm import tqdm

import postgres
from forked import fork
from recbole_whisperlite import feedback
from recbole_whisperlite.feedback import Feedback
from recbole_whisperlite.serve import listening
from recbole_whisperlite.serve.app import make_app
from recbole_whisperlite.serve.shops import Shops
from recommend import shops

_CLIENTS = 8


class Service:
    """A service in a process of its own, which stores feedback.

    Args:
        folder (Path): For its log.
        model (Path): What it serves.
        url (str): Its database.

    Attributes:
        port (int): Where it listens.
        process (int): Its process id.
    """

    def __init__(self, folder, model, url):
        self._socket = listening.listen("127.0.0.1", 0)
        self._socket.listen(128)  # clients wait until it is there
        self.port = self._socket.getsockname()[1]

        def work(_):
            models = Shops({"shop": str(model)}, {})
            app = make_app(models, feedback=Feedback(url))
            listening.serve(app, self._socket, print)

        self.process = fork(work, folder, folder / "service.txt")

    def end(self, how):
        """Send a signal, and return the status of the process."""
        os.kill(self.process, how)
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        self._socket.close()
        return status


class Client(threading.Thread):
    """Sends messages until the service is gone.

    Args:
        port (int): Of the service.
        doubtful (dict or None): The message to begin with.
        rng (random.Random): Draws the others.

    Attributes:
        acknowledged (list of dict): Bodies.
        doubtful (dict or None): The body that was sent last, without an answer.
        wrong (list of str): Other answers.
    """

    def __init__(self, port, doubtful, rng):
        super().__init__(daemon=True)
        self._port, self._rng = port, rng
        self.acknowledged, self.doubtful, self.wrong = [], doubtful, []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                self.doubtful = self.doubtful or self._message()
                body = json.dumps(self.doubtful)
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/v1/feedback", body, headers)
                response = connection.getresponse()
                said = response.read()
                if response.status == 201:
                    self.acknowledged.append(self.doubtful)
                else:
                    self.wrong.append(f"{response.status} {said[:200]}")
                self.doubtful = None

    def _message(self):
        id_ = uuid.UUID(int=self._rng.getrandbits(128)).hex
        items = self._rng.sample(shops.IDS, self._rng.randint(1, 3))
        events = [{"item": item, "outcome": "kept"} for item in items]
        # the id once more, as the answer, to find the message in the database
        return {"id": id_, "answer": id_, "user": "u1", "events": events}


def faults_of(url, sent, doubtful):
    """Yield what is wrong with a database.

    Args:
        url (str): The database.
        sent (list of dict): Messages that were acknowledged.
        doubtful (list of dict): Those that may be there.
    """
    there = collections.Counter(row.answer for row in feedback.read(url))
    for message in sent:
        if there[message["id"]] < len(message["events"]):
            yield f"lost: {there[message['id']]} of {len(message['events'])} rows"
    for message in (*sent, *doubtful):
        if there[message["id"]] > len(message["events"]):
            yield "stored twice"
    for message in doubtful:
        if 0 < there[message["id"]] < len(message["events"]):
            yield "stored in part"
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.partition("///")[2])) as file:
            said = file.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            yield f"damaged: {said}"


def measure(times, seed, url=None, longest=1.0, how=signal.SIGKILL, status=-9):
    """Stop a service under load so many times; return how many faults there were, after
    printing them and a line of figures.

    Args:
        times (int): How many times.
        seed (int): Of the moments and the messages.
        url (str, optional): The database, by default a file of SQLite.
        longest (float): Seconds until it is stopped, at most, from the first answer on.
        how (signal.Signals): How it is stopped.
        status (int): How its process must end.
    """
    rng, sent, faults, n_doubtful = random.Random(seed), [], 0, 0
    doubtful = [None] * _CLIENTS
    with tempfile.TemporaryDirectory() as home:
        home, seen = Path(home), 0
        url = url or f"sqlite:///{home}/feedback.db"
        model = shops.shop("BM25").save(home / "shop")
        feedback.connect(url).dispose()
        for time_ in tqdm(range(times), desc="kills", disable=None):
            service = Service(home, model, url)
            clients = [
                Client(service.port, each, random.Random(f"{seed} {time_} {n}"))
                for n, each in enumerate(doubtful)
            ]
            for client in clients:
                client.start()
            until = time.monotonic() + 60
            while not any(client.acknowledged for client in clients):
                time.sleep(0.005)
                if time.monotonic() > until:
                    raise TimeoutError((home / "service.txt").read_text()[-2000:])
            time.sleep(rng.uniform(0, longest))
            ended = service.end(how)
            for client in clients:
                client.join(60)
                sent += client.acknowledged
            doubtful = [client.doubtful for client in clients]
            n_doubtful += sum(each is not None for each in doubtful)
            found = [said for client in clients for said in client.wrong]
            found += [f"ended with {ended}"] * (ended != status)
            found += faults_of(url, sent[seen:], filter(None, doubtful))
            seen = len(sent)
            for fault in found:
                tqdm.write(f"{time_}: {fault}")
            faults += len(found)
        found = [*faults_of(url, sent, [])]  # earlier ones, too, are still there
        faults += len(found)
    print(
        f"{times} kills: {len(sent):,} messages acknowledged, {n_doubtful} in doubt, "
        f"which the next service was sent again; faults: {faults}",
        flush=True,
    )
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgresql", action="store_true", help="start a server")
    args = parser.parse_args()
    if not args.postgresql:
        return 1 if measure(args.times, args.seed) else 0
    with postgres.running() as server:
        return 1 if measure(args.times, args.seed, server.url) else 0


if __name__ == "__main__":
    sys.exit(main())
