"""The images a package proves itself by: phantoms, so that no patient's pixels travel."""

from typing import Final

import numpy as np
import numpy.typing as npt

from mammo_core.phantom import PhantomConfig, draw_view, plan_views
from mammo_core.preprocessing import Preprocessing

_PHANTOM: Final = PhantomConfig(patients=8, seed=20190829)


def phantom_samples(preprocessing: Preprocessing, count: int = 4) -> npt.NDArray[np.uint16]:
    """Draw phantom views and bring them to a model's geometry.

    Args:
        preprocessing: Of the model.
        count: How many views, benign and malignant in turn, at most 8;
            fewer where widths differ.

    Returns:
        `(count, H, W) uint16, [0, 65535]`; the same for the same arguments.
    """
    plans = plan_views(_PHANTOM)
    benign = [plan for plan in plans if not plan.malignant]
    malignant = [plan for plan in plans if plan.malignant]
    chosen = [plan for pair in zip(benign, malignant, strict=False) for plan in pair][:count]
    images = [
        preprocessing.from_source(draw_view(_PHANTOM, plan).pixels, 16, plan.laterality)
        for plan in chosen
    ]
    # Cropped breasts of one height have widths of their own.
    return np.stack([image for image in images if image.shape == images[0].shape])
