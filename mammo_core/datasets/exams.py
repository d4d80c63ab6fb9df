"""Both views of a breast at a time, for networks that see two."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.access import Place, pixels_at, places
from mammo_core.datasets.batches import Batch
from mammo_core.datasets.manifests import Manifest
from mammo_core.errors import RecordError
from mammo_core.seeds import generator
from mammo_core.store import Store


@dataclass(frozen=True)
class Exam:
    """A breast.

    Attributes:
        cc: Id of the image of that view, or None where there is none.
        mlo: Likewise.
        label: Class index.
    """

    cc: str | None
    mlo: str | None
    label: int


class ExamSource:
    """Breasts of an image dataset in batches (a BatchSource of pairs).

    The pixels of a batch are `(n, 2, h, w) uint16`: CC, MLO; a view that was not taken is
    all zeros.

    Args:
        store: Where the dataset is.
        manifest: The image dataset.
        exams: Breast id → its views and label.
        classes: Number of classes.
        batch_size: Breasts of a batch; the last one may be smaller.
        shuffle_seed: Seed of the order, which then differs each epoch; None: sorted by id.

    Raises:
        RecordError: A breast has no view, or an image is not in the dataset.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        exams: Mapping[str, Exam],
        *,
        classes: int,
        batch_size: int,
        shuffle_seed: int | None = None,
    ) -> None:
        self._ids = sorted(exams)
        self._exams = [exams[name] for name in self._ids]
        self._batch_size, self._seed = batch_size, shuffle_seed
        labels = [exam.label for exam in self._exams]
        self._labels = np.array(labels, np.int32)
        self._counts = tuple(int(n) for n in np.bincount(labels or [0], minlength=classes))
        if not labels:
            self._counts = (0,) * classes
        wanted = {view for exam in self._exams for view in (exam.cc, exam.mlo) if view}
        self._places: dict[str, Place] = {}
        for file in manifest.files_like("shard-") if wanted else []:
            for name, place in places(str(store.fetch(file.key)), file.key, "image_id"):
                if name in wanted:
                    self._places[name] = place
        lost = sorted(wanted - set(self._places))
        empty = [n for n, e in zip(self._ids, self._exams, strict=True) if not (e.cc or e.mlo)]
        if lost or empty:
            raise RecordError(
                f"Breasts cannot be read from the dataset {manifest.folder}",
                expected="a view of each breast, and a record of each view",
                received=f"no record of {len(lost)} views, no view of {len(empty)} breasts: "
                f"{', '.join([*lost, *empty][:3])}",
            )

    @property
    def size(self) -> int:
        """Number of breasts."""
        return len(self._ids)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Breasts of each class."""
        return self._counts

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every breast once, in the epoch's order."""
        order = np.arange(self.size)
        if self._seed is not None:
            order = generator(self._seed, "order", epoch).permutation(self.size)
        for start in range(0, self.size, self._batch_size):
            chosen = order[start : start + self._batch_size]
            pixels = np.stack([self._pair(self._exams[index]) for index in chosen])
            yield Batch([self._ids[index] for index in chosen], pixels, self._labels[chosen])

    def _pair(self, exam: Exam) -> npt.NDArray[np.uint16]:
        found = [pixels_at(self._places[view]) if view else None for view in (exam.cc, exam.mlo)]
        shape = next(one.shape for one in found if one is not None)
        if any(one is not None and one.shape != shape for one in found):
            raise RecordError(
                "The two views of a breast have several sizes",
                expected=f"{shape}, the size of the first",
                received=", ".join(str(one.shape) for one in found if one is not None),
                hint="convert with resize `forced` or `pad`",
            )
        return np.stack([np.zeros(shape, np.uint16) if one is None else one for one in found])
