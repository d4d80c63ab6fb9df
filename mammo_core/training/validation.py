"""The metrics of the validation set after each epoch."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from mammo_core.datasets.batches import BatchSource
from mammo_core.metrics import accuracy, one_against_rest_auc
from mammo_core.training.inputs import ToNetwork
from mammo_core.training.prediction import predict


def validate(
    model: keras.Model,
    source: BatchSource,
    to_network: ToNetwork,
    class_names: Sequence[str],
    xla: bool | None = None,
) -> dict[str, Any]:
    """Evaluate the whole validation set: `val_loss`, `val_accuracy`, `val_auc`, `val_recall`.

    Args:
        model: The model in training.
        source: The validation records; all of them count.
        to_network: `Preprocessing.to_network`.
        class_names: In the order of the label map.
        xla: Compile with XLA; None: if it is faster.
    """
    _, probabilities, labels = predict(model, source, to_network, xla=xla)
    predicted = probabilities.argmax(axis=1)
    label_probabilities = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    by_class = [value for value in one_against_rest_auc(labels, probabilities) if value is not None]
    if len(class_names) == 2:
        by_class = by_class[1:]
    recall = {
        name: float((predicted[labels == index] == index).mean())
        for index, name in enumerate(class_names)
        if (labels == index).any()
    }
    return {
        "val_loss": float(-np.log(np.clip(label_probabilities, 1e-7, 1)).mean()),
        "val_accuracy": accuracy(labels, predicted),
        "val_auc": float(np.mean(by_class)) if by_class else None,
        "val_recall": recall,
    }
