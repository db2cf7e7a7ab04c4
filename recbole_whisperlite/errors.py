"""The one exception that means: the user can fix this."""

import difflib


class UserError(ValueError):
    """Wrong input or setting, told so that the user knows what to change.

    The message says what was found, where, what is accepted and what to do. The
    command line prints it alone, without a traceback.
    """


def did_you_mean(name, accepted):
    """Return `` Did you mean 'x'?`` for the closest accepted name, or ``""``.

    Args:
        name (str): What the user wrote.
        accepted (iterable of str): The names that exist.
    """
    by_lower_case = {other.lower(): other for other in accepted}
    close = difflib.get_close_matches(str(name).lower(), by_lower_case, n=1)
    return f" Did you mean '{by_lower_case[close[0]]}'?" if close else ""
