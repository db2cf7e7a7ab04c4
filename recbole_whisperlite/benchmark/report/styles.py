"""How a row is drawn: with the same colour, line and marker in every plot."""

from dataclasses import dataclass
from typing import Any

OUR_MODELS = ("WhisperLite", "WhisperLitePlus")
#: The palette of Okabe and Ito, which colour-blind readers can distinguish, without
#: black and yellow, which are hard to see on a dark or a white background. Vermilion is
#: for WhisperLite and WhisperLitePlus.
OURS = "#D55E00"
OTHERS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C8C8C")
DASHES = ("solid", "dash", "dot")
#: plotly's markers, and characters for the legend that look like them
MARKERS = (
    ("circle", "●"),
    ("square", "■"),
    ("diamond", "◆"),
    ("triangle-up", "▲"),
    ("triangle-down", "▼"),
    ("star", "★"),
    ("cross", "✚"),
)


@dataclass(frozen=True)
class Style:
    """How one row is drawn.

    Attributes:
        colour (str): CSS colour.
        dash (str): plotly's name for the style of the line.
        marker (str): plotly's name for the marker.
        sign (str): A character that looks like the marker.
        width (float): Width of the line in pixels.
        ours (bool): Whether the model is WhisperLite or WhisperLitePlus, which are
            drawn on top of the others.
    """

    colour: str
    dash: str
    marker: str
    sign: str
    width: float
    ours: bool


def styles(rows: list[dict[str, Any]]) -> dict[str, Style]:
    """Return ``{row name: Style}``; the styles of the best rows differ most.

    Of the rows other than WhisperLite and WhisperLitePlus, up to 18 have a unique line,
    and up to 42 a unique marker.

    Args:
        rows (list of dict): The rows of ``benchmark.json``, best first.
    """
    found = {}
    for ours in (True, False):
        names = [r["name"] for r in rows if (r["model"] in OUR_MODELS) == ours]
        colours = (OURS,) if ours else OTHERS
        for number, name in enumerate(names):
            marker, sign = MARKERS[number % len(MARKERS)]
            found[name] = Style(
                colour=colours[number % len(colours)],
                dash=DASHES[number // len(colours) % len(DASHES)],
                marker=marker,
                sign=sign,
                width=3.5 if ours else 1.8,
                ours=ours,
            )
    return found
