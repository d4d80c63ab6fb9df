"""Synthetic mammograms as published data sets: images, masks and tables.

Everything is drawn by a program from random numbers, without any image of a patient.
`create` writes a whole tree; `plan_views` and `draw_view` return single views.
"""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.phantom.config import PhantomConfig, PhantomSummary
    from mammo_core.phantom.create import create, verify
    from mammo_core.phantom.draw import DrawnView, draw_view
    from mammo_core.phantom.latent import optimal_auc
    from mammo_core.phantom.plan import LesionPlan, ViewPlan, plan_views

__all__ = [
    "DrawnView",
    "LesionPlan",
    "PhantomConfig",
    "PhantomSummary",
    "ViewPlan",
    "create",
    "draw_view",
    "optimal_auc",
    "plan_views",
    "verify",
]

import_lazily(
    __name__,
    {
        "config": ["PhantomConfig", "PhantomSummary"],
        "create": ["create", "verify"],
        "draw": ["DrawnView", "draw_view"],
        "latent": ["optimal_auc"],
        "plan": ["LesionPlan", "ViewPlan", "plan_views"],
    },
)
