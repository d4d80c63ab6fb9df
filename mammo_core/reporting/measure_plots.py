"""Plots of measures: curves of one or several models, reliability, intervals side by side."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from mammo_core.errors import RecordError
from mammo_core.reporting.figures import BLUE, COLORS, GRAY, ORANGE, figure, png, style

Curve = tuple[Sequence[float], Sequence[float]]


def curves_plot(
    curves: Mapping[str, Curve],
    *,
    title: str,
    x: str,
    y: str,
    points: Mapping[str, tuple[float, float]] | None = None,
    chance: Curve | None = None,
    legend: Literal["lower right", "lower left"] = "lower right",
) -> bytes:
    """Draw curves within the unit square.

    Args:
        curves: By label, each (x, y) in [0, 1].
        title: Above the axes.
        x: Name of the x axis.
        y: Name of the y axis.
        points: By label single places (x, y), for instance operating points.
        chance: What guessing gives, dotted.
        legend: Where the legend stands.

    Returns:
        PNG bytes.
    """
    drawn = figure(5.2, 4.8)
    axes = drawn.add_subplot()
    style(axes, title, x, y)
    if chance is not None:
        axes.plot(*chance, color=GRAY, linewidth=1, linestyle=":", label="Chance")
    for place, (name, (across, up)) in enumerate(curves.items()):
        colour = COLORS[place % len(COLORS)]
        axes.plot(across, up, color=colour, linewidth=2 if place == 0 else 1.4, label=name)
    markers = "osD^"
    for place, (name, (right, top)) in enumerate((points or {}).items()):
        marker = markers[place % len(markers)]
        axes.plot([right], [top], marker, color=ORANGE, markersize=7, label=name)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc=legend, fontsize=8, framealpha=0.85, edgecolor="none")
    return png(drawn)


def reliability_plot(
    curves: Mapping[str, Curve], intervals: Mapping[str, Curve], counts: Sequence[int]
) -> bytes:
    """Draw how often images of similar probability are malignant.

    Args:
        curves: By label (mean probability, share of malignant ones), bin by bin.
        intervals: By the same labels the (low, high) ends of the shares.
        counts: Images in each bin of the last curve, written at its points.

    Returns:
        PNG bytes.
    """
    drawn = figure(5.2, 4.8)
    axes = drawn.add_subplot()
    style(axes, "Reliability", "Predicted probability", "Share that is malignant")
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=":", label="Perfect")
    for place, (name, (predicted, observed)) in enumerate(curves.items()):
        low, high = intervals[name]
        share = np.asarray(observed)
        axes.errorbar(
            predicted,
            share,
            yerr=np.clip([share - np.asarray(low), np.asarray(high) - share], 0, None),
            color=COLORS[place % len(COLORS)],
            marker="os"[place % 2],
            markersize=5,
            linewidth=1.4,
            elinewidth=0.8,
            label=name,
        )
    across, up = list(curves.values())[-1]
    for count, right, top in zip(counts, across, up, strict=True):
        axes.annotate(
            f"{count:,}", (right, top), (5, -9), textcoords="offset points", fontsize=7, color=GRAY
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc="upper left", fontsize=8, framealpha=0.85, edgecolor="none")
    return png(drawn)


def forest_plot(
    rows: Sequence[tuple[str, float, float, float]],
    *,
    title: str,
    x: str,
    reference: float | None = None,
) -> bytes:
    """Draw values with their intervals below one another (a forest plot).

    Args:
        rows: (name, value, low, high), from top to bottom.
        title: Above the axes.
        x: What the values are.
        reference: Where a dotted line stands, for instance the value of all.

    Returns:
        PNG bytes.

    Raises:
        RecordError: There is no row.
    """
    if not rows:
        raise RecordError(
            "There is nothing to compare", expected="at least one row", received="none"
        )
    drawn = figure(8.2, 0.8 + 0.3 * len(rows))
    axes = drawn.add_subplot()
    style(axes, title, x)
    places = np.arange(len(rows))[::-1]
    for place, (_, value, low, high) in zip(places, rows, strict=True):
        axes.plot([low, high], [place, place], color=BLUE, linewidth=1.6)
        axes.plot([value], [place], "s", color=BLUE, markersize=5)
    if reference is not None:
        axes.axvline(reference, color=GRAY, linewidth=1, linestyle=":")
    axes.set_yticks(places, [row[0] for row in rows], fontsize=8)
    axes.tick_params(axis="y", colors="#111827", length=0)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    return png(drawn)
