"""Dates in the form that a mapping names."""

import pytest

from recbole_whisperlite.prepare.dates import format_problem, unix_time

GERMAN = "%d.%m.%Y %H:%M"


def test_dates_become_seconds_by_the_form():
    # 12 March 2024 is day 19,794 after 1 January 1970
    evening = str(19794 * 86400 + 18 * 3600 + 30 * 60)
    assert unix_time("12.03.2024 18:30", (GERMAN,)) == evening
    assert unix_time("2024-03-12 18:30") == evening
    assert unix_time("2024-03-12T19:30+01:00") == evening
    assert unix_time("12.03.2024", (GERMAN, "%d.%m.%Y")) == str(19794 * 86400)
    assert unix_time("03/12/24", ("%m/%d/%y",)) == str(19794 * 86400)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("31.02.2024 18:30", "does not exist"),
        ("12.13.2024 18:30", "does not fit date_format: '%d.%m.%Y %H:%M'"),
        ("12.03.2024", "does not fit"),
        ("12.03.2024 18:30:10", "does not fit"),
    ],
)
def test_a_day_that_is_none_and_a_form_that_does_not_fit_are_told_apart(text, told):
    with pytest.raises(ValueError, match=told):
        unix_time(text, (GERMAN,))


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (GERMAN, None),
        ("%Y-%m-%dT%H:%M:%S%z", None),
        ("%m/%Y", None),
        ("dd.mm.yyyy", "no % codes"),
        ("%d.%m.%Y %H:%m", "minutes are %M"),
        ("%H:%M", "no year or no month"),
        ("%d.%m.", "no year or no month"),
        ("%d.%m.%Q", "'Q' is a bad directive"),
        ("%d.%m.%Y %", "stray %"),
    ],
)
def test_a_form_is_checked_before_any_date(form, problem):
    assert (problem is None and format_problem(form) is None) or (
        problem in format_problem(form)
    )
