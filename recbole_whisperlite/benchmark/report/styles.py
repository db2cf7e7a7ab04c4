"""How a row is drawn: the same colour, line and marker in every plot."""

from dataclasses import dataclass

OUR_MODELS = ("WhisperLite", "WhisperLitePlus")
#: Okabe and Ito's palette, which colour-blind readers can tell apart, without black and
#: yellow: they vanish on dark and on white ground. Vermilion is WhisperLite's and WhisperLitePlus's.
OURS = "#D55E00"
OTHERS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C8C8C")
DASHES = ("solid", "dash", "dot")
#: plotly's markers, and the signs of the legend that look like them
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
        dash (str): plotly's name of the line's dashes.
        marker (str): plotly's name of the marker.
        sign (str): A character that looks like the marker.
        width (float): Of the line, in pixels.
        ours (bool): Whether the row is a WhisperLite or WhisperLitePlus, which are drawn
            above the others.
    """

    colour: str
    dash: str
    marker: str
    sign: str
    width: float
    ours: bool


def styles(rows):
    """Return ``{row name: Style}``; the best rows get the most different ones.

    Args:
        rows (list of dict): Of ``benchmark.json``, best first. Up to 18 others than
            WhisperLite have a line of their own, up to 42 a marker of their own.
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
