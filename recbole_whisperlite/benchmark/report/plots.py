"""The plots, drawn by plotly: figures only; title and legend are part of the page.

Names of rows are escaped, because plotly interprets ``<b>`` in texts as markup.
"""

import html
import math
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from recbole_whisperlite.benchmark.formats import shown_name
from recbole_whisperlite.benchmark.report.styles import Style
from recbole_whisperlite.benchmark.slices import KINDS, Slice

#: A grey that is legible on white and on near-black, so that one figure serves both.
INK = "#7A7A7A"
GRID = "rgba(128, 128, 128, 0.22)"
#: Seconds at which models without training are drawn: a logarithmic axis has no zero.
SHORTEST = 0.1


@dataclass(frozen=True)
class Plot:
    """A figure and how the page shows it.

    Attributes:
        id (str): The id of its element in the page.
        section (str): The section that contains it.
        title (str): The title above it.
        figure (dict): The figure in plotly's json format.
    """

    id: str
    section: str
    title: str
    figure: dict


def plots(
    benchmark: dict[str, Any],
    styles: dict[str, Style],
    curves: dict[str, dict[str, dict[int, float]]],
    sliced: dict[str, list[Slice]],
    slice_metric: str | None,
) -> list[Plot]:
    """Draw all plots for which there are data.

    Args:
        benchmark (dict): ``benchmark.json``.
        styles (dict): From :func:`styles.styles`.
        curves (dict): From :func:`curves.by_k`.
        sliced (dict): From :func:`slices.by_kind`.
        slice_metric (str or None): The metric in ``sliced``; None if that is empty.

    Returns:
        list of Plot: In the order of the page; empty if no row has a result.
    """
    # WhisperLite last, so that it is drawn on top of the others
    rows = sorted(
        (row for row in benchmark["rows"] if row["runs"]),
        key=lambda row: styles[row["name"]].ours,
    )
    if not rows:
        return []
    drawn = [
        *_differences(benchmark, styles),
        _cost(benchmark, rows, styles),
        *_by_k(benchmark, curves, rows, styles),
    ]
    for kind in KINDS:
        if sliced.get(kind.name):
            drawn.append(_slices(kind, sliced[kind.name], rows, styles, slice_metric))
    return drawn + _learning(benchmark["main_metric"], rows, styles)


def _differences(benchmark, styles):
    """Return the plot of effect sizes, best row on top; none without a reference."""
    main, figure = benchmark["main_metric"], go.Figure()
    names = []
    for row in reversed(benchmark["rows"]):
        gap = row["metrics"].get(main, {}).get("difference")
        if gap is None:
            continue
        names.append(row["name"])
        relative = gap["relative"]
        told = "" if relative is None else f" ({100 * relative:+.1f} %)"
        trace = _trace(
            row["name"],
            styles[row["name"]],
            [gap["mean"]],
            [html.escape(row["name"])],
            mode="markers",
            hovertemplate=f"<b>%{{fullData.name}}</b><br>{gap['mean']:+.4f}{told}<br>"
            f"95 % interval {gap['low']:+.4f} to {gap['high']:+.4f}<extra></extra>",
        )
        trace.error_x = {
            "type": "data",
            "array": [gap["high"] - gap["mean"]],
            "arrayminus": [gap["mean"] - gap["low"]],
            "thickness": 1.5,
            "width": 4,
        }
        figure.add_trace(trace)
    if not names:
        return []
    figure.add_vline(0, line_color=INK, line_width=1, line_dash="dot")
    plot = _plot(
        figure,
        "plot-differences",
        "differences",
        f"{shown_name(main)}: difference from {benchmark['reference']}",
        x={"title": f"difference in {shown_name(main)}", "tickformat": "+.3~f"},
        y={"type": "category"},
        height=120 + 26 * len(names),
    )
    return [plot]


