"""Plots of a watch: weekly means beside the reference, and the evidence for a change."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mammo_core.monitoring.alarms import Alarm
from mammo_core.monitoring.group import Group
from mammo_core.monitoring.settings import MEASURES
from mammo_core.reporting.figures import BLUE, COLORS, GRAY, ORANGE, figure, png, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 5


def measures_plot(group: Group, alarms: Sequence[Alarm]) -> bytes:
    """Draw the weekly means of every measure of a group.

    Args:
        group: The group.
        alarms: Its alarms.

    Returns:
        PNG bytes.
    """
    weeks = sorted(group.weeks)
    canvas = figure(14, 2.4 * -(-len(MEASURES) // _COLUMNS))
    for number, name in enumerate(MEASURES):
        axes = canvas.add_subplot(-(-len(MEASURES) // _COLUMNS), _COLUMNS, number + 1)
        style(axes, name.replace("_", " "))
        mean, deviation = np.array(
            [group.weeks[week].mean_and_deviation(name) for week in weeks]
        ).T.reshape(2, -1)
        across = np.arange(len(weeks))
        axes.fill_between(
            across, mean - deviation, mean + deviation, color=BLUE, alpha=0.15, linewidth=0
        )
        axes.plot(across, mean, color=BLUE, linewidth=1.4, marker=".", markersize=3)
        if name in group.reference:
            axes.axhline(group.reference[name][0], color=GRAY, linewidth=1, linestyle=":")
        for alarm in alarms:
            if alarm.measure == name:
                axes.axvline(_position(weeks, alarm.at), color=ORANGE, linewidth=1.6)
        _name_weeks(axes, weeks)
    return png(canvas)


def evidence_plot(group: Group, threshold: float) -> bytes:
    """Draw the evidence for a change of each measure of a group, at the end of each week.

    Args:
        group: The group.
        threshold: Logarithm (base 10) of the evidence from which there is an alarm.

    Returns:
        PNG bytes.
    """
    weeks = sorted(group.weeks)
    canvas = figure(9, 3.2)
    axes = canvas.add_subplot()
    style(axes, "Evidence for a change", "week", "logarithm, base 10")
    top = threshold * 2.5
    for number, name in enumerate(MEASURES):
        heights = [group.weeks[week].evidence.get(name, np.nan) for week in weeks]
        axes.plot(
            np.clip(heights, -2, top),
            color=COLORS[number % len(COLORS)],
            linestyle=("-", "--", ":")[number // len(COLORS)],
            linewidth=1.4,
            label=name.replace("_", " "),
        )
    axes.axhline(threshold, color=GRAY, linewidth=1.2)
    axes.annotate(
        "alarm", (0, threshold), (2, 3), textcoords="offset points", fontsize=8, color=GRAY
    )
    axes.set_ylim(-2.1, top + 0.3)
    _name_weeks(axes, weeks)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return png(canvas)


def _name_weeks(axes: "Axes", weeks: Sequence[str]) -> None:
    step = max(1, -(-len(weeks) // 3))
    positions = list(range(0, len(weeks), step))
    axes.set_xticks(positions, [weeks[at] for at in positions], fontsize=7)
    axes.set_xlim(-0.5, max(len(weeks) - 0.5, 0.5))


def _position(weeks: Sequence[str], at: str) -> float:
    year, week, day = date.fromisoformat(at[:10]).isocalendar()
    name = f"{year}-W{week:02}"
    before = sum(1 for other in weeks if other < name)
    return before - 0.5 + (day - 0.5) / 7
