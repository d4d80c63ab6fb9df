"""Sample weights and sampling that give rare classes the weight of common ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.seeds import generator
from mammo_core.training.config import Balance

Weights = npt.NDArray[np.float32]

#: Memory for shuffling the copies of records, bytes.
_BUFFER_BYTES = 256 * 2**20
#: Separates a record's id from the number of its copy.
COPY_SEPARATOR = "#"


def sample_weights(
    balance: Balance | None,
    labels: npt.NDArray[np.int32],
    class_counts: Sequence[int],
    class_weights: Sequence[float] | None = None,
) -> Weights:
    """Return the weights of the records of a batch.

    Args:
        balance: `"batch_weights"`: 1 / share of the class in this batch, so the mean is the
            number of classes present (docs/original-system.md, "Balancing"); `"class_weights"`:
            `class_weights`, or 1 / share of the class in the whole set, divided by the number of
            classes; anything else: 1.
        labels: `(n,) int32`.
        class_counts: Records of each class in the whole set.
        class_weights: Weight of each class.

    Returns:
        `(n,) float32`.
    """
    if balance == "class_weights" and class_weights is not None:
        return np.asarray(class_weights, np.float32)[labels]
    if balance not in ("batch_weights", "class_weights"):
        return np.ones(len(labels), np.float32)
    counts = (
        np.bincount(labels, minlength=len(class_counts))
        if balance == "batch_weights"
        else np.asarray(class_counts) * sum(count > 0 for count in class_counts)
    )
    total = len(labels) if balance == "batch_weights" else sum(class_counts)
    return (total / counts[labels]).astype(np.float32)


class BalancedSource:
    """A BatchSource in which every class is equally frequent.

    A record of a rare class occurs several times per epoch, one of a common class not in every
    epoch; fractions are drawn at random. Copies have their own ids (`<id>#<copy>`), so each is
    augmented differently.

    Args:
        source: The records.
        seed: The run's seed.
    """

    def __init__(self, source: BatchSource, seed: int) -> None:
        self._source, self._seed = source, seed
        self._present = sum(count > 0 for count in source.class_counts)

    @property
    def size(self) -> int:
        """Expected number of records in an epoch."""
        return self._source.size

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Records of each class in the set, before balancing."""
        return self._source.class_counts

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the records of an epoch, in batches of the source's size."""
        pending: list[Batch] = []
        size = 0
        for record in self._shuffled(epoch):
            size = size or self._batch_size
            pending.append(record)
            if len(pending) == size:
                yield _concatenate(pending)
                pending = []
        if pending:
            yield _concatenate(pending)

    def _copies(self, epoch: int) -> Iterator[Batch]:
        self._batch_size = 0
        for batch in self._source.batches(epoch):
            self._batch_size = self._batch_size or len(batch.ids)
            for at, (id, label) in enumerate(zip(batch.ids, batch.labels, strict=True)):
                row = slice(at, at + 1)
                draw = generator(self._seed, "balance", id, epoch).random()
                for copy in range(int(self._expected_copies(id, int(label)) + draw)):
                    name = f"{id}{COPY_SEPARATOR}{copy}" if copy else id
                    yield Batch([name], batch.pixels[row], batch.labels[row])

    def _expected_copies(self, id: str, label: int) -> float:
        """How often a record is expected in an epoch."""
        return self.size / (self._present * self._source.class_counts[label])

    def _shuffled(self, epoch: int) -> Iterator[Batch]:
        """Shuffle the records that fit into memory, so that copies are not adjacent."""
        draw = generator(self._seed, "balanced order", epoch)
        buffer: list[Batch] = []
        for record in self._copies(epoch):
            if (len(buffer) + 1) * record.pixels.nbytes <= _BUFFER_BYTES:
                buffer.append(replace(record, pixels=record.pixels.copy()))
                continue
            index = int(draw.integers(len(buffer)))
            chosen, buffer[index] = buffer[index], replace(record, pixels=record.pixels.copy())
            yield chosen
        for index in draw.permutation(len(buffer)):
            yield buffer[index]


def class_weight_list(
    class_weights: Mapping[str, float] | None, names: Sequence[str]
) -> list[float]:
    """Return the weights of the classes in the order of their names; 1 by default."""
    return [(class_weights or {}).get(name, 1.0) for name in names]


def _concatenate(records: list[Batch]) -> Batch:
    return Batch(
        [record.ids[0] for record in records],
        np.concatenate([record.pixels for record in records]),
        np.concatenate([record.labels for record in records]),
    )
