"""Pure array functions: resizing, gray range, breast segmentation."""

from mammo_core.imaging.breast import breast_mask, breast_share, segment_breast
from mammo_core.imaging.intensity import FULL_RANGE, equalize_hist, to_full_range
from mammo_core.imaging.resize import Interpolation, Resize, output_size, resize, resize_mask

__all__ = [
    "FULL_RANGE",
    "Interpolation",
    "Resize",
    "breast_mask",
    "breast_share",
    "equalize_hist",
    "output_size",
    "resize",
    "resize_mask",
    "segment_breast",
    "to_full_range",
]
