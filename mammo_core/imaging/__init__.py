"""Pure array functions: resizing, gray range, breast segmentation, cleaning, orientation."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.imaging.breast import (
        background_level,
        breast_mask,
        breast_share,
        segment_breast,
    )
    from mammo_core.imaging.clean import (
        largest_object,
        median_filter,
        remove_pectoral,
        suppress_artifacts,
    )
    from mammo_core.imaging.gray_measures import GrayMeasures, measure_gray_levels
    from mammo_core.imaging.intensity import (
        equalize_hist,
        statistics,
        stretch,
        to_eight_bit,
        to_full_range,
    )
    from mammo_core.imaging.options import (
        FULL_RANGE,
        Interpolation,
        MaskInterpolation,
        Orientation,
        Resize,
        Stretch,
    )
    from mammo_core.imaging.orientation import chest_side, needs_flip
    from mammo_core.imaging.plausibility import (
        Distribution,
        Fault,
        Outlier,
        distribution_of,
        find_faults,
        find_outliers,
    )
    from mammo_core.imaging.resize import output_size, resize, resize_mask

__all__ = [
    "FULL_RANGE",
    "Distribution",
    "Fault",
    "GrayMeasures",
    "Interpolation",
    "MaskInterpolation",
    "Orientation",
    "Outlier",
    "Resize",
    "Stretch",
    "background_level",
    "breast_mask",
    "breast_share",
    "chest_side",
    "distribution_of",
    "equalize_hist",
    "find_faults",
    "find_outliers",
    "largest_object",
    "measure_gray_levels",
    "median_filter",
    "needs_flip",
    "output_size",
    "remove_pectoral",
    "resize",
    "resize_mask",
    "segment_breast",
    "statistics",
    "stretch",
    "suppress_artifacts",
    "to_eight_bit",
    "to_full_range",
]

import_lazily(
    __name__,
    {
        "breast": ["background_level", "breast_mask", "breast_share", "segment_breast"],
        "clean": ["largest_object", "median_filter", "remove_pectoral", "suppress_artifacts"],
        "gray_measures": ["GrayMeasures", "measure_gray_levels"],
        "intensity": ["equalize_hist", "statistics", "stretch", "to_eight_bit", "to_full_range"],
        "options": [
            "FULL_RANGE",
            "Interpolation",
            "MaskInterpolation",
            "Orientation",
            "Resize",
            "Stretch",
        ],
        "orientation": ["chest_side", "needs_flip"],
        "plausibility": [
            "Distribution",
            "Fault",
            "Outlier",
            "distribution_of",
            "find_faults",
            "find_outliers",
        ],
        "resize": ["output_size", "resize", "resize_mask"],
    },
)
