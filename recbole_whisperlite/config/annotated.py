"""The annotated yaml files in ``properties/`` as one table of settings.

A line ``name: default  # (type) Meaning, ranging in [0, 1).`` says all there is to know of
a setting: RecBole takes the default from it, docs/settings.md shows it, and
:mod:`recbole_whisperlite.config.values` checks what users set by it.
"""

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

from recbole_whisperlite.paths import PROPERTIES

OVERALL = PROPERTIES / "overall.yaml"
_LINE = re.compile(r"((?: {2})*)(\w+):\s*(.*?)\s*# \((.+?)\) (.*)")
_RANGE = re.compile(r"ranging in ([\[(].*?[\])])(?=[\s.,;:]|$)")


@dataclass(frozen=True)
class Setting:
    """What an annotated yaml file says of a setting.

    Args:
        name (str): The key.
        default (str): As written; empty where a block follows.
        kind (str): The types, such as ``list of int`` or ``float or None``.
        meaning (str): What the setting does.
        entries (dict): The annotated keys of a dict, by name; empty for other types and
            for a dict whose keys are not annotated.
    """

    name: str
    default: str
    kind: str
    meaning: str
    entries: dict[str, "Setting"] = field(default_factory=dict)

    @property
    def accepted(self) -> str | None:
        """The range or the list of values as written, such as ``[0, 1)``; None: any."""
        match = _RANGE.search(self.meaning)
        return match.group(1) if match else None


@functools.cache
def read_settings(path: Path) -> dict[str, Setting]:
    """Return the annotated settings of a yaml file by name, in the order of the file."""
    levels = [{}]  # the settings around the next line, from the outermost
    for line in path.read_text("utf-8").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        indent, *parts = match.groups()
        setting = Setting(*parts)
        del levels[1 + len(indent) // 2 :]
        levels[-1][setting.name] = setting
        levels.append(setting.entries)
    return levels[0]
