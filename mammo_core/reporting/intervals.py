"""Plots of values with intervals."""

from collections.abc import Sequence

import numpy as np

from mammo_core.reporting.figures import BLUE, GRAY, figure, png, style


def interval_plot(
    values: Sequence[tuple[str, float, float, float]],
    runs: Sequence[tuple[str, float]] = (),
    *,
    title: str,
    positions: Sequence[float] | None = None,
) -> bytes:
    """Draw AUCs with their intervals.

    Args:
        values: Name, value, low and high end, left to right.
        runs: Name and value of single runs, drawn as small points at the position of the name.
        title: Above the plot.
        positions: Positions of the values on the horizontal axis (numbers of patients), which are
            then joined by a line; by default they are side by side, labeled with their names.

    Returns:
        PNG bytes.
    """
    canvas = figure(max(4.5, 1.2 + 0.9 * len(values)), 3.8)
    axes = canvas.add_subplot()
    style(axes, title, "training patients" if positions is not None else "", "AUC")
    position_of = dict(zip([v[0] for v in values], positions or range(len(values)), strict=True))
    xs = np.array(list(position_of.values()), float)
    middle = np.array([v[1] for v in values])
    down, up = (np.abs(np.array([v[side] for v in values]) - middle) for side in (2, 3))
    points = [(position_of[name], value) for name, value in runs if name in position_of]
    if points:
        axes.plot(*zip(*points, strict=True), "o", color=GRAY, markersize=3, alpha=0.7)
    line = "-o" if positions is not None else "o"
    axes.errorbar(xs, middle, yerr=[down, up], fmt=line, color=BLUE, capsize=4, linewidth=1.6)
    axes.axhline(0.5, color=GRAY, linewidth=0.8, linestyle=":")
    if positions is None:
        axes.set_xticks(xs, list(position_of), rotation=20 if len(values) > 4 else 0, fontsize=8)
        axes.set_xlim(-0.6, len(values) - 0.4)
    return png(canvas)
