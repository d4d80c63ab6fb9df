"""tf.data readers of record datasets; the only module of the data path that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch
from mammo_core.datasets.manifests import Manifest
from mammo_core.errors import RecordError
from mammo_core.seeds import generator
from mammo_core.store import Store

#: Labelled records up to this size are kept in memory between epochs (bytes).
MEMORY_BYTES = 4 * 2**30
#: Records that a shuffle holds at a time, and shards that it reads at a time, where the
#: records do not fit in memory.
_SHUFFLE = 512
_SHARDS = 8
_ID_FIELDS = {"datasets/images": "image_id", "datasets/patches": "patch_id"}

_Record = tuple[str, npt.NDArray[np.uint16]]


class RecordSource:
    """Labelled records of a dataset, in batches, as often as wanted (a BatchSource).

    Args:
        store: Where the dataset is.
        manifest: The dataset.
        labels: Record id → class index; records without a label are left out.
        classes: Number of classes.
        batch_size: Records of a batch; the last one may be smaller.
        shuffle_seed: Seed of the order, which then differs each epoch; None: sorted by id
            (in the dataset's order where the records do not fit in memory).
        memory_bytes: Keep the records in memory when they fit into this.

    Raises:
        RecordError: When a labelled record is not in the dataset (where the records do not
            fit in memory: at the end of the first epoch), or a shard is damaged.
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
        shards = manifest.files_like("shard-")
        self._files = [str(store.fetch(file.key)) for file in shards]
        # Records of removed or changed sources, by the file that still holds them.
        self._excluded = [
            f"{path}\t{id}"
            for path, file in zip(self._files, shards, strict=True)
            for id in file.excluded
        ]
        self._name = manifest.folder
        self._labels = dict(labels)
        self._batch_size = batch_size
        self._seed = shuffle_seed
        counts = np.bincount(list(self._labels.values()) or [0], minlength=classes)
        self._counts = tuple(int(n) for n in counts) if self._labels else (0,) * classes
        total = sum(file.size for file in shards)
        share = len(self._labels) / max(sum(file.count or 0 for file in shards), 1)
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
            order = generator(self._seed, "order", epoch).permutation(self.size)
        for start in range(0, self.size, self._batch_size):
            chosen = order[start : start + self._batch_size]
            yield Batch(
                ids=[self._memory.ids[index] for index in chosen],
                pixels=self._memory.pixels[chosen],
                labels=self._memory.labels[chosen],
            )

    def _load(self) -> Batch:
        ids = sorted(self._labels)
        places = {name: index for index, name in enumerate(ids)}
        # Filled in place: lists of arrays would take the memory twice.
        held = np.zeros((0, 1, 1), np.uint16)
        found = 0
        for name, pixels in self._labelled(self._files):
            if not found:
                held = np.zeros((len(ids), *pixels.shape), np.uint16)
            held[places[name]] = self._fitting(name, pixels, held.shape[1:])
            found += 1
        self._complete(found)
        labels = np.array([self._labels[name] for name in ids], np.int32)
        return Batch(ids=ids, pixels=held, labels=labels)

    def _stream(self, epoch: int) -> Iterator[Batch]:
        waiting: list[_Record] = []
        shape: tuple[int, ...] | None = None
        seen = 0
        for name, pixels in self._ordered(epoch):
            shape = shape or pixels.shape
            waiting.append((name, self._fitting(name, pixels, shape)))
            seen += 1
            if len(waiting) == self._batch_size:
                yield self._batch(waiting)
                waiting = []
        if waiting:
            yield self._batch(waiting)
        self._complete(seen)

    def _batch(self, records: list[_Record]) -> Batch:
        ids = [name for name, _ in records]
        labels = np.array([self._labels[name] for name in ids], np.int32)
        return Batch(ids, np.stack([pixels for _, pixels in records]), labels)

    def _ordered(self, epoch: int) -> Iterator[_Record]:
        """Shuffle by a generator of our own: tf.data's also follows TensorFlow's global seed."""
        if self._seed is None:
            yield from self._labelled(self._files)
            return
        draw = generator(self._seed, "order", epoch)
        files = [self._files[index] for index in draw.permutation(len(self._files))]
        held: list[_Record] = []
        for record in self._labelled(files, together=_SHARDS):
            if len(held) < _SHUFFLE:
                held.append(record)
                continue
            place = int(draw.integers(_SHUFFLE))
            chosen, held[place] = held[place], record
            yield chosen
        for place in draw.permutation(len(held)):
            yield held[place]

    def _labelled(self, files: list[str], together: int = 1) -> Iterator[_Record]:
        import tensorflow as tf

        if not files or not self._labels:
            return
        known = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                list(self._labels), list(self._labels.values()), tf.string, tf.int64
            ),
            default_value=-1,
        )
        ids = {self._id_field: tf.io.FixedLenFeature([], tf.string)}
        fields = {
            **ids,
            "pixels": tf.io.FixedLenFeature([], tf.string),
            "height": tf.io.FixedLenFeature([], tf.int64),
            "width": tf.io.FixedLenFeature([], tf.int64),
        }

        excluded = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                self._excluded or [""], [1] * max(len(self._excluded), 1), tf.string, tf.int64
            ),
            default_value=0,
        )

        def read(path: Any) -> Any:
            records = tf.data.TFRecordDataset(path)
            if not self._excluded:
                return records

            def inside(data: Any) -> Any:
                id = tf.io.parse_single_example(data, ids)[self._id_field]
                return excluded.lookup(tf.strings.join([path, id], "\t")) == 0

            return records.filter(inside)

        def wanted(data: Any) -> Any:
            return known.lookup(tf.io.parse_single_example(data, ids)[self._id_field]) >= 0

        def parse(data: Any) -> Any:
            found = tf.io.parse_single_example(data, fields)
            shape = tf.stack([found["height"], found["width"]])
            pixels = tf.io.decode_raw(found["pixels"], tf.uint16)
            return found[self._id_field], tf.reshape(pixels, shape)

        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            read, cycle_length=together, block_length=1
        )
        records = records.filter(wanted).map(
            parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        try:
            for name, pixels in records.prefetch(8).as_numpy_iterator():
                yield name.decode(), pixels
        except tf.errors.OpError as error:
            raise RecordError(
                f"A shard of the dataset {self._name} cannot be read",
                expected="whole TFRecords of that kind of dataset",
                received=f"{type(error).__name__}: {error.message.splitlines()[0]}",
                hint="remove the dataset's folder and run the step that makes it again",
            ) from error

    def _fitting(
        self, name: str, pixels: npt.NDArray[np.uint16], shape: tuple[int, ...]
    ) -> npt.NDArray[np.uint16]:
        if pixels.shape != shape:
            raise RecordError(
                f"The records of {self._name} are of several sizes",
                expected=f"{shape}, the size of the first",
                received=f"{pixels.shape} for {name}",
                hint="a network needs one size: convert with resize `forced` or `pad`",
            )
        return pixels

    def _complete(self, found: int) -> None:
        if found != len(self._labels):
            raise RecordError(
                f"The dataset {self._name} lacks records that have labels",
                expected=f"{len(self._labels)} labelled records",
                received=f"{found} of them",
                hint="the frame and the dataset are of different sources",
            )
