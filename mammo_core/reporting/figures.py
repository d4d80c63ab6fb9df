"""The style of all figures, and their PNG bytes."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colors of Okabe and Ito, which color-blind readers can distinguish.
BLUE, ORANGE, GREEN, PURPLE, GRAY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6b7280"
COLORS = (BLUE, ORANGE, GREEN, PURPLE)


def figure(width: float, height: float) -> "Figure":
    """Return an empty figure (size in inches), without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(canvas)
    return canvas


def style(axes: "Axes", title: str, x: str = "", y: str = "") -> None:
    """Set title and labels of axes, with a light grid and no box."""
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8, color="#9ca3af")
    axes.grid(True, color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#9ca3af")


def png(canvas: "Figure", dpi: int = 110) -> bytes:
    """Return a figure as PNG bytes; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
