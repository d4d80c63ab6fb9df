"""Batches as the training step takes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.training.augmentation import augment, draw
from mammo_core.training.balance import sample_weights
from mammo_core.training.checks import check_labels
from mammo_core.training.config import AugmentationConfig, Balance
from mammo_core.training.prediction import ToNetwork


@dataclass(frozen=True)
class Step:
    """A batch as the model takes it; `count` of its rows are records, the rest filling."""

    ids: list[str]
    images: Any
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.ids)


def training_steps(
    source: BatchSource,
    epoch: int,
    to_network: ToNetwork,
    augmentation: AugmentationConfig | None,
    balance: Balance | None,
    seed: int,
    classes: int,
) -> Iterator[Step]:
    """Yield an epoch's batches, augmented and weighted, all of the first one's size.

    Args:
        source: The training records.
        epoch: Number of the epoch, from 0.
        to_network: `Preprocessing.to_network`.
        augmentation: Random changes, or None.
        balance: Weights by class, or None.
        seed: The run's seed.
        classes: Number of classes.
    """
    first: Batch | None = None
    for batch in source.batches(epoch):
        check_labels(batch, classes)
        first = first or batch
        count = len(batch.ids)
        missing = max(len(first.ids) - count, 0)
        ids = batch.ids + first.ids[:missing]
        images: Any = to_network(np.concatenate([batch.pixels, first.pixels[:missing]]))
        if augmentation is not None:
            drawn = draw(augmentation, seed, ids, epoch, images.shape[-1])
            images = augment(images, drawn, augmentation)
        targets = np.zeros((len(ids), classes), np.float32)
        targets[np.arange(count), batch.labels] = 1
        weights = np.zeros(len(ids), np.float32)
        # Keras divides by all rows; the loss is a mean over the records.
        scale = np.float32(len(ids) / count)
        weights[:count] = sample_weights(balance, batch.labels, source.class_counts) * scale
        yield Step(batch.ids, images, targets, weights, batch.labels)
