"""Both views of a breast at a time, for networks that see two views."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch
from mammo_core.datasets.manifests import Manifest
from mammo_core.datasets.random_access import locate_records, read_pixels
from mammo_core.datasets.tfrecord import RecordLocation
from mammo_core.errors import RecordError
from mammo_core.seeds import generator
from mammo_core.store import Store


@dataclass(frozen=True)
class BreastViews:
    """The images and the label of a breast.

    Attributes:
        cc: Id of the CC image, or None if there is none.
        mlo: Id of the MLO image, or None if there is none.
        label: Class index.
    """

    cc: str | None
    mlo: str | None
    label: int


class BreastSource:
    """Breasts of an image dataset in batches (a BatchSource of pairs).

    The pixels of a batch are `(n, 2, h, w) uint16, [0, 65535]`: CC, MLO. A missing view is all
    zeros.

    Args:
        store: The store of the dataset.
        manifest: The image dataset.
        breasts: Breast id → its views and label.
        classes: Number of classes.
        batch_size: Breasts per batch; the last batch may be smaller.
        shuffle_seed: Seed of the order, which differs between epochs; None: sorted by id.

    Raises:
        RecordError: A breast has no view, or an image is not in the dataset.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        breasts: Mapping[str, BreastViews],
        *,
        classes: int,
        batch_size: int,
        shuffle_seed: int | None = None,
    ) -> None:
        self._ids = sorted(breasts)
        self._breasts = [breasts[breast_id] for breast_id in self._ids]
        self._batch_size, self._seed = batch_size, shuffle_seed
        labels = [breast.label for breast in self._breasts]
        self._labels = np.array(labels, np.int32)
        self._counts = tuple(int(n) for n in np.bincount(labels or [0], minlength=classes))
        if not labels:
            self._counts = (0,) * classes
        images = {view for breast in self._breasts for view in (breast.cc, breast.mlo) if view}
        self._locations: dict[str, RecordLocation] = {}
        for file in manifest.files_like("shard-") if images else []:
            path = str(store.fetch(file.key))
            for image_id, location in locate_records(path, file.key, "image_id"):
                if image_id in images:
                    self._locations[image_id] = location
        missing = sorted(images - set(self._locations))
        empty = [
            breast_id
            for breast_id, breast in zip(self._ids, self._breasts, strict=True)
            if not (breast.cc or breast.mlo)
        ]
        if missing or empty:
            raise RecordError(
                f"Breasts cannot be read from the dataset {manifest.folder}",
                expected="at least one view per breast, and a record of every view",
                received=f"no record of {len(missing)} views, no view of {len(empty)} breasts: "
                f"{', '.join([*missing, *empty][:3])}",
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
        """Yield every breast once, in the order of the epoch."""
        order = np.arange(self.size)
        if self._seed is not None:
            order = generator(self._seed, "order", epoch).permutation(self.size)
        for start in range(0, self.size, self._batch_size):
            chosen = order[start : start + self._batch_size]
            pixels = np.stack([self._read_pair(self._breasts[index]) for index in chosen])
            yield Batch([self._ids[index] for index in chosen], pixels, self._labels[chosen])

    def _read_pair(self, breast: BreastViews) -> npt.NDArray[np.uint16]:
        views = [
            read_pixels(self._locations[image_id]) if image_id else None
            for image_id in (breast.cc, breast.mlo)
        ]
        shape = next(view.shape for view in views if view is not None)
        if any(view is not None and view.shape != shape for view in views):
            raise RecordError(
                "The two views of a breast have different sizes",
                expected=f"{shape}, the size of the first",
                received=", ".join(str(view.shape) for view in views if view is not None),
                hint="convert with resize `forced` or `pad`",
            )
        return np.stack([np.zeros(shape, np.uint16) if view is None else view for view in views])
