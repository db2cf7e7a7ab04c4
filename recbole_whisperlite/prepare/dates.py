"""Moments as Unix times, from dates in the form that a mapping names."""

import datetime
import functools
import re

_UTC = datetime.timezone.utc
_EXAMPLE = datetime.datetime(2024, 3, 31, 18, 30, 59, tzinfo=_UTC)


def format_problem(form: str) -> str | None:
    """Return what is wrong with a ``date_format``, or None."""
    if "%" not in form:
        return (
            "it has no % codes; day, month, year, hour and minute are %d, %m, %Y, %H "
            "and %M"
        )
    try:
        read = datetime.datetime.strptime(_EXAMPLE.strftime(form), form)
    except re.error:  # strptime makes a regular expression of it
        return "it has a code twice; the month is %m, minutes are %M"
    except ValueError as error:
        return str(error)
    if (read.year, read.month) != (_EXAMPLE.year, _EXAMPLE.month):
        return "it has no year or no month, so that dates cannot be put in order"
    return None


@functools.lru_cache(maxsize=1 << 16)  # parsing is slow, and dates recur
def unix_time(text: str, forms: tuple[str, ...] = ()) -> str:
    """Return a date as seconds since 1970, UTC unless it has an offset.

    Args:
        text (str): The date.
        forms (tuple of str): Forms for :meth:`datetime.datetime.strptime`, of which the
            first that fits counts. If empty, ISO 8601.

    Returns:
        str: Such as ``"1710268200"``.

    Raises:
        ValueError: If the date fits no form, or there is no such day; the message says
            which, as the end of a sentence that begins with the date.
    """
    if not forms:
        try:
            moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(
                "is neither a number nor a date such as 2024-05-31 18:30:00"
            ) from None
    else:
        moment = _parse(text, forms)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_UTC)
    return repr(moment.timestamp()).removesuffix(".0")


def _parse(text, forms):
    no_such_day = None
    for form in forms:
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError as error:
            reason = str(error)
            if "does not match" not in reason and "unconverted data" not in reason:
                no_such_day = reason
    if no_such_day:
        raise ValueError(f"does not exist ({no_such_day})")
    raise ValueError(f"does not fit date_format: {' or '.join(map(repr, forms))}")
