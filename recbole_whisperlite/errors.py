"""The exception for errors that the user can fix."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Invalid input or setting, reported so that the user knows what to change.

    The message says what was found, where, what is accepted and what to do. The
    command line prints only the message, without a traceback.
    """


def did_you_mean(name: object, accepted: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest accepted name, or ``""``.

    Args:
        name (object): What the user wrote; compared as text.
        accepted (iterable of str): The names that exist.
    """
    by_lower_case = {other.lower(): other for other in accepted}
    close = difflib.get_close_matches(str(name).lower(), by_lower_case, n=1)
    return f" Did you mean '{by_lower_case[close[0]]}'?" if close else ""
