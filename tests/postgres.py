"""A PostgreSQL server for tests, where its programs are installed."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path


def programs():
    """Return the folder of ``initdb`` and ``pg_ctl``, None where there is none."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return folders[-1].parent if folders else None


class Postgres:
    """A server with an empty database, on a free port of this machine.

    Attributes:
        url (str): Its address.
    """

    def __init__(self, folder):
        self._folder = Path(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        if os.geteuid() == 0:  # as whom it refuses to run
            shutil.chown(folder, "postgres")
        self._call(
            "initdb", "-D", f"{folder}/data", "-N", "-A", "trust", "-U", "postgres"
        )

    def start(self):
        """Start it, and wait until it answers."""
        log = f"{self._folder}/log"
        self._control("start", "-w", "-l", log, "-o", self._options)

    def stop(self):
        """Stop it, whoever is connected."""
        self._control("stop", "-w", "-m", "immediate")

    def _control(self, *arguments):
        self._call("pg_ctl", "-D", f"{self._folder}/data", *arguments)

    def _call(self, program, *arguments):
        command = [str(programs() / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(
            command,
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open in the server
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def running():
    """Yield a running :class:`Postgres`."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop()
