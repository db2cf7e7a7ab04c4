"""What a Recommender returns."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, slots=True)
class Recommendation:
    """One item of an answer.

    Attributes:
        item (str): Its id.
        score (float): The higher, the better; comparable only within an answer.
        text (str): The text that the model knows it by.
        picture (str or None): The path of its picture.
        parts (dict): The parts of the score by name; their sum is the score.
    """

    item: str
    score: float
    text: str
    picture: str | None
    parts: dict[str, float]


class Answer(list):
    """The items for one request, the best first: a list of :class:`Recommendation`.

    Attributes:
        request (str): What was asked.
        user (str or None): Who asked.
        wish (str): What was understood as wanted.
        ruled_out (str): What was understood as not wanted; "" if nothing.
        notes (tuple of str): What the reader should know, such as an unknown user.
    """

    def __init__(
        self,
        items: list[Recommendation],
        request: str,
        user: str | None,
        wish: str,
        ruled_out: str,
        notes: tuple[str, ...],
    ):
        super().__init__(items)
        self.request, self.user = request, user
        self.wish, self.ruled_out, self.notes = wish, ruled_out, notes

    def to_frame(self) -> pd.DataFrame:
        """Return the items as a table: rank, item, score, text, picture,
        and the parts of the score as ``<name>_score``."""
        import pandas as pd

        names = dict.fromkeys(name for each in self for name in each.parts)
        return pd.DataFrame(
            {
                "rank": range(1, len(self) + 1),
                "item": [each.item for each in self],
                "score": [each.score for each in self],
                "text": [each.text for each in self],
                "picture": [each.picture for each in self],
                **{
                    f"{name}_score": [each.parts[name] for each in self]
                    for name in names
                },
            }
        )


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why an item stands where it stands.

    Attributes:
        item (str): As in :class:`Recommendation`, like the next three.
        text (str): What the model knows it by.
        score (float): The higher, the better.
        parts (dict): Their sum is the score.
        rank (int): Its place among all items that the user may be shown.
        of (int): How many these are.
        request (str): As in :class:`Answer`, like the next three.
        user (str or None): Who asked.
        wish (str): What was understood as wanted.
        ruled_out (str): What was understood as not wanted.
        chosen_before (int or None): How often it was chosen for the same request text;
            None for a model that does not count it.
        history (tuple): ``(item, weight)`` of the user's items that count most, for a
            model that attends to them.
    """

    item: str
    text: str
    score: float
    parts: dict[str, float]
    rank: int
    of: int
    request: str
    user: str | None
    wish: str
    ruled_out: str
    chosen_before: int | None
    history: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        lines = [
            f"[{self.item}] {self.text}",
            f"rank {self.rank} of {self.of}, score {self.score:.3f}:",
            *(f"  {name:10} {value:+.3f}" for name, value in self.parts.items()),
        ]
        if self.ruled_out:
            lines.append(f"understood as ruled out: {self.ruled_out}")
        if self.chosen_before is not None:
            lines.append(f"chosen {self.chosen_before} times for the same request")
        for item, weight in self.history:
            lines.append(f"history: [{item}] counts {weight:.2f}")
        return "\n".join(lines)
