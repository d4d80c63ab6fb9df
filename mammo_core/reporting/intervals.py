"""Values with intervals as PNG."""

from collections.abc import Sequence

import numpy as np

from mammo_core.reporting.figures import BLUE, GRAY, figure, png, style


def interval_plot(
    values: Sequence[tuple[str, float, float, float]],
    runs: Sequence[tuple[str, float]] = (),
    *,
    title: str,
    at: Sequence[float] | None = None,
) -> bytes:
    """Draw AUCs with their intervals.

    Args:
        values: Name, value, low and high end, left to right.
        runs: Name and value of single runs, drawn as small points at their name's place.
        title: Above the plot.
        at: Places of the values on the horizontal axis (numbers of patients), which are then
            joined by a line; else they stand side by side under their names.

    Returns:
        PNG bytes.
    """
    drawn = figure(max(4.5, 1.2 + 0.9 * len(values)), 3.8)
    axes = drawn.add_subplot()
    style(axes, title, "training patients" if at is not None else "", "AUC")
    places = dict(zip([v[0] for v in values], at or range(len(values)), strict=True))
    xs = np.array(list(places.values()), float)
    middle = np.array([v[1] for v in values])
    down, up = (np.abs(np.array([v[side] for v in values]) - middle) for side in (2, 3))
    known = [(places[name], value) for name, value in runs if name in places]
    if known:
        axes.plot(*zip(*known, strict=True), "o", color=GRAY, markersize=3, alpha=0.7)
    line = "-o" if at is not None else "o"
    axes.errorbar(xs, middle, yerr=[down, up], fmt=line, color=BLUE, capsize=4, linewidth=1.6)
    axes.axhline(0.5, color=GRAY, linewidth=0.8, linestyle=":")
    if at is None:
        axes.set_xticks(xs, list(places), rotation=20 if len(values) > 4 else 0, fontsize=8)
        axes.set_xlim(-0.6, len(values) - 0.4)
    return png(drawn)
