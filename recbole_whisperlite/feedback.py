"""What shoppers said of the products that they were shown, in a database.

SQLite or PostgreSQL, through SQLAlchemy (extra ``serve``). A row is one product of one
answer. Rows are only ever added: what holds for a shopper and a product is what was said
last.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy import Engine

#: What can be said of a product. The last takes back what was said before.
OUTCOMES = ("shown", "kept", "tried", "not_tried", "withdrawn")
#: Those that make a product part of a shopper's history.
WANTED = ("kept", "tried")

_SQLITE, _POSTGRESQL = "sqlite", "postgresql"
# What a transaction writes: it is what has come while the last was written.
_MOST_AT_ONCE = 200
_PATIENCE = 30  # seconds, for another process that writes to the same SQLite file
_CONNECT = {_SQLITE: {}, _POSTGRESQL: {"connect_timeout": 5}}


class Row(NamedTuple):
    """A shopper's word on a product.

    Attributes:
        id (str): Of the event; one that is sent twice is stored once.
        time (float): When it arrived, Unix seconds.
        user (str): Who.
        request (str): What was asked for; "" for nothing.
        item (str): The product.
        outcome (str): One of :data:`OUTCOMES`.
        answer (str): The answer that showed it; "" if unknown.
        model (str): Whose answer; "" if unknown.
        rank (int or None): The product's place in it, from 1.
    """

    id: str
    time: float
    user: str
    request: str
    item: str
    outcome: str
    answer: str = ""
    model: str = ""
    rank: int | None = None


_TRIAL = Row("trial", 0.0, "", "", "", OUTCOMES[0])  # is never stored


class Away(Exception):
    """The database does not answer, or does not take what is to be stored; the message
    says why."""


class Judged(NamedTuple):
    """What a shopper has said, the last word on each product.

    Attributes:
        outcomes (dict): ``{item: outcome}``, in the order in which it was said.
    """

    outcomes: dict[str, str]

    @property
    def wanted(self) -> list[str]:
        """list of str: What was kept or tried, oldest first."""
        return [item for item, said in self.outcomes.items() if said in WANTED]

    @property
    def unwanted(self) -> list[str]:
        """list of str: What was not even tried."""
        return [item for item, said in self.outcomes.items() if said == "not_tried"]


def connect(url: str, create: bool = True) -> Engine:
    """Return the database of an address.

    Args:
        url (str): ``sqlite:///feedback.db`` (``sqlite:////var/shop/feedback.db`` for an
            absolute path) or ``postgresql+psycopg://user@host/database``.
        create (bool): Whether to make the file and the table where there is none.

    Raises:
        UserError: If there is no such database, or a library for it is missing.
    """
    try:
        import sqlalchemy
        from sqlalchemy.engine import make_url
    except ImportError:
        raise UserError(
            "Feedback is stored through SQLAlchemy, which is not installed: pip install "
            "'recbole-whisperlite[serve]'."
        ) from None
    try:
        address = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UserError(
            f"'{shown(url)}' is no address of a database. {_ACCEPTED}"
        ) from None
    if address.drivername == _POSTGRESQL:
        address = address.set(drivername="postgresql+psycopg")
    name = shown(url)
    if address.get_backend_name() not in (_SQLITE, _POSTGRESQL):
        raise UserError(f"{name}: this kind of database is not supported. {_ACCEPTED}")
    if address.get_backend_name() == _SQLITE:
        if address.database in (None, "", ":memory:"):
            raise UserError(f"{name}: feedback is kept in a file. {_ACCEPTED}")
        if not create and not os.path.isfile(address.database):
            raise UserError(f"{name}: there is no such file.")
    try:
        engine = sqlalchemy.create_engine(
            address,
            pool_pre_ping=True,  # the database may have been away
            hide_parameters=True,  # what was asked for is nobody's business
            connect_args=_CONNECT[address.get_backend_name()],
        )
        if address.get_backend_name() == _SQLITE:
            sqlalchemy.event.listen(engine, "connect", _prepare_sqlite)
        if create:
            _table().metadata.create_all(engine)
            with engine.connect() as connection:  # can it be written to?
                connection.execute(_table().insert().values(**_TRIAL._asdict()))
                connection.rollback()
        elif not sqlalchemy.inspect(engine).has_table(_table().name):
            engine.dispose()
            raise UserError(f"{name}: there is no feedback in it, no table {_table()}.")
        with engine.connect() as connection:
            connection.execute(_table().select().limit(1)).all()
    except ImportError as error:
        raise UserError(
            f"{name}: {error}. For PostgreSQL: pip install 'psycopg[binary]'."
        ) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise _unusable(url, error) from None
    return engine


_ACCEPTED = (
    "Accepted are sqlite:///feedback.db, a file, and "
    "postgresql+psycopg://user@host/database."
)


def shown(url: str) -> str:
    """Return the address of a database without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return f"{url.partition('://')[0]}://…" if "@" in url else url


def _unusable(url, error):
    return UserError(
        f"{shown(url)}: this database cannot be used ({_reason(error)}). {_ACCEPTED}"
    )


def _reason(error):
    """Return what a database says, without what was to be stored."""
    return " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())


def _prepare_sqlite(connection, _):
    cursor = connection.cursor()
    # readers do not wait for the writer; each commit is on the disk when it returns
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000}")
    cursor.close()


