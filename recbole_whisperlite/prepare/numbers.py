"""Numbers as people and programs write them, with a decimal point or comma."""

import re

#: What separates the thousands, beside the other mark: a space that does not break a
#: line, and Swiss apostrophes. A plain space does not, as "155 220" is a size.
_THOUSANDS = "\xa0\u202f'\u2019"
# A float64 holds whole numbers of this many digits exactly.
_EXACT_DIGITS = 15


class Numbers:
    """Reads numbers with a certain decimal mark.

    Args:
        decimal (str, optional): ``"."`` or ``","``; the other one may then separate
            thousands. If None, the mark is ``"."``, and ``1,299`` is no number: without
            a word about the mark it may be either of two.

    Attributes:
        mark (str): The decimal mark.
    """

    def __init__(self, decimal: str | None = None):
        self.mark = decimal or "."
        mark = re.escape(self.mark)
        self._plain = re.compile(
            rf"[+-]?(\d+({mark}\d*)?|{mark}\d+)([eE][+-]?\d{{1,2}})?", re.ASCII
        )
        between = _THOUSANDS + ({".": ",", ",": "."}[decimal] if decimal else "")
        self._grouped = re.compile(
            rf"[+-]?[1-9]\d{{0,2}}([{between}])\d{{3}}(\1\d{{3}})*({mark}\d+)?",
            re.ASCII,
        )

    def read(self, text: str) -> str | None:
        """Return a number as ``float`` reads it, digits unchanged, or None.

        >>> Numbers(",").read("1.299,50"), Numbers().read("19,90")
        ('1299.50', None)
        """
        if self._plain.fullmatch(text):
            return text.replace(self.mark, ".")
        grouped = self._grouped.fullmatch(text)
        if grouped:
            return text.replace(grouped[1], "").replace(self.mark, ".")
        return None


def is_code(number: str) -> bool:
    """Whether a number, from :meth:`Numbers.read`, is rather a code: as a float it would
    lose leading zeros (``0177``) or digits.
    """
    digits = number.lstrip("+-")
    if digits[:1] == "0" and digits[1:2].isdigit():
        return True
    return digits.isdigit() and len(digits) > _EXACT_DIGITS
