"""Training: augmentation, balancing, stages and the training loop.

Keras is imported on first use, so that reading a recipe stays fast.
"""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
    from mammo_core.training.config import (
        AugmentationConfig,
        FitConfig,
        HardwareConfig,
        ImageTrainingConfig,
        PatchTrainingConfig,
        StageConfig,
    )
    from mammo_core.training.fit import TrainingResult, train
    from mammo_core.training.prediction import predict

__all__ = [
    "AugmentationConfig",
    "FitConfig",
    "HardwareConfig",
    "ImageTrainingConfig",
    "PatchTrainingConfig",
    "StageConfig",
    "TrainingResult",
    "predict",
    "train",
]

import_lazily(
    __name__,
    {
        "config": [
            "AugmentationConfig",
            "FitConfig",
            "HardwareConfig",
            "ImageTrainingConfig",
            "PatchTrainingConfig",
            "StageConfig",
        ],
        "fit": ["TrainingResult", "train"],
        "prediction": ["predict"],
    },
)
