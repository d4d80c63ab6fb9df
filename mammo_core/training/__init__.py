"""Training: augmentation, balancing, stages and the training loop.

Keras is imported on first use, so that reading a recipe stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mammo_core.training.config import (
    AugmentationConfig,
    FitConfig,
    HardwareConfig,
    ImageTrainingConfig,
    PatchTrainingConfig,
    StageConfig,
)

if TYPE_CHECKING:
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

_MODULES = {"TrainingResult": "fit", "predict": "prediction", "train": "fit"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
