"""The samples of a package's self check: phantoms, so a package contains no patient's pixels."""

from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.evaluation.aggregate import Unit
from mammo_core.phantom import PhantomConfig, ViewPlan, draw_view, plan_views
from mammo_core.preprocessing import Preprocessing

_PHANTOM: Final = PhantomConfig(patients=8, seed=20190829)


def phantom_samples(
    preprocessing: Preprocessing, count: int = 4, unit: Unit = "image"
) -> npt.NDArray[np.uint16]:
    """Draw phantom views in the geometry of a model.

    Args:
        preprocessing: Preprocessing of the model.
        count: Number of views, benign and malignant in turn, at most 8; fewer if widths differ.
        unit: `breast`: that many breasts with both views, and two more with one view.

    Returns:
        `(count, H, W) uint16, [0, 65535]`, or `(count + 2, 2, H, W)`: CC and MLO, zeros for a
        missing view. Deterministic.
    """
    plans = plan_views(_PHANTOM)
    if unit == "breast":
        return _breasts(preprocessing, plans, count)
    benign = [plan for plan in plans if not plan.malignant]
    malignant = [plan for plan in plans if plan.malignant]
    chosen = [plan for pair in zip(benign, malignant, strict=False) for plan in pair][:count]
    images = [_draw(preprocessing, plan) for plan in chosen]
    # Cropped breasts of one height differ in width.
    return np.stack([image for image in images if image.shape == images[0].shape])


def _breasts(
    preprocessing: Preprocessing, plans: list[ViewPlan], count: int
) -> npt.NDArray[np.uint16]:
    by_breast: dict[tuple[str, str], dict[str, ViewPlan]] = {}
    for plan in plans:
        by_breast.setdefault((plan.patient_key, plan.laterality), {})[plan.view] = plan
    both = [views for views in by_breast.values() if len(views) == 2]
    benign = [views for views in both if not views["CC"].malignant]
    malignant = [views for views in both if views["CC"].malignant]
    chosen = [views for pair in zip(benign, malignant, strict=False) for views in pair][:count]
    pairs = [
        np.stack([_draw(preprocessing, views[view]) for view in ("CC", "MLO")]) for views in chosen
    ]
    cc, mlo = pairs[0].copy(), pairs[-1].copy()
    cc[1], mlo[0] = 0, 0
    return np.stack([*pairs, cc, mlo])


def _draw(preprocessing: Preprocessing, plan: ViewPlan) -> npt.NDArray[np.uint16]:
    return preprocessing.from_source(draw_view(_PHANTOM, plan).pixels, 16, plan.laterality)
