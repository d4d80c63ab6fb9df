"""Plots of measures: curves of one or several models, reliability, forest plots."""

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
        curves: Label → (x, y), in [0, 1].
        title: Above the axes.
        x: Label of the x axis.
        y: Label of the y axis.
        points: Label → single point (x, y), for instance operating points.
        chance: The curve of guessing, dotted.
        legend: Position of the legend.

    Returns:
        PNG bytes.
    """
    canvas = figure(5.2, 4.8)
    axes = canvas.add_subplot()
    style(axes, title, x, y)
    if chance is not None:
        axes.plot(*chance, color=GRAY, linewidth=1, linestyle=":", label="Chance")
    for number, (name, (across, up)) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        axes.plot(across, up, color=color, linewidth=2 if number == 0 else 1.4, label=name)
    markers = "osD^"
    for number, (name, (right, top)) in enumerate((points or {}).items()):
        marker = markers[number % len(markers)]
        axes.plot([right], [top], marker, color=ORANGE, markersize=7, label=name)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc=legend, fontsize=8, framealpha=0.85, edgecolor="none")
    return png(canvas)


def froc_plot(curves: Mapping[str, Curve], *, limit: float = 4.0) -> bytes:
    """Draw free-response curves.

    Args:
        curves: Label → (false marks per image, rising; share of the lesions marked).
        limit: Right end of the x axis, false marks per image.

    Returns:
        PNG bytes.
    """
    canvas = figure(5.2, 4.8)
    axes = canvas.add_subplot()
    style(axes, "FROC curve", "False marks per image", "Share of the lesions marked")
    for number, (name, (across, up)) in enumerate(curves.items()):
        # A step: fewer false marks are possible only at the share before.
        axes.step(
            [0.0, *across, max(limit, *across)],
            [0.0, *up, up[-1]],
            where="post",
            color=COLORS[number % len(COLORS)],
            linewidth=2 if number == 0 else 1.4,
            linestyle="-" if number % 2 == 0 else "--",
            label=name,
        )
    axes.set(xlim=(-0.02 * limit, limit), ylim=(-0.02, 1.02))
    axes.legend(loc="lower right", fontsize=8, framealpha=0.85, edgecolor="none")
    return png(canvas)


def decision_curve_plot(
    thresholds: Sequence[float], benefits: Mapping[str, Sequence[float]], prevalence: float
) -> bytes:
    """Draw a decision curve (net benefit by the probability from which one would act).

    Args:
        thresholds: Probabilities, rising, above 0.
        benefits: Label → net benefit at each of them.
        prevalence: A dotted line, where acting on everyone has no benefit.

    Returns:
        PNG bytes.
    """
    canvas = figure(5.2, 4.8)
    axes = canvas.add_subplot()
    style(axes, "Decision curve", "Probability from which one would recall", "Net benefit")
    for number, (name, values) in enumerate(benefits.items()):
        axes.plot(thresholds, values, color=COLORS[number], linewidth=2 - 0.6 * number, label=name)
    axes.axhline(0, color=GRAY, linewidth=1, label="recalling nobody")
    axes.axvline(prevalence, color=GRAY, linewidth=1, linestyle=":", label="prevalence")
    top = max(max(values) for values in benefits.values())
    axes.set(xscale="log", ylim=(-0.3 * max(top, 0.1), 1.1 * max(top, 0.1)))
    axes.legend(loc="upper right", fontsize=8, framealpha=0.85, edgecolor="none")
    return png(canvas)


def reliability_plot(
    curves: Mapping[str, Curve], intervals: Mapping[str, Curve], counts: Sequence[int]
) -> bytes:
    """Draw how often images of similar probability are malignant.

    Args:
        curves: Label → (mean probability, malignant fraction) of each bin.
        intervals: Label → (low, high) limits of the malignant fractions.
        counts: Images in each bin of the last curve, written next to its points.

    Returns:
        PNG bytes.
    """
    canvas = figure(5.2, 4.8)
    axes = canvas.add_subplot()
    style(axes, "Reliability", "Predicted probability", "Fraction that is malignant")
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=":", label="Perfect")
    for number, (name, (predicted, observed)) in enumerate(curves.items()):
        low, high = intervals[name]
        fraction = np.asarray(observed)
        axes.errorbar(
            predicted,
            fraction,
            yerr=np.clip([fraction - np.asarray(low), np.asarray(high) - fraction], 0, None),
            color=COLORS[number % len(COLORS)],
            marker="os"[number % 2],
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
    return png(canvas)


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
        x: Name of the values.
        reference: Value of a dotted line, for instance that of all images.

    Returns:
        PNG bytes.

    Raises:
        RecordError: There are no rows.
    """
    if not rows:
        raise RecordError(
            "There is nothing to compare", expected="at least one row", received="none"
        )
    canvas = figure(8.2, 0.8 + 0.3 * len(rows))
    axes = canvas.add_subplot()
    style(axes, title, x)
    heights = np.arange(len(rows))[::-1]
    for height, (_, value, low, high) in zip(heights, rows, strict=True):
        axes.plot([low, high], [height, height], color=BLUE, linewidth=1.6)
        axes.plot([value], [height], "s", color=BLUE, markersize=5)
    if reference is not None:
        axes.axvline(reference, color=GRAY, linewidth=1, linestyle=":")
    axes.set_yticks(heights, [row[0] for row in rows], fontsize=8)
    axes.tick_params(axis="y", colors="#111827", length=0)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    return png(canvas)
