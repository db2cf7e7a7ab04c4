"""The arguments of a question, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from recbole_whisperlite.data.negation import split_refusals
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.catalogue import id_of, is_list
from recbole_whisperlite.recommend.pictures import PictureEncoder
from recbole_whisperlite.recommend.scorer import Asked
from recbole_whisperlite.recommend.state import State


class Question(NamedTuple):
    """One request or several.

    Attributes:
        requests (list of str): The texts; "" where there is none.
        users (list of (str or None)): Who asks.
        histories (list of numpy.ndarray): Rows of the catalogue, int64.
        pictures (numpy.ndarray or None): As in :class:`Asked`.
        notes (list of list of str): For the answers.
        several (bool): Whether lists were given.
    """

    requests: list[str]
    users: list[str | None]
    histories: list[np.ndarray]
    pictures: np.ndarray | None
    notes: list[list[str]]
    several: bool

    def __len__(self):
        return len(self.requests)

    def part(self, start: int, stop: int) -> Question:
        """Return some of the requests."""
        rows = slice(start, stop)
        pictures = None if self.pictures is None else self.pictures[rows]
        return Question(
            self.requests[rows],
            self.users[rows],
            self.histories[rows],
            pictures,
            self.notes[rows],
            self.several,
        )

    def asked(self) -> Asked:
        """Return what the model needs."""
        return Asked(self.requests, self.histories, self.pictures)


def question(
    state: State,
    encoder: PictureEncoder,
    request: object,
    user: object,
    history: object,
    image: object,
) -> Question:
    """Check the arguments of :meth:`Recommender.recommend`.

    Raises:
        UserError: If one is wrong.
    """
    several = any(map(is_list, (request, user, image)))
    n = len(next(filter(is_list, (request, user, image)))) if several else 1
    originals = _each(request, n, "request")
    requests = [_text(each) for each in originals]
    users = [_user(each) for each in _each(user, n, "user")]
    images = _each(image, n, "image")
    histories, notes = [], [[] for _ in range(n)]
    for row, given in enumerate(_histories(history, n, several)):
        if given is not None:
            histories.append(state.catalogue.rows(given, "history"))
            continue
        histories.append(state.history(users[row]))
        if not is_known(state, users[row]):
            notes[row].append(unknown(state, users[row]))
    pictures = None
    if any(each is not None for each in images):
        if not state.scorer.knows_pictures:
            raise UserError(
                f"This {state.scorer.kind} knows no pictures. Train it with use_image: "
                "True, and export it again."
            )
        pictures = encoder.encode(images)
    for row, text in enumerate(requests):
        if not text and originals[row] is not None and images[row] is None:
            notes[row].append("The request is blank: ranked by all but its text.")
        ruled_out = "" if state.scorer.splits_requests else split_refusals(text)[1]
        if ruled_out:
            notes[row].append(
                f"{state.scorer.kind} does not understand that '{ruled_out}' is ruled out."
            )
    return Question(requests, users, histories, pictures, notes, several)


def is_known(state: State, user: str | None) -> bool:
    """Return whether a user is known, or nobody is named."""
    return user is None or (state.users is not None and user in state.users)


def unknown(state: State, user: str) -> str:
    """Return the sentence that says that a user is unknown."""
    if state.users is None:
        return f"The user '{user}' is unknown: this model was exported without users."
    # no ids of others: a note may be shown to whoever asked
    return f"The user '{user}' is unknown; the model has {len(state.users)} users."


def allowed(
    state: State,
    exclude: Iterable[str],
    among: Iterable[str] | None,
    where: Mapping[str, object] | None,
) -> np.ndarray:
    """Return which items may be found, bool ``[n_items]``.

    Raises:
        UserError: If an item or column is unknown, or a condition is wrong.
    """
    result = np.ones(len(state.catalogue), dtype=bool)
    if among is not None:
        result[:] = False
        result[state.catalogue.rows(among, "among")] = True
    if where is not None:
        result &= state.catalogue.where(where)
    result[state.catalogue.rows(exclude, "exclude")] = False
    return result


def positive(value: object, what: str) -> int:
    """Return a number of at least 1.

    Raises:
        UserError: If it is none.
    """
    is_number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_number or value < 1:
        raise UserError(f"{what} must be a whole number above 0, not {value!r}.")
    return int(value)


def _each(value, n, what):
    """Return the value of each request."""
    if not is_list(value):
        return [value] * n
    if len(value) != n:
        raise UserError(
            f"There are {n} requests, but {what} is a list of {len(value)}."
        )
    return list(value)


def _histories(value, n, several):
    if value is None or not several:
        return [value] * n
    fine = is_list(value) and all(each is None or is_list(each) for each in value)
    if not fine:
        raise UserError(
            "With several requests, history must be a list with a list of item ids (or "
            f"None) for each, not {value!r}."
        )
    return _each(value, n, "history")


def _text(value):
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(
            f"A request must be a text, not {value!r} ({type(value).__name__})."
        )
    # half a surrogate pair, which cannot be encoded or stored, becomes a question mark
    text = value.encode("utf-8", "replace").decode("utf-8")
    return text if text.strip() else ""


def _user(value):
    if value is None:
        return None
    try:
        return id_of(value)
    except (TypeError, ValueError):
        raise UserError(
            f"A user must be an id, not {value!r} ({type(value).__name__})."
        ) from None


def choice_of(user: object, request: object) -> tuple[str, str]:
    """Return the user and the request of :meth:`Recommender.record`, checked.

    Raises:
        UserError: If one has the wrong type, or there is no user.
    """
    user = _user(user)
    if not user:
        raise UserError("record needs the id of a user.")
    return user, _text(request)
