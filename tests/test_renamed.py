"""Names of version 0.1 lead to those of today."""

import importlib

import pytest

from recbole_whisperlite import renamed
from recbole_whisperlite.data.negation import split_refusals
from recbole_whisperlite.evaluation.rank_file import read_ranks


@pytest.mark.parametrize("name", renamed.MODULES)
def test_an_old_module_leads_to_the_new_one_with_a_warning(name, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, f"recbole_whisperlite.{name}", raising=False)
    found = importlib.import_module(f"recbole_whisperlite.{renamed.MODULES[name][0]}")
    with pytest.warns(DeprecationWarning, match=f"is {found.__name__} now"):
        old = importlib.import_module(f"recbole_whisperlite.{name}")
    for was, now in renamed.MODULES[name][1].items():
        assert getattr(old, was) is getattr(found, now)
    with pytest.raises(AttributeError):
        old.never_there


def test_old_names_can_be_imported_from():
    from recbole_whisperlite.data.refusals import split_refusals as old
    from recbole_whisperlite.unit_file import read_units

    assert old is split_refusals and read_units is read_ranks


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="recbole_whisperlite.data.refusal'"):
        importlib.import_module("recbole_whisperlite.data.refusal")


def test_an_old_attribute_warns(tiny, prepare):
    _, _, (_, _, test) = prepare("BPR", tiny)
    with pytest.warns(DeprecationWarning, match="queries now"):
        assert test.units is test.queries
    with pytest.warns(DeprecationWarning, match="positives now"):
        assert test.queries.positive is test.queries.positives
