"""Synthetic mammograms as a CBIS-DDSM tree: DICOM files, masks, crops and case tables.

Everything is drawn by a program from random numbers, without any image of a patient.
`create` writes a whole tree; `plan_views` and `draw_view` return single views.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mammo_core.phantom.config import PhantomConfig, PhantomSummary
from mammo_core.phantom.create import create, verify
from mammo_core.phantom.latent import optimal_auc

if TYPE_CHECKING:
    from mammo_core.phantom.draw import View, draw_view
    from mammo_core.phantom.plan import LesionPlan, ViewPlan, plan_views

__all__ = [
    "LesionPlan",
    "PhantomConfig",
    "PhantomSummary",
    "View",
    "ViewPlan",
    "create",
    "draw_view",
    "optimal_auc",
    "plan_views",
    "verify",
]


# Planning and drawing import numpy and OpenCV; recognizing a complete tree needs neither.
_MODULES = {
    "LesionPlan": "plan",
    "View": "draw",
    "ViewPlan": "plan",
    "draw_view": "draw",
    "plan_views": "plan",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"mammo_core.phantom.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
