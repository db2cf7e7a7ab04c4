"""The lower bounds of setup.cfg are the versions that the suite ran with."""

import configparser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
OLDEST = Path(__file__).parent / "constraints-oldest.txt"
#: Extras that a suite on Python 3.10 cannot bring together with all others: RecBole3.0
#: itself is in no index of packages.
ELSEWHERE = {"recbole3"}


def lines(text):
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]


def requirements():
    """What setup.cfg asks for on Python 3.10: ``{name: {requirement, ...}}``."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    extras = setup["options.extras_require"]
    texts = [setup["options"]["install_requires"]]
    texts += [extras[name] for name in extras if name not in ELSEWHERE]
    found = {}
    for line in lines("\n".join(texts)):
        asked = Requirement(line)
        if not asked.marker or asked.marker.evaluate({"python_version": "3.10"}):
            found.setdefault(canonicalize_name(asked.name), set()).add(asked)
    return found


REQUIREMENTS = requirements()
PINNED = {}
for each in lines(OLDEST.read_text("utf-8")):
    pinned_name, _, pinned_version = each.partition("==")
    PINNED[canonicalize_name(pinned_name)] = Version(pinned_version)


def lower(requirement):
    bounds = [each.version for each in requirement.specifier if each.operator == ">="]
    return Version(bounds[0]) if len(bounds) == 1 else None


def test_every_dependency_has_a_line_and_no_other_has_one():
    assert len(PINNED) > 40 and PINNED.keys() == REQUIREMENTS.keys()


@pytest.mark.parametrize("name", sorted(REQUIREMENTS))
def test_the_lower_bound_is_the_version_that_was_tested(name):
    assert {lower(each) for each in REQUIREMENTS[name]} == {PINNED[name]}
