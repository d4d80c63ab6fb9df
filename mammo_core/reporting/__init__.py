"""HTML pages and plots of all steps, made from plain data: HTML text or PNG bytes."""

from mammo_core.reporting.intervals import interval_plot
from mammo_core.reporting.measure_plots import curves_plot, forest_plot, reliability_plot
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
    "forest_plot",
    "interval_plot",
    "overlay",
    "reliability_plot",
    "roc_plot",
    "training_plot",
]
