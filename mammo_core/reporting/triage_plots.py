"""Plots of a triage and of the power of cases."""

from collections.abc import Mapping, Sequence

import numpy as np

from mammo_core.reporting.figures import BLUE, GRAY, ORANGE, figure, png, style

_BINS = 25


def triage_plot(
    scores: Mapping[str, Sequence[float]], limits: tuple[float, float] | None, *, title: str
) -> bytes:
    """Draw how scores are distributed, with the limits between low, unsure and high.

    Args:
        scores: Label → scores in [0, 1]; benign first, malignant second.
        limits: Below the first, a score is low; from the second on, it is high. None: none.
        title: Above the axes.

    Returns:
        PNG bytes.
    """
    canvas = figure(8.2, 3.4)
    axes = canvas.add_subplot()
    style(axes, title, "Score (uncalibrated)", "Share of the class")
    edges = np.linspace(0, 1, _BINS + 1)
    for (name, values), color in zip(scores.items(), (BLUE, ORANGE), strict=False):
        if len(values):
            shares = np.histogram(values, edges)[0] / len(values)
            axes.stairs(shares, edges, color=color, linewidth=1.6, fill=True, alpha=0.25)
            axes.stairs(shares, edges, color=color, linewidth=1.6, label=f"{name} ({len(values)})")
    if limits is not None:
        low, high = limits
        axes.axvspan(low, high, color=GRAY, alpha=0.12, linewidth=0)
        across = axes.get_xaxis_transform()
        for limit in sorted({low, high}):
            axes.axvline(limit, color=GRAY, linewidth=1, linestyle="--")
        for name, at in (
            ("low", low / 2),
            ("unsure", (low + high) / 2),
            ("high", (1 + high) / 2),
        ):
            if name != "unsure" or high - low > 0.08:
                axes.text(at, 0.93, name, transform=across, ha="center", fontsize=9, color=GRAY)
    axes.set_xlim(0, 1)
    axes.margins(y=0.2)
    # Above the axes, where it hides neither a score nor the name of a group.
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8, frameon=False)
    return png(canvas)


def power_plot(drops: Sequence[float], probabilities: Sequence[float]) -> bytes:
    """Draw with what probability cases show a drop of the AUC.

    Args:
        drops: Drops, rising from 0.
        probabilities: With what probability each is seen, [0, 1].

    Returns:
        PNG bytes.
    """
    canvas = figure(5.2, 3.4)
    axes = canvas.add_subplot()
    style(axes, "Power", "Drop of the AUC", "Probability that it is seen")
    axes.plot(drops, probabilities, color=BLUE, linewidth=2)
    axes.axhline(0.8, color=GRAY, linewidth=1, linestyle=":", label="80 %")
    axes.set(xlim=(0, max(drops)), ylim=(-0.02, 1.02))
    axes.legend(loc="lower right", fontsize=8, framealpha=0.85, edgecolor="none")
    return png(canvas)
