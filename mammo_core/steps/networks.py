"""Trained networks in the store, and the preprocessing they were trained with."""

import os
import tempfile
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import fetch_verified
from mammo_core.evaluation.aggregate import Unit
from mammo_core.features.frame import Frame
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.steps.base import StepContext


def prepare_keras() -> None:
    """Choose the backend and quiet its start-up lines, before Keras is imported first."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def preprocessing_of(dataset: Manifest, frame: Frame, channels: int) -> Preprocessing:
    """Build the one preprocessing of a run from its dataset and its frame."""
    return Preprocessing(
        geometry=Geometry(**dataset.facts["geometry"]),
        bit_depth=dataset.facts["bit_depth"],
        mean=frame.mean,
        rescale_factor=frame.rescale_factor,
        intensity=frame.intensity.regime,
        target_scale=frame.intensity.target_scale,
        equalize=frame.intensity.equalize,
        conversion=Conversion.model_validate(dataset.facts.get("conversion", {})),
        channels=1 if channels == 1 else 3,
    )


def training_preprocessing(training: Manifest) -> Preprocessing:
    """The preprocessing that a training was done with."""
    return Preprocessing.model_validate(training.facts["preprocessing"])


def unit_of_training(training: Manifest) -> Unit:
    """Return what the whole-image network of a training sees at once."""
    return "image" if training.config.get("two_view") is None else "breast"


def load_network(context: StepContext, training: Manifest) -> Any:
    """Load the network of a training."""
    prepare_keras()
    from mammo_core.models import load_model

    stored = fetch_verified(context.store, training.file("model.keras"))
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(stored.read_bytes())
        return load_model(path)
