"""HTML pages and plots of all steps, made from plain data: HTML text or PNG bytes."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.reporting.intervals import interval_plot
    from mammo_core.reporting.measure_plots import (
        curves_plot,
        decision_curve_plot,
        forest_plot,
        froc_plot,
        reliability_plot,
    )
    from mammo_core.reporting.page import Page, Table
    from mammo_core.reporting.pictures import Overlay, contact_sheet, overlay
    from mammo_core.reporting.plots import confusion_plot, roc_plot, training_plot

__all__ = [
    "Overlay",
    "Page",
    "Table",
    "confusion_plot",
    "contact_sheet",
    "curves_plot",
    "decision_curve_plot",
    "forest_plot",
    "froc_plot",
    "interval_plot",
    "overlay",
    "reliability_plot",
    "roc_plot",
    "training_plot",
]

import_lazily(
    __name__,
    {
        "intervals": ["interval_plot"],
        "measure_plots": [
            "curves_plot",
            "decision_curve_plot",
            "forest_plot",
            "froc_plot",
            "reliability_plot",
        ],
        "page": ["Page", "Table"],
        "pictures": ["Overlay", "contact_sheet", "overlay"],
        "plots": ["confusion_plot", "roc_plot", "training_plot"],
    },
)
