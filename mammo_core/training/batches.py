"""The batches of an epoch: augmented, weighted and padded to one size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.training.augmentation import augment, draw_parameters
from mammo_core.training.balance import class_weight_list, sample_weights
from mammo_core.training.config import FitConfig
from mammo_core.training.inputs import ToNetwork, to_channels, to_inputs
from mammo_core.training.requirements import require_valid_labels


@dataclass(frozen=True)
class TrainingBatch:
    """A batch as the model takes it; after the records, rows of weight 0 fill it up.

    Attributes:
        ids: Ids of the n records.
        images: `(rows, h, w, c) float32` on the network's scale, or a list of two for both views.
        targets: `(rows, classes) float32`, one-hot; zeros for filling rows.
        weights: `(rows,) float32`; 0 for filling rows.
        labels: `(n,) int32`.
    """

    ids: list[str]
    images: Any
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.ids)


def training_batches(
    source: BatchSource,
    epoch: int,
    to_network: ToNetwork,
    config: FitConfig,
    seed: int,
    class_names: Sequence[str],
    channels: int,
    skip: int = 0,
    devices: int = 1,
) -> Iterator[TrainingBatch]:
    """Yield the batches of an epoch, augmented and weighted, all with the size of the first.

    Args:
        source: The training records.
        epoch: Number of the epoch, from 0.
        to_network: `Preprocessing.to_network`; one channel is enough.
        config: Augmentation and balance.
        seed: The run's seed.
        class_names: In the order of the label map.
        channels: Channels of the model; equal channels are made on the device.
        skip: Batches completed before.
        devices: Devices that share each batch: its rows are a multiple of them.

    Raises:
        ModelError: A label is not a class.
    """
    classes = len(class_names)
    class_weights = None
    if config.class_weights is not None:
        class_weights = class_weight_list(config.class_weights, class_names)

    def transform(images: Any, names: list[str]) -> Any:
        if config.augmentation is not None:
            parameters = draw_parameters(config.augmentation, seed, names, epoch, channels)
            images = augment(images, parameters, config.augmentation)
        return to_channels(images, channels)

    first: Batch | None = None
    for number, batch in enumerate(source.batches(epoch)):
        first = first or batch
        if number < skip:
            continue
        require_valid_labels(batch, classes)
        count = len(batch.ids)
        missing = max(-(-len(first.ids) // devices) * devices - count, 0)
        filling = [row % len(first.ids) for row in range(missing)]
        ids = batch.ids + [first.ids[row] for row in filling]
        pixels = batch.pixels
        if missing:
            pixels = np.concatenate([pixels, first.pixels[filling]])
        images = to_inputs(pixels, ids, to_network, transform)
        targets = np.zeros((len(ids), classes), np.float32)
        targets[np.arange(count), batch.labels] = 1
        weights = np.zeros(len(ids), np.float32)
        record_weights = sample_weights(
            config.balance, batch.labels, source.class_counts, class_weights
        )
        # Keras divides by all rows; the loss is a mean over the records or their weights.
        total = record_weights.sum(dtype=np.float64) if config.weighted_mean else count
        weights[:count] = record_weights * np.float32(len(ids) / total)
        yield TrainingBatch(batch.ids, images, targets, weights, batch.labels)
