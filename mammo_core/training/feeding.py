"""Batches as the training step takes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.training.augmentation import augment, draw
from mammo_core.training.balance import sample_weights, weights_of
from mammo_core.training.checks import check_labels
from mammo_core.training.config import FitConfig
from mammo_core.training.views import ToNetwork, to_channels, to_inputs


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
    config: FitConfig,
    seed: int,
    class_names: Sequence[str],
    channels: int,
    skip: int = 0,
    devices: int = 1,
) -> Iterator[Step]:
    """Yield an epoch's batches, augmented and weighted, all of the first one's size.

    Args:
        source: The training records.
        epoch: Number of the epoch, from 0.
        to_network: `Preprocessing.to_network`; one channel is enough.
        config: Augmentation and balance.
        seed: The run's seed.
        class_names: In the order of the label map.
        channels: Of the model; equal ones are made on the device.
        skip: Batches that were done before.
        devices: That share each batch: its rows are a multiple.
    """
    classes = len(class_names)
    given = None
    if config.class_weights is not None:
        given = weights_of(config.class_weights, class_names)

    def changed(images: Any, names: list[str]) -> Any:
        if config.augmentation is not None:
            drawn = draw(config.augmentation, seed, names, epoch, channels)
            images = augment(images, drawn, config.augmentation)
        return to_channels(images, channels)

    first: Batch | None = None
    for number, batch in enumerate(source.batches(epoch)):
        first = first or batch
        if number < skip:
            continue
        check_labels(batch, classes)
        count = len(batch.ids)
        missing = max(-(-len(first.ids) // devices) * devices - count, 0)
        filling = [row % len(first.ids) for row in range(missing)]
        ids = batch.ids + [first.ids[row] for row in filling]
        pixels = batch.pixels
        if missing:
            pixels = np.concatenate([pixels, first.pixels[filling]])
        images = to_inputs(pixels, ids, to_network, changed)
        targets = np.zeros((len(ids), classes), np.float32)
        targets[np.arange(count), batch.labels] = 1
        weights = np.zeros(len(ids), np.float32)
        own = sample_weights(config.balance, batch.labels, source.class_counts, given)
        # Keras divides by all rows; the loss is a mean over the records, or their weights.
        total = own.sum(dtype=np.float64) if config.weighted_mean else count
        weights[:count] = own * np.float32(len(ids) / total)
        yield Step(batch.ids, images, targets, weights, batch.labels)
