"""Whether values of settings are what the annotated yaml files accept."""

import ast
import functools
import re
from typing import Annotated, Any, Union

from pydantic import Field, Strict, StringConstraints, TypeAdapter, ValidationError

from recbole_whisperlite.config.annotated import Setting
from recbole_whisperlite.errors import UserError, did_you_mean

# What numbers of rows, items and epochs fit in, whatever a range says.
_LARGEST_INT = 2**31 - 1
_TYPES = {"bool": bool, "int": int, "float": float, "str": str, "dict": dict}
_BOUNDS = re.compile(r"([\[(])(\S+), (\S+)([\])])")


def check_values(settings: dict[str, Any], table: dict[str, Setting]) -> None:
    """Raise an error for the first setting whose value is not accepted.

    Args:
        settings (dict): Values by name; names that are not in the table are not checked.
        table (dict): What is accepted.

    Raises:
        UserError: If a value has another type than the table says or is out of its range,
            or a dict has a key that nothing would read.
    """
    for name, setting in table.items():
        if name in settings:
            _check(name, settings[name], setting)


def _check(name, value, setting):
    if hasattr(value, "item"):  # a number of numpy, as hyperopt draws them
        value = value.item()
    if isinstance(value, tuple):
        value = list(value)
    try:
        _adapter(setting).validate_python(value)
    except ValidationError:
        choices = _choices(setting.accepted) or ()
        near = did_you_mean(value, choices) if isinstance(value, str) else ""
        if isinstance(value, str) and value[:1] in ("{", "["):
            near = " On the command line, texts in it need quotes: {'mode': 'full'}."
        raise UserError(
            f"{name} is {value!r}; it must be {in_words(setting)}.{near}"
        ) from None
    if not (isinstance(value, dict) and setting.entries):
        return
    for key in value:
        if key not in setting.entries:
            raise UserError(
                f"{name} has no '{key}'.{did_you_mean(key, setting.entries)} It may have "
                f"{', '.join(setting.entries)}."
            )
    for key, entry in setting.entries.items():
        if key in value:
            _check(f"{name}: {key}", value[key], entry)


def in_words(setting: Setting) -> str:
    """Return what a setting accepts, such as ``an integer from 1 to 10 or None``."""
    kinds = _kinds(setting)
    phrases = [
        (
            "a list of such"
            if kind.removeprefix("list of ") in kinds[:place]
            else _phrase(kind, setting.accepted)
        )
        for place, kind in enumerate(kinds)
    ]
    return " or ".join(phrases)


def _kinds(setting):
    kinds = setting.kind.split(" or ")
    if setting.default in ("~", "None") and "None" not in kinds:
        kinds.append("None")
    return kinds


def _phrase(kind, accepted):
    if kind.startswith("list of "):
        kind = kind.removeprefix("list of ")
        return f"a list in which each is {_phrase(kind, accepted)}"
    if kind == "str" and _choices(accepted):
        *others, last = _choices(accepted)
        return " or ".join([", ".join(others), last] if others else [last])
    noun = {"int": "an integer", "float": "a number", "bool": "True or False"}.get(kind)
    if kind not in ("int", "float"):
        return noun or {"str": "non-empty text", "None": "None (~ in yaml)"}.get(
            kind, f"a {kind}"
        )
    left, low, high, right = _BOUNDS.fullmatch(accepted or "(-inf, inf)").groups()
    if (low, high) == ("-inf", "inf"):
        return noun
    if high == "inf":
        return f"{noun} of at least {low}" if left == "[" else f"{noun} above {low}"
    start = f"from {low}" if left == "[" else f"above {low}"
    return f"{noun} {start} {'up to' if right == ']' else 'to just below'} {high}"


@functools.cache
def _adapter_of(kinds, accepted):
    return TypeAdapter(Union[tuple(_type(kind, accepted) for kind in kinds)])


def _adapter(setting):
    return _adapter_of(tuple(_kinds(setting)), setting.accepted)


def _type(kind, accepted):
    """Return a type as pydantic checks it, without converting anything."""
    if kind == "None":
        return None
    if kind == "list":
        return list
    if kind.startswith("list of "):
        return list[_type(kind.removeprefix("list of "), accepted)]
    if kind == "str" and _choices(accepted):
        # "uniN" stands for uni100 and the like
        patterns = [re.sub("N$", r"[1-9]\\d{0,8}", each) for each in _choices(accepted)]
        return Annotated[str, StringConstraints(pattern=f"^({'|'.join(patterns)})$")]
    if kind in ("int", "float"):
        finite = {"allow_inf_nan": False} if kind == "float" else {}
        bounds = Field(**_bounds(kind, accepted), **finite)
        return Annotated[_TYPES[kind], Strict(), bounds]
    if kind == "str":
        return Annotated[str, Strict(), StringConstraints(min_length=1)]
    return Annotated[_TYPES[kind], Strict()]


def _choices(accepted):
    """Return the texts of ``['a', 'b']``, or None for a range."""
    if accepted is None or "'" not in accepted:
        return None
    return tuple(ast.literal_eval(accepted))


def _bounds(kind, accepted):
    """Return a range such as ``[0, 1)`` by the names that pydantic has for its ends."""
    bounds = {"le": _LARGEST_INT} if kind == "int" else {}
    if accepted is None:
        return bounds
    left, low, high, right = _BOUNDS.fullmatch(accepted).groups()
    number = int if kind == "int" else float
    if low != "-inf":
        bounds["ge" if left == "[" else "gt"] = number(low)
    if high != "inf":
        bounds.pop("le", None)
        bounds["le" if right == "]" else "lt"] = number(high)
    return bounds
