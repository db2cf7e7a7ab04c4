"""Numbers with a decimal point or comma, and codes that only look like numbers."""

import pytest

from recbole_whisperlite.prepare.numbers import Numbers, is_code


@pytest.mark.parametrize(
    ("decimal", "text", "number"),
    [
        (",", "19,90", "19.90"),
        (",", "1.299,50", "1299.50"),
        (",", "1.299", "1299"),
        (",", "-12.345.678", "-12345678"),
        (",", "1\xa0299,5", "1299.5"),
        (",", "1'299,5", "1299.5"),
        (",", "19.90", None),
        (",", "1.29,5", None),
        (",", "0.500", None),  # no group of thousands begins with zero
        (",", "1.299'000", None),
        (".", "1,299.50", "1299.50"),
        (".", "19.90", "19.90"),
        (".", "19,90", None),
        (None, "19.90", "19.90"),
        (None, "1,299", None),  # 1299 or 1.299?
        (None, "1e-05", "1e-05"),
        (None, ".5", ".5"),
        (None, "155 220", None),  # a size
        *((None, text, None) for text in ("", ".", "12 €", "nan", "inf", "1e999", "٣")),
    ],
)
def test_a_number_is_read_with_the_mark_of_its_file(decimal, text, number):
    assert Numbers(decimal).read(text) == number
    if number:
        float(number)  # it is what Python and pandas read


def test_a_code_is_what_would_not_survive_as_a_number():
    assert is_code("007") and is_code("00.5") and is_code("-01")
    assert not is_code("0") and not is_code("0.5") and not is_code("10")
    longest = "9" * 15
    assert not is_code(longest) and f"{float(longest):.0f}" == longest
    assert is_code("9" * 16) and f"{float('9' * 16):.0f}" != "9" * 16