def _cost(benchmark, rows, styles):
    main = benchmark["main_metric"]
    figure = go.Figure()
    seconds = [max(row["cost"]["train_seconds"], SHORTEST) for row in rows]
    means = [row["metrics"][main]["mean"] for row in rows]
    positions, ends = _label_positions(rows, [math.log10(x) for x in seconds], means)
    for row, x, y, position in zip(rows, seconds, means, positions):
        cell, style = row["metrics"][main], styles[row["name"]]
        trace = _trace(
            row["name"],
            style,
            [x],
            [y],
            mode="markers+text",
            text=[html.escape(row["name"])],
            textposition=position,
            textfont={"color": INK, "size": 13 if style.ours else 11},
            hovertemplate="<b>%{fullData.name}</b><br>%{y:.4f} after %{x:.3~g} s"
            "<extra></extra>",
        )
        trace.marker.size = 15 if style.ours else 11
        if cell["low"] is not None:
            trace.error_y = {
                "type": "data",
                "array": [cell["high"] - y],
                "arrayminus": [y - cell["low"]],
                "thickness": 1,
                "width": 3,
            }
        figure.add_trace(trace)
    return _plot(
        figure,
        "plot-cost",
        "cost",
        f"{shown_name(main)} against training time",
        x={"title": "training time in seconds (log)", "range": ends, **LOGARITHMIC},
        y={"title": shown_name(main), "rangemode": "tozero"},
        height=440,
    )


def _label_positions(rows, logs, values):
    """Choose label positions with little overlap, and the range of the x axis.

    Args:
        rows (list of dict): The rows of ``benchmark.json``, one per point.
        logs, values (list of float): Coordinates of the points; x as decimal logarithm.

    Returns:
        tuple: plotly's textposition of each point, and the ends of the x axis (decimal
        logarithms).
    """
    span = max(max(logs) - min(logs), 1)
    ends = min(logs) - 0.15 * span, max(logs) + 0.25 * span  # room for a label
    # pixels of the plot on a typical screen
    across = [(log - ends[0]) / (ends[1] - ends[0]) * 1000 for log in logs]
    up = [value / (max(values) or 1) * 340 for value in values]
    boxes = [(x - 8, y - 8, x + 8, y + 8) for x, y in zip(across, up)]
    positions = []
    for row, x, y in zip(rows, across, up):
        long = 7 * len(row["name"])
        choices = {
            "middle right": (x + 10, y - 7, x + 10 + long, y + 7),
            "middle left": (x - 10 - long, y - 7, x - 10, y + 7),
            "top center": (x - long / 2, y + 9, x + long / 2, y + 23),
            "bottom center": (x - long / 2, y - 23, x + long / 2, y - 9),
            "top right": (x + 6, y + 6, x + 6 + long, y + 20),
            "bottom right": (x + 6, y - 20, x + 6 + long, y - 6),
        }
        position = min(choices, key=lambda name: _covered(choices[name], boxes))
        boxes.append(choices[position])
        positions.append(position)
    return positions, ends


def _covered(box, boxes):
    """Return the area of ``box`` (left, bottom, right, top) that other boxes cover."""
    left, bottom, right, top = box
    return sum(
        max(min(right, r) - max(left, le), 0) * max(min(top, t) - max(bottom, b), 0)
        for le, b, r, t in boxes
    )


def _by_k(benchmark, curves, rows, styles):
    drawn = []
    for metric, by_row in curves.items():
        figure = go.Figure()
        for row in rows:
            curve = by_row[row["name"]]
            figure.add_trace(
                _trace(
                    row["name"],
                    styles[row["name"]],
                    list(curve),
                    list(curve.values()),
                    hovertemplate="<b>%{fullData.name}</b><br>K = %{x}: %{y:.4f}"
                    "<extra></extra>",
                )
            )
        ks = list(curve)
        smaller = {name.split("@")[0] for name in benchmark["smaller_is_better"]}
        better = " (smaller is better)" if metric in smaller else ""
        x = {"title": "K (log)", "type": "log", "tickvals": ks, "ticktext": ks}
        drawn.append(
            _plot(
                figure,
                f"plot-k-{metric}",
                "by-k",
                f"{shown_name(metric)}@K{better}",
                x=x,
                y={"rangemode": "tozero"},
            )
        )
    return drawn


