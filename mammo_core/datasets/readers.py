"""tf.data readers of record datasets; the only module of the data path that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch
from mammo_core.datasets.manifests import Manifest
from mammo_core.errors import RecordError
from mammo_core.seeds import derive
from mammo_core.store import Store

#: Labelled records up to this size are kept in memory between epochs (bytes).
MEMORY_BYTES = 4 * 2**30
#: Records that a shuffle holds at a time where they do not fit in memory.
_SHUFFLE = 512
_ID_FIELDS = {"datasets/images": "image_id", "datasets/patches": "patch_id"}


class RecordSource:
    """Labelled records of a dataset, in batches, as often as wanted (a BatchSource).

    Args:
        store: Where the dataset is.
        manifest: The dataset.
        labels: Record id → class index; records without a label are left out.
        classes: Number of classes.
        batch_size: Records of a batch; the last one may be smaller.
        shuffle_seed: Seed of the order, which then differs each epoch; None: sorted by id.
        memory_bytes: Keep the records in memory when they fit into this.

    Raises:
        RecordError: When a labelled record is not in the dataset.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        labels: Mapping[str, int],
        *,
        classes: int,
        batch_size: int,
        shuffle_seed: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._id_field = _ID_FIELDS[manifest.kind]
        self._files = [str(store.fetch(file.key)) for file in manifest.files_like("shard-")]
        self._name = manifest.folder
        self._labels = dict(labels)
        self._batch_size = batch_size
        self._seed = shuffle_seed
        counts = np.bincount(list(self._labels.values()) or [0], minlength=classes)
        self._counts = tuple(int(n) for n in counts) if self._labels else (0,) * classes
        total = sum(file.size for file in manifest.files_like("shard-"))
        held = sum(file.count or 0 for file in manifest.files_like("shard-"))
        share = len(self._labels) / max(held, 1)
        self._memory: Batch | None = None
        if total * min(share, 1.0) <= memory_bytes:
            self._memory = self._load()

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self._labels)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Records of each class."""
        return self._counts

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every labelled record once, in the epoch's order."""
        if self._memory is None:
            yield from self._stream(epoch)
            return
        order = np.arange(self.size)
        if self._seed is not None:
            order = np.random.Generator(
                np.random.Philox(key=derive(self._seed, "order", epoch))
            ).permutation(self.size)
        for start in range(0, self.size, self._batch_size):
            chosen = order[start : start + self._batch_size]
            yield Batch(
                ids=[self._memory.ids[index] for index in chosen],
                pixels=self._memory.pixels[chosen],
                labels=self._memory.labels[chosen],
            )

    def _load(self) -> Batch:
        parts = sorted(self._parsed(), key=lambda part: part[0])
        self._complete(len(parts))
        if not parts:
            return Batch([], np.zeros((0, 1, 1), np.uint16), np.zeros(0, np.int32))
        return Batch(
            ids=[name for name, _ in parts],
            pixels=np.stack([pixels for _, pixels in parts]),
            labels=np.array([self._labels[name] for name, _ in parts], np.int32),
        )

    def _parsed(self) -> Iterator[tuple[str, npt.NDArray[np.uint16]]]:
        for name, pixels in self._dataset().as_numpy_iterator():
            text = name.decode()
            if text in self._labels:
                yield text, pixels

    def _stream(self, epoch: int) -> Iterator[Batch]:
        import tensorflow as tf

        data = self._dataset()
        known = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                list(self._labels), list(self._labels.values()), tf.string, tf.int64
            ),
            default_value=-1,
        )
        data = data.filter(lambda name, _: known.lookup(name) >= 0)
        if self._seed is not None:
            seed = derive(self._seed, "order", epoch) % 2**31
            data = data.shuffle(_SHUFFLE, seed=seed, reshuffle_each_iteration=False)
        seen = 0
        for names, pixels in data.batch(self._batch_size).prefetch(2).as_numpy_iterator():
            ids = [name.decode() for name in names]
            seen += len(ids)
            labels = np.array([self._labels[name] for name in ids], np.int32)
            yield Batch(ids, pixels, labels)
        self._complete(seen)

    def _dataset(self) -> Any:
        import tensorflow as tf

        fields = {
            self._id_field: tf.io.FixedLenFeature([], tf.string),
            "pixels": tf.io.FixedLenFeature([], tf.string),
            "height": tf.io.FixedLenFeature([], tf.int64),
            "width": tf.io.FixedLenFeature([], tf.int64),
        }

        def parse(data: Any) -> Any:
            found = tf.io.parse_single_example(data, fields)
            shape = tf.stack([found["height"], found["width"]])
            pixels = tf.io.decode_raw(found["pixels"], tf.uint16)
            return found[self._id_field], tf.reshape(pixels, shape)

        records = tf.data.TFRecordDataset(self._files, num_parallel_reads=None)
        return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _complete(self, found: int) -> None:
        if found != len(self._labels):
            raise RecordError(
                f"The dataset {self._name} lacks records that have labels",
                expected=f"{len(self._labels)} labelled records",
                received=f"{found} of them",
                hint="the frame and the dataset are of different sources",
            )
