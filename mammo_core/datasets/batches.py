"""The input of a training loop: batches of pixels with ids and labels, from any source."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Batch:
    """A batch of records.

    Attributes:
        ids: The n record ids (images or patches).
        pixels: `(n, h, w) uint16, [0, 65535]`.
        labels: `(n,) int32`, indices into the label map.
    """

    ids: list[str]
    pixels: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.int32]


class BatchSource(Protocol):
    """A set of labeled records that can be read again every epoch."""

    @property
    def size(self) -> int:
        """Number of records."""

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Records of each class, in the order of the label map."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every record once; the order may depend on the epoch and on nothing else."""