def _slices(kind, sliced, rows, styles, metric):
    figure = go.Figure()
    labels = [f"{part.label}<br>n = {_size(kind, part):,}" for part in sliced]
    for row in rows:
        name = row["name"]
        figure.add_trace(
            _trace(
                name,
                styles[name],
                labels,
                [part.means[name] for part in sliced],
                customdata=[told_interval(part, name) for part in sliced],
                hovertemplate="<b>%{fullData.name}</b><br>%{x}<br>%{y:.4f}"
                "%{customdata}<extra></extra>",
            )
        )
    return _plot(
        figure,
        f"plot-slices-{kind.name}",
        "slices",
        f"{kind.title}: {shown_name(metric)} by {kind.axis}",
        x={"title": kind.axis, "type": "category"},
        y={"rangemode": "tozero"},
        height=360,
    )


def _size(kind, part):
    return part.positives if kind.of_positives else part.queries


def told_interval(part: Slice, name: str) -> str:
    """Return the interval of a row in a slice as text; empty if it has none."""
    if part.low[name] is None:
        return ""
    return f" [{part.low[name]:.4f}, {part.high[name]:.4f}]"


def _learning(main, rows, styles):
    by_epoch, by_seconds = go.Figure(), go.Figure()
    for row in rows:
        for seed, run in row["runs"].items():
            curve = [point for point in run["valid_curve"] if main in point]
            values = [point[main] for point in curve]
            seconds = [max(point["seconds"], SHORTEST) for point in curve]
            step = run.get("eval_step") or 1
            epochs = [step * (number + 1) for number in range(len(curve))]
            hover = (
                f"<b>%{{fullData.name}}</b>, seed {seed}<br>%{{y:.4f}} after "
                "%{x:.3~g} {unit}<extra></extra>"
            )
            for figure, x, unit in (
                (by_epoch, epochs, "epochs"),
                (by_seconds, seconds, "s"),
            ):
                if not curve:
                    continue
                trace = _trace(
                    row["name"],
                    styles[row["name"]],
                    x,
                    values,
                    hovertemplate=hover.replace("{unit}", unit),
                )
                trace.marker.size = 4 if len(curve) > 1 else 9
                figure.add_trace(trace)
    name = shown_name(main)
    return [
        _plot(
            figure,
            f"plot-learning-{by}",
            "learning",
            f"{name} on the validation set by {by}",
            x={"title": title, **axis},
            y={"rangemode": "tozero"},
            height=360,
        )
        for figure, by, title, axis in (
            (by_epoch, "epochs", "epochs of training", {"rangemode": "tozero"}),
            (
                by_seconds,
                "seconds",
                "seconds since training started (log)",
                LOGARITHMIC,
            ),
        )
        if figure.data
    ]


#: Only decades are labelled; the ticks between them are not
LOGARITHMIC = {"type": "log", "dtick": 1, "minor": {"ticks": "outside", "ticklen": 3}}


def _trace(name, style, x, y, mode="lines+markers", **more):
    """Return a trace that the page's legend can find by the row's name."""
    return go.Scatter(
        name=html.escape(name),
        legendgroup=name,
        x=x,
        y=y,
        mode=mode,
        line={"color": style.colour, "dash": style.dash, "width": style.width},
        marker={
            "color": style.colour,
            "symbol": style.marker,
            "size": 9 if style.ours else 7,
        },
        **more,
    )


def _plot(figure, id_, section, title, x, y, height=300):
    grid = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID}
    figure.update_layout(
        template="none",
        height=height,
        showlegend=False,
        hovermode="closest",
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": INK, "family": "system-ui, sans-serif", "size": 12},
        margin={"l": 8, "r": 12, "t": 12, "b": 8},
        xaxis={"automargin": True, **grid, **x},
        yaxis={"automargin": True, **grid, **y},
    )
    return Plot(id_, section, title, figure.to_plotly_json())
