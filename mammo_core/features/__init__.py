"""The feature store: labels, splits and statistics by image and lesion, and frames of them."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.features.frame import Frame, read_frame
    from mammo_core.features.publish import (
        MAIN,
        FeatureTables,
        find_frame,
        frame_as_of,
        publish_features,
        publish_frame,
    )
    from mammo_core.features.scores import publish_scores

__all__ = [
    "MAIN",
    "FeatureTables",
    "Frame",
    "find_frame",
    "frame_as_of",
    "publish_features",
    "publish_frame",
    "publish_scores",
    "read_frame",
]

import_lazily(
    __name__,
    {
        "frame": ["Frame", "read_frame"],
        "publish": [
            "MAIN",
            "FeatureTables",
            "find_frame",
            "frame_as_of",
            "publish_features",
            "publish_frame",
        ],
        "scores": ["publish_scores"],
    },
)
