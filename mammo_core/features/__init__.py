"""The feature store: labels, splits and statistics by image and lesion, and frames of them."""

from mammo_core.features.frame import FRAME_KIND, FRAME_REVISION, Frame, read_frame
from mammo_core.features.publish import FeatureTables, find_frame, publish_frame

__all__ = [
    "FRAME_KIND",
    "FRAME_REVISION",
    "FeatureTables",
    "Frame",
    "find_frame",
    "publish_frame",
    "read_frame",
]