@functools.cache
def _table():
    """Return the table; SQLAlchemy is imported only when it is needed."""
    import sqlalchemy as sql

    number = sql.BigInteger().with_variant(sql.Integer, _SQLITE)
    return sql.Table(
        "whisperlite_feedback",
        sql.MetaData(),
        sql.Column("number", number, primary_key=True, autoincrement=True),
        sql.Column("id", sql.Text, nullable=False, unique=True),
        sql.Column("time", sql.Double, nullable=False),
        sql.Column("user", sql.Text, nullable=False),
        sql.Column("request", sql.Text, nullable=False),
        sql.Column("item", sql.Text, nullable=False),
        sql.Column("outcome", sql.Text, nullable=False),
        sql.Column("answer", sql.Text, nullable=False),
        sql.Column("model", sql.Text, nullable=False),
        sql.Column("rank", sql.Integer),
        sql.Index("whisperlite_feedback_said", "user", "outcome"),
    )


class Feedback:
    """Stores feedback, and knows what a shopper has said.

    One thread writes: what arrives while a transaction is under way is written by the
    next one, together. It is safe to use from several threads.

    Args:
        url (str): As for :func:`connect`.

    Raises:
        UserError: As by :func:`connect`.
    """

    def __init__(self, url: str):
        self._engine = connect(url)
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()
        self._writer = threading.Thread(
            target=self._write_all, name="feedback", daemon=True
        )
        self._writer.start()

    def add(self, rows: Sequence[Row]) -> Future:
        """Store rows, all or none.

        Args:
            rows (list of Row): What was said.

        Returns:
            concurrent.futures.Future: Done when the rows are on the disk; it raises
            :class:`Away` if they are not.
        """
        done = Future()
        self._waiting.put((list(rows), done))
        return done

    def judged(self, users: Collection[str]) -> dict[str, Judged]:
        """Return what shoppers have said, by shopper.

        Raises:
            Away: If the database does not answer.
        """
        from sqlalchemy.exc import SQLAlchemyError

        table, users = _table(), list(users)
        said = (
            table.select()
            .with_only_columns(table.c.user, table.c.item, table.c.outcome)
            .where(table.c.user.in_(users), table.c.outcome.in_(OUTCOMES[1:]))
            .order_by(table.c.number)
        )
        judged = {user: Judged({}) for user in users}
        try:
            with self._engine.connect() as connection:
                for user, item, outcome in connection.execute(said):
                    # the order is that of the last words
                    judged[user].outcomes.pop(item, None)
                    judged[user].outcomes[item] = outcome
        except SQLAlchemyError as error:
            raise Away(_reason(error)) from None
        return judged

    def is_there(self) -> bool:
        """Return whether the database answers."""
        import sqlalchemy

        try:
            with self._engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))
            return self._writer.is_alive()
        except sqlalchemy.exc.SQLAlchemyError:
            return False

    def close(self) -> None:
        """Write what is waiting, and let go of the database."""
        self._waiting.put(None)
        self._writer.join()
        self._engine.dispose()

    def _write_all(self):
        while (first := self._waiting.get()) is not None:
            jobs = [first]
            with contextlib.suppress(queue.Empty):
                while len(jobs) < _MOST_AT_ONCE:
                    jobs.append(self._waiting.get_nowait())
            self._write(
                [
                    job
                    for job in jobs
                    # not what nobody waits for any more, as its client has gone
                    if job is not None and job[1].set_running_or_notify_cancel()
                ]
            )
            if None in jobs:
                return

    def _write(self, jobs):
        from sqlalchemy.exc import InterfaceError, OperationalError

        try:
            self._insert([row for rows, _ in jobs for row in rows])
        except Exception as error:
            is_away = isinstance(error, (InterfaceError, OperationalError))
            if len(jobs) > 1 and not is_away:
                for job in jobs:
                    self._write([job])  # whose rows they are that cannot be written
                return
            for _, done in jobs:
                done.set_exception(Away(_reason(error)))
        else:
            for _, done in jobs:
                done.set_result(None)

    def _insert(self, rows):
        if not rows:
            return
        from sqlalchemy.dialects import postgresql, sqlite

        dialect = sqlite if self._engine.dialect.name == _SQLITE else postgresql
        insert = dialect.insert(_table()).on_conflict_do_nothing(index_elements=["id"])
        with self._engine.begin() as connection:
            connection.execute(insert, [row._asdict() for row in rows])


def read(url: str, outcomes: Sequence[str] = OUTCOMES) -> Iterator[Row]:
    """Yield what is stored, in the order in which it came.

    Args:
        url (str): As for :func:`connect`.
        outcomes (list of str): Which rows.

    Raises:
        UserError: As by :func:`connect`.
    """
    from sqlalchemy.exc import SQLAlchemyError

    engine, table = connect(url, create=False), _table()
    rows = (
        table.select()
        .with_only_columns(*(table.c[name] for name in Row._fields))
        .where(table.c.outcome.in_(outcomes))
        .order_by(table.c.number)
    )
    try:
        with engine.connect().execution_options(yield_per=10_000) as connection:
            for row in connection.execute(rows):
                yield Row(*row)
    except SQLAlchemyError as error:
        raise _unusable(url, error) from None
    finally:
        engine.dispose()


def now() -> float:
    """Return the time, Unix seconds."""
    return time.time()
