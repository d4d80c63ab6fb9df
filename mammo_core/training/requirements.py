"""Requirements that are verified before a training starts, and its warnings."""

from collections.abc import Sequence

import keras
import numpy as np

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.errors import ModelError
from mammo_core.training.config import FitConfig, StageConfig


def require_trainable(
    model: keras.Model,
    config: FitConfig,
    train: BatchSource,
    validation: BatchSource,
    class_names: Sequence[str],
) -> None:
    """Raise an error for sets or stages that cannot be trained on.

    Raises:
        ModelError: A set is empty or lacks a required class, the classes differ from the
            model's, or there is no epoch to train.
    """
    unknown = sorted(set(config.class_weights or {}) - set(class_names))
    if unknown:
        raise ModelError(
            f"There is no class {', '.join(unknown)} to weight",
            expected=f"some of {', '.join(class_names)} (class_weights)",
            received=", ".join(unknown),
        )
    if not sum(stage.epochs for stage in config.stages):
        raise ModelError(
            "There is nothing to train", expected="a stage with 1 epoch or more", received="none"
        )
    outputs = model.output_shape[-1]
    for set_name, source in (("training", train), ("validation", validation)):
        if not source.size:
            raise empty_set_error(set_name, source.size)
        if not len(class_names) == outputs == len(source.class_counts):
            raise ModelError(
                f"The classes of the {set_name} set are not those of {model.name}",
                expected=f"{outputs} classes, the model's outputs",
                received=f"{len(source.class_counts)} in the set, {len(class_names)} names",
            )
        counts = dict(zip(class_names, source.class_counts, strict=True))
        missing = [name for name, count in counts.items() if not count]
        one_class = len(counts) - len(missing) < 2
        if missing and (one_class if set_name == "training" else config.selection == "auc"):
            raise ModelError(
                f"The {set_name} set has no record of class {', '.join(missing)}",
                expected="records of two classes or more"
                if set_name == "training"
                else "records of every class (the AUC needs them)",
                received=", ".join(f"{name} {count}" for name, count in counts.items()),
                hint=_missing_class_hint(class_names, missing),
            )


def _missing_class_hint(class_names: Sequence[str], missing: Sequence[str]) -> str:
    if len(class_names) == 2:  # of images: there is no label map to change
        return f"put patients of class {', '.join(missing)} into this split"
    if len(missing) == len(class_names) - 1:
        return (
            "there is no patch of a lesion in this split: put patients with lesions into it, or "
            "start from a model package (image_training.start), which needs labels of images only"
        )
    return "put patients with such lesions into this split, or merge classes with label_map"


def training_warnings(
    stages: Sequence[StageConfig],
    train: BatchSource,
    validation: BatchSource,
    class_names: Sequence[str],
    from_scratch: bool,
) -> list[str]:
    """Return warnings for the reader of the result, as sentences."""
    warnings = []
    if from_scratch and stages[0].train != "all":
        warnings.append(
            f"The network starts from random weights, but the first stage trains "
            f"{stages[0].train!r} only: its frozen layers stay random until a later stage."
        )
    for set_name, source in (("training", train), ("validation", validation)):
        absent = [n for n, c in zip(class_names, source.class_counts, strict=True) if not c]
        if absent:
            warnings.append(f"The {set_name} set has no record of class {', '.join(absent)}.")
    return warnings


def require_valid_labels(batch: Batch, classes: int) -> None:
    """Raise a ModelError, which names the record, for a batch with a label that is not a class."""
    wrong = (batch.labels < 0) | (batch.labels >= classes)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ModelError(
            f"Record {batch.ids[at]} has a label that is not a class",
            expected=f"0 to {classes - 1}",
            received=str(batch.labels[at]),
        )


def empty_set_error(name: str, size: int) -> ModelError:
    """Return the error for a set without records."""
    return ModelError(
        f"The {name} set is empty", expected="1 record or more", received=f"{size} records"
    )
