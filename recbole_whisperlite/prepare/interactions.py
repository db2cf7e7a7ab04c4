"""The interactions' table: which rows count, when they were and what was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.dates import unix_time

if TYPE_CHECKING:
    from recbole_whisperlite.prepare.catalogue import Catalogue
    from recbole_whisperlite.prepare.mapping import Table

_SHOWN = 5


class Interactions:
    """The lines of ``.inter``, and of ``.request`` if the texts stand here, too.

    Args:
        table (Table): The section ``interactions``.
        catalogue (Catalogue): After its rows have been written.

    Attributes:
        types (dict): ``{column of .inter: type}``.
        requests (dict or None): The ids that have a text; None if texts stand here.
        history (int): How many lines have no request.
        dropped (dict): How many rows were not written, by reason.
    """

    def __init__(self, table: Table, catalogue: Catalogue):
        self.table, self.catalogue = table, catalogue
        self.requests, self.history = None, 0
        self._asks = {"request_id", "request"} & {*table.columns}
        self.types = {"user_id": "token", "item_id": "token"}
        if self._asks:
            self.types["request_id"] = "token"
        for column, kind in (("timestamp", "float"), ("outcome", "token")):
            if column in table.columns:
                self.types[column] = kind
        self._drops = table.settings["missing_items"] == "drop"
        self._forget()

    def _forget(self):
        self.dropped = dict.fromkeys(("is not in", "has no text in"), 0)
        self._missing = {}  # {item id: why}, of those that were dropped
        self._first = None  # row and item of the first

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the lines of ``.inter``."""
        for values in self._checked():
            self.history += bool(self._asks) and not values["request_id"]
            yield tuple(values[column] for column in self.types)

    def own_requests(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of ``.request``, from a column of the interactions."""
        number = 0
        for values in self._checked():
            if values["request_id"] and values["request_id"] > number:
                number = values["request_id"]
                yield number, values["request"]

    def _checked(self):
        """Yield checked rows, ``{our name: value}``, with a request_id, possibly empty."""
        table = self.table
        number = _RequestNumbers() if "request" in table.columns else None
        self._forget()
        row = None
        for row, values in table:
            table.need(row, values, "user_id")
            item = table.need(row, values, "item_id")
            if not self.catalogue.texts.get(item):
                self._drop(row, item)
                continue
            if number is not None:
                values["request_id"] = number(values)
            elif self.requests is not None and values["request_id"]:
                self._check_request(row, values["request_id"])
            if "timestamp" in table.columns:
                values["timestamp"] = self._seconds(row, values)
            yield values
        if row is None:
            raise UserError(f"{table.path}: this file has no rows.")
        if self._missing and not self._drops:
            raise self._missing_items()

    def _drop(self, row, item):
        reason = "has no text in" if item in self.catalogue.texts else "is not in"
        self.dropped[reason] += 1
        self._missing[item] = reason
        self._first = self._first or (row, item)

    def _missing_items(self):
        row, item = self._first
        return UserError(
            f"{self.table.where(row)}: the item '{item}' {self._missing[item]} the "
            f"items' file. Complete {self.catalogue.table.path}, or set missing_items: "
            "drop under interactions, which leaves out and counts such rows: here "
            f"{self._how_many()}. Ids are compared as text."
        )

    def _how_many(self):
        return f"{sum(self.dropped.values()):,}, of the items {_some(self._missing)}"

    def left_out(self) -> Iterator[str]:
        """Yield sentences about the rows that were dropped."""
        file = self.catalogue.table.path.name
        for reason, count in self.dropped.items():
            if count:
                items = [item for item, why in self._missing.items() if why == reason]
                yield (
                    f"Interactions dropped: {count:,}. Each of their items {reason} "
                    f"{file}: {_some(items)}."
                )

    def _check_request(self, row, request):
        if request not in self.requests:
            raise UserError(
                f"{self.table.where(row)}: the request '{request}' is "
                "not in the requests' file. Add its text there, or leave the "
                "request_id empty for an interaction without a request."
            )

    def check(self, lines: int) -> None:
        """Raise a UserError if no line, or none with a request, was written.

        Args:
            lines (int): How many were written.
        """
        table = self.table
        if not lines:
            raise UserError(
                f"{table.path}: no row is left. Dropped: {self._how_many()}, which "
                f"are not in {self.catalogue.table.path} or have no text there. Ids are "
                "compared as text."
            )
        if self.history == lines:
            own = "request" in table.columns
            column = table.columns["request" if own else "request_id"]
            mapped = "request" if own else "request_id and the section requests"
            dropped = f" Dropped: {self._how_many()}." if self._missing else ""
            raise UserError(
                f"{table.path}: no row has a request: the column "
                f"'{column}' is empty throughout, so there would be no queries to rank."
                f"{dropped} Leave {mapped} out of the mapping to compose requests at "
                "run time."
            )

    def _seconds(self, row, values):
        text = self.table.need(row, values, "timestamp")
        forms = self.table.settings["date_format"]
        number = None if forms else self.table.numbers.read(text)
        if number is not None:
            return number
        try:
            return unix_time(text, forms)
        except ValueError as error:
            remedy = (
                "Correct the row or date_format, which may be a list; without it, dates "
                "are as 2024-05-31 18:30:00."
                if forms
                else 'For another form set date_format, such as "%d.%m.%Y %H:%M", under '
                "interactions."
            )
            raise UserError(
                f"{self.table.where(row)}: the timestamp '{text}' (column "
                f"'{self.table.columns['timestamp']}') {error}. {remedy}"
            ) from None


def _some(ids):
    """Return the first few of many ids, and how many more there are."""
    shown = ", ".join(f"'{id_}'" for id_ in [*ids][:_SHOWN])
    more = len(ids) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


class _RequestNumbers:
    """Numbers, from 1, for requests whose text is in the interactions."""

    def __init__(self):
        self._number = {}

    def __call__(self, values):
        """Return the number of a row's request, one per user, text and time."""
        if not values["request"]:
            return ""
        key = "\0".join(
            (values["user_id"], values["request"], values.get("timestamp", ""))
        )
        digest = hashlib.blake2b(key.encode(), digest_size=12).digest()
        return self._number.setdefault(digest, len(self._number) + 1)
