"""Answers as text for a terminal, and as what JSON can hold."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata

from recbole_whisperlite.recommend.answer import Answer, Explanation

# If the text of an item has less room than this, it gets lines of its own.
_LEAST_TEXT = 24


def terminal_width() -> int | None:
    """Return the width of the terminal, None if the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def answer_text(answer: Answer, width: int | None) -> str:
    """Return an answer as a table, and what was understood.

    Args:
        answer (Answer): The answer.
        width (int or None): In characters, to which texts are cut; None for no limit.
    """
    lines = [f"note: {printable(note)}" for note in answer.notes]
    if answer.ruled_out:
        lines.append(f"wanted: {printable(answer.wish)}")
        lines.append(f"ruled out: {printable(answer.ruled_out)}")
    lines = [_cut(line, width) for line in lines]
    return "\n".join([*lines, *_table(answer, width)])


def _table(answer, width):
    if not answer:
        return ["No item is left: all are seen, excluded or outside of the conditions."]
    names = list(dict.fromkeys(name for each in answer for name in each.parts))
    if len(names) == 1:
        names = []  # it is the score
    rows = [["", "item", "score", *names]]
    for rank, each in enumerate(answer, start=1):
        parts = [
            f"{each.parts[name]:.3f}" if name in each.parts else "" for name in names
        ]
        rows.append([str(rank), printable(each.item), f"{each.score:.3f}", *parts])
    texts = ["text", *(printable(each.text) for each in answer)]
    widths = [max(map(_width, column)) for column in zip(*rows)]
    room = None if width is None else width - sum(widths) - 2 * len(widths)
    if room is None or room >= _LEAST_TEXT:
        return [
            f"{_line(row, widths)}  {_cut(text, room)}".rstrip()
            for row, text in zip(rows, texts)
        ]
    lines = []
    for row, text, each in zip(rows[1:], texts[1:], answer):
        lines.append(_cut(_line(row[:3], widths[:3]), width))
        lines.append(_cut(f"    {text}", width))
        parts = [f"{name} {value:.3f}" for name, value in each.parts.items()]
        if len(parts) > 1:
            lines += textwrap.wrap(
                ", ".join(parts),
                max(width, 10),
                initial_indent="    ",
                subsequent_indent="    ",
            )
    return lines


def _line(row, widths):
    """Return cells side by side: the id to the left, numbers to the right."""
    cells = []
    for column, (cell, width) in enumerate(zip(row, widths)):
        space = " " * (width - _width(cell))
        cells.append(cell + space if column == 1 else space + cell)
    return "  ".join(cells)


def printable(text: str) -> str:
    """Return a text on one line, without what would control a terminal."""
    text = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(text.split())


def _width(text):
    """Return how many columns a text takes: letters of East Asia and emoji take two."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (_east_asian(each) in "WF")
        for each in text
    )


_east_asian = unicodedata.east_asian_width


def _cut(text, width):
    if width is None or _width(text) <= width:
        return text
    while text and _width(text) >= width:
        text = text[:-1]
    return text.rstrip() + "…"


def explanation_text(explanation: Explanation, width: int | None) -> str:
    """Return an explanation, each of its lines cut to ``width``."""
    lines = str(explanation).split("\n")
    return "\n".join(_cut(_keep_indent(line), width) for line in lines)


def _keep_indent(line):
    return line[: len(line) - len(line.lstrip(" "))] + "".join(
        each if each.isprintable() else " " for each in line.lstrip(" ")
    )


def answer_json(answer: Answer) -> dict:
    """Return an answer as JSON can hold it."""
    return {
        "request": answer.request,
        "user": answer.user,
        "wish": answer.wish,
        "ruled_out": answer.ruled_out,
        "notes": list(answer.notes),
        "items": [
            {
                "rank": rank,
                "item": each.item,
                "score": each.score,
                "parts": dict(each.parts),
                "text": each.text,
                "picture": each.picture,
            }
            for rank, each in enumerate(answer, start=1)
        ],
    }


def explanation_json(explanation: Explanation) -> dict:
    """Return an explanation as JSON can hold it."""
    return {
        "request": explanation.request,
        "user": explanation.user,
        "wish": explanation.wish,
        "ruled_out": explanation.ruled_out,
        "item": explanation.item,
        "rank": explanation.rank,
        "of": explanation.of,
        "score": explanation.score,
        "parts": dict(explanation.parts),
        "text": explanation.text,
        "chosen_before": explanation.chosen_before,
        "history": [
            {"item": item, "weight": weight} for item, weight in explanation.history
        ],
    }
