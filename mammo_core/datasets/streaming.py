"""Records that TensorFlow itself reads shard by shard, from any file system it supports."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from mammo_core.datasets.batches import Batch
from mammo_core.errors import RecordError
from mammo_core.seeds import generator

#: Size of the shuffle buffer (bytes).
SHUFFLE_BYTES = 512 * 2**20
_AHEAD = 16
_MIXED_SIZES = "records of different sizes"


class ShardStream:
    """Labeled records of TFRecord files, read with tf.data.

    Args:
        files: Paths or URIs of the files, for TensorFlow.
        labels: Record id → class index; records without a label are skipped.
        id_field: The field that holds the id of a record.
        batch_size: Records per batch.
        record_size: Approximate size of a record (bytes): the shuffle buffer holds as many as
            fit into SHUFFLE_BYTES.
        parallel: Files that are read in parallel when records are shuffled.
        deterministic: Whether the order is the same every time.
    """

    def __init__(
        self,
        files: list[str],
        labels: Mapping[str, int],
        id_field: str,
        *,
        batch_size: int,
        record_size: int,
        parallel: int,
        deterministic: bool,
    ) -> None:
        self._files, self._labels, self._id_field = files, labels, id_field
        self._batch_size, self._parallel = batch_size, parallel
        self._deterministic = deterministic
        self._capacity = max(SHUFFLE_BYTES // max(record_size, 1), 1)

    def batches(self, seed: int | None, epoch: int) -> Iterator[Batch]:
        """Yield every labeled record once.

        Args:
            seed: Seed of the order; None: the order of the shards.
            epoch: Number of the epoch.

        Raises:
            RecordError: A file cannot be read, or its records have different sizes.
        """
        import tensorflow as tf

        if not self._labels or not self._files:
            return
        try:
            yield from self._in_order() if seed is None else self._shuffled(seed, epoch)
        except tf.errors.OpError as error:
            mixed = _MIXED_SIZES in error.message
            raise RecordError(
                f"The shards {self._files[0]} … cannot be read",
                expected="records of one size" if mixed else "complete TFRecords",
                received=_MIXED_SIZES
                if mixed
                else f"{type(error).__name__}: {error.message.splitlines()[0]}",
            ) from error

    def _in_order(self) -> Iterator[Batch]:
        import tensorflow as tf

        records = self._serialized(self._files, 1).batch(self._batch_size)
        for decoded in records.map(self._decode, 1).prefetch(tf.data.AUTOTUNE):
            yield self._batch(decoded)

    def _shuffled(self, seed: int, epoch: int) -> Iterator[Batch]:
        import tensorflow as tf

        # Our own generator: the shuffle of tf.data also follows TensorFlow's global seed.
        random = generator(seed, "order", epoch)
        files = [self._files[index] for index in random.permutation(len(self._files))]
        buffer: list[Any] = []
        chosen: list[Any] = []
        for record in self._serialized(files, self._parallel).prefetch(_AHEAD):
            if len(buffer) < self._capacity:
                buffer.append(record)
                continue
            index = int(random.integers(self._capacity))
            chosen.append(buffer[index])
            buffer[index] = record
            if len(chosen) == self._batch_size:
                yield self._batch(self._decode(tf.stack(chosen)))
                chosen = []
        chosen += [buffer[index] for index in random.permutation(len(buffer))]
        for start in range(0, len(chosen), self._batch_size):
            yield self._batch(self._decode(tf.stack(chosen[start : start + self._batch_size])))

    def _serialized(self, files: list[str], parallel: int) -> Any:
        """Return the labeled records, still serialized: a dataset of `() string`."""
        import tensorflow as tf

        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            tf.data.TFRecordDataset,
            cycle_length=parallel,
            block_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=self._deterministic,
        )
        ids = {self._id_field: tf.io.FixedLenFeature([], tf.string)}
        pairs = tf.lookup.KeyValueTensorInitializer(
            list(self._labels), list(self._labels.values()), tf.string, tf.int64
        )
        table = tf.lookup.StaticHashTable(pairs, default_value=-1)

        def is_labeled(data: Any) -> Any:
            return table.lookup(tf.io.parse_single_example(data, ids)[self._id_field]) >= 0

        return records.filter(is_labeled)

    @cached_property
    def _decode(self) -> Any:
        """A function `(n,) string` → ids `(n,) string`, pixels `(n, h, w) uint16, [0, 65535]`."""
        import tensorflow as tf

        fields = {
            self._id_field: tf.io.FixedLenFeature([], tf.string),
            "pixels": tf.io.FixedLenFeature([], tf.string),
            "height": tf.io.FixedLenFeature([], tf.int64),
            "width": tf.io.FixedLenFeature([], tf.int64),
        }

        def decode(data: Any) -> Any:
            parsed = tf.io.parse_example(data, fields)
            height, width = parsed["height"], parsed["width"]
            same = tf.reduce_all((height == height[0]) & (width == width[0]))
            with tf.control_dependencies([tf.debugging.Assert(same, [_MIXED_SIZES])]):
                pixels = tf.io.decode_raw(parsed["pixels"], tf.uint16)
            shape = tf.stack([tf.shape(data)[0], tf.cast(height[0], tf.int32), -1])
            return parsed[self._id_field], tf.reshape(pixels, shape)

        return tf.function(decode, input_signature=[tf.TensorSpec([None], tf.string)])

    def _batch(self, decoded: Any) -> Batch:
        ids = [name.decode() for name in decoded[0].numpy().tolist()]
        labels = np.array([self._labels[name] for name in ids], np.int32)
        return Batch(ids, decoded[1].numpy(), labels)
