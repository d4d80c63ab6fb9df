"""Weights and draws that make rare classes count as much as common ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch, BatchSource
from mammo_core.seeds import generator
from mammo_core.training.config import Balance

Weights = npt.NDArray[np.float32]

#: What a balanced draw holds to spread the copies of a record (bytes).
_HELD = 256 * 2**20
#: Divides a record's id from the number of its copy.
COPY = "#"


def sample_weights(
    balance: Balance | None,
    labels: npt.NDArray[np.int32],
    class_counts: Sequence[int],
    class_weights: Sequence[float] | None = None,
) -> Weights:
    """Weigh the records of a batch.

    Args:
        balance: `"batch_weights"`: 1 / share of the class in this batch, so the mean is the
            number of classes present (original-system.md §4.3); `"class_weights"`: those
            given, or 1 / share of the class in the whole set, over the number of classes;
            anything else: 1.
        labels: `(n,)`.
        class_counts: Records of each class in the whole set.
        class_weights: Of each class.

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
    """A source that gives each class as often as any other (a BatchSource).

    Each record comes so many times that the classes are equal: a rare one several times, a
    common one not in every epoch; what is left of whole numbers is drawn. The copies are
    told apart by their ids (`<id>#<copy>`), so each is augmented on its own.

    Args:
        source: The records.
        seed: The run's seed.
    """

    def __init__(self, source: BatchSource, seed: int) -> None:
        self._source, self._seed = source, seed
        self._present = sum(count > 0 for count in source.class_counts)

    @property
    def size(self) -> int:
        """Number of records in an epoch, as it is expected."""
        return self._source.size

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Records of each class, as they are."""
        return self._source.class_counts

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the epoch's draw, in batches of the source's size."""
        waiting: list[Batch] = []
        size = 0
        for record in self._spread(epoch):
            size = size or self._batch_size
            waiting.append(record)
            if len(waiting) == size:
                yield _together(waiting)
                waiting = []
        if waiting:
            yield _together(waiting)

    def _copies(self, epoch: int) -> Iterator[Batch]:
        shares = [
            self.size / (self._present * count) if count else 0.0 for count in self.class_counts
        ]
        self._batch_size = 0
        for batch in self._source.batches(epoch):
            self._batch_size = self._batch_size or len(batch.ids)
            for at, (id, label) in enumerate(zip(batch.ids, batch.labels, strict=True)):
                one = slice(at, at + 1)
                draw = generator(self._seed, "balance", id, epoch).random()
                for copy in range(int(shares[label] + draw)):
                    name = f"{id}{COPY}{copy}" if copy else id
                    yield Batch([name], batch.pixels[one], batch.labels[one])

    def _spread(self, epoch: int) -> Iterator[Batch]:
        """Shuffle what fits into memory, so that copies do not stand side by side."""
        draw = generator(self._seed, "balanced order", epoch)
        held: list[Batch] = []
        for record in self._copies(epoch):
            if (len(held) + 1) * record.pixels.nbytes <= _HELD:
                held.append(replace(record, pixels=record.pixels.copy()))
                continue
            place = int(draw.integers(len(held)))
            chosen, held[place] = held[place], replace(record, pixels=record.pixels.copy())
            yield chosen
        for place in draw.permutation(len(held)):
            yield held[place]


def weights_of(class_weights: Mapping[str, float] | None, names: Sequence[str]) -> list[float]:
    """Return the weights of the classes in the order of their names; 1 where none is given."""
    return [(class_weights or {}).get(name, 1.0) for name in names]


def _together(records: list[Batch]) -> Batch:
    return Batch(
        [record.ids[0] for record in records],
        np.concatenate([record.pixels for record in records]),
        np.concatenate([record.labels for record in records]),
    )
