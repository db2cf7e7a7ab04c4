"""How many requests a second a service answers, and how long each takes.

A longer measurement than the tests have time for, as figures for docs/serve.md; it needs
the extra ``load``::

    python tests/service_load.py --model shop-model \
        --requests dataset/stylist-mini/stylist-mini.request --seconds 600

A service with one worker and locust, which asks it, run on this machine and speak over the
loopback interface. Requests come at random times, as those of many shoppers do, and whether
earlier ones were answered or not. Texts are a thousand of the dataset's requests, which come again, as they do in a shop;
with ``--new`` each has a number behind it, so that none was asked before. Half of them come
from a user that the model knows.
"""

import argparse
import csv
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

# gevent patches the standard library: only the process that asks may import it
if __name__ != "__main__":
    import gevent
    from locust import FastHttpUser, task

    JOB = json.loads(Path(os.environ["SERVICE_LOAD"]).read_text("utf-8"))

    class Shopper(FastHttpUser):
        """Asks for ten products, again and again."""

        def on_start(self):
            self._due = time.monotonic()
            gevent.sleep(self.wait_time())

        def wait_time(self):
            """Return the seconds until the next request of a Poisson process."""
            self._due += random.expovariate(JOB["each"])
            return max(0, self._due - time.monotonic())

        @task
        def ask(self):
            text = random.choice(JOB["texts"])
            if JOB["new"]:
                text += f" {random.randrange(10**9)}"
            body = {"request": text, "k": 10, "columns": ["title"]}
            if JOB["users"] and random.random() < 0.5:
                body["user"] = random.choice(JOB["users"])
            with self.client.post(
                "/v1/recommend", json=body, catch_response=True
            ) as answer:
                if answer.status_code != 200:
                    answer.failure(f"{answer.status_code} {answer.text[:200]}")
                elif len(answer.json()["answers"][0]["items"]) != 10:
                    answer.failure("not ten products")


def main():
    args = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        service, address = _start(args, folder)
        try:
            users = json.loads(_get(f"{address}/v1/users?limit=100"))
            _ask(args, address, users, folder, seconds=20)  # warm
            before = _measured(address)
            _ask(args, address, users, folder, args.seconds)
            after = _measured(address)
        finally:
            service.terminate()
            service.wait()
        with open(Path(folder, "load_stats.csv"), newline="") as file:
            (of_all,) = [
                row for row in csv.DictReader(file) if row["Name"] == "Aggregated"
            ]
    print(
        f"{float(of_all['Requests/s']):.0f} requests a second for {args.seconds} s, "
        f"{of_all['Failure Count']} of {of_all['Request Count']} failed; ms: "
        f"p50 {of_all['50%']}, p95 {of_all['95%']}, p99 {of_all['99%']}, "
        f"most {float(of_all['Max Response Time']):.0f}; "
        f"memory {before['memory'] / 2**20:.0f} MB before, "
        f"{after['memory'] / 2**20:.0f} MB after; "
        f"{1000 * (after['cpu'] - before['cpu']) / float(of_all['Request Count']):.1f} ms "
        "of a processor for each request"
    )


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of an exported model")
    parser.add_argument("--requests", type=Path, required=True, help="a .request file")
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--new", action="store_true", help="put a number behind each text"
    )
    parser.add_argument("--shoppers", type=int, default=100, help="how many ask")
    return parser.parse_args()


def _start(args, folder):
    """Start the service; return its process and address."""
    command = [sys.executable, "-m", "recbole_whisperlite", "serve", "--port", "0"]
    command += ["--model", args.model, "--feedback", f"sqlite:///{folder}/feedback.db"]
    service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in service.stderr:
        if found := re.search(r"http://\S+", line):
            return service, found[0]
    sys.exit("The service did not start.")


def _ask(args, address, users, folder, seconds):
    """Let locust ask for some time; its figures are in ``folder``."""
    lines = args.requests.read_text("utf-8").splitlines()
    place = lines[0].split("\t").index("request:token")
    texts = [line.split("\t")[place] for line in lines[1:]]
    job = Path(folder, "job.json")
    of = {"users": users, "each": args.rate / args.shoppers, "new": args.new}
    of["texts"] = random.Random(1).sample(texts, min(len(texts), 1000))
    job.write_text(json.dumps(of), "utf-8")
    environment = {**os.environ, "SERVICE_LOAD": str(job)}
    command = [sys.executable, "-m", "locust", "-f", __file__, "--headless"]
    command += ["--host", address, "-u", str(args.shoppers), "-r", str(args.shoppers)]
    command += ["-t", f"{seconds}s", "--csv", f"{folder}/load", "--only-summary"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "Traceback" in done.stderr:
        sys.exit(done.stderr)


def _get(address):
    with urllib.request.urlopen(address) as response:
        return response.read().decode()


def _measured(address):
    """Return the memory of the service in bytes and its processor time in seconds."""
    text = _get(f"{address}/metrics")
    names = {"memory": "resident_memory_bytes", "cpu": "cpu_seconds_total"}
    return {
        key: float(re.search(rf"^process_{name} (\S+)", text, re.MULTILINE)[1])
        for key, name in names.items()
    }


if __name__ == "__main__":
    main()
