"""Records read in the order of their shards by TensorFlow itself, from wherever it can read."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from mammo_core.datasets.batches import Batch
from mammo_core.errors import RecordError
from mammo_core.seeds import generator

#: What a shuffle holds at a time (bytes).
SHUFFLE_BYTES = 512 * 2**20
_AHEAD = 16
_SIZES = "records of several sizes"


class ShardStream:
    """Labelled records of TFRecord files, as tf.data reads them.

    Args:
        files: What TensorFlow calls the files.
        labels: Record id → class index; records without a label are left out.
        id_field: Field that holds a record's id.
        batch_size: Records of a batch.
        record_size: About so many bytes has a record: a shuffle holds SHUFFLE_BYTES of them.
        together: Files that are read side by side where records are shuffled.
        deterministic: The same order every time.
    """

    def __init__(
        self,
        files: list[str],
        labels: Mapping[str, int],
        id_field: str,
        *,
        batch_size: int,
        record_size: int,
        together: int,
        deterministic: bool,
    ) -> None:
        self._files, self._labels, self._id_field = files, labels, id_field
        self._batch_size, self._together = batch_size, together
        self._deterministic = deterministic
        self._held = max(SHUFFLE_BYTES // max(record_size, 1), 1)

    def batches(self, seed: int | None, epoch: int) -> Iterator[Batch]:
        """Yield the labelled records once.

        Args:
            seed: Seed of the order; None: that of the shards.
            epoch: Number of the epoch.

        Raises:
            RecordError: A file cannot be read, or has records of several sizes.
        """
        import tensorflow as tf

        if not self._labels or not self._files:
            return
        try:
            yield from self._in_order() if seed is None else self._shuffled(seed, epoch)
        except tf.errors.OpError as error:
            several = _SIZES in error.message
            raise RecordError(
                f"Shards among {self._files[0]} … cannot be read",
                expected="records of one size" if several else "whole TFRecords",
                received=_SIZES
                if several
                else f"{type(error).__name__}: {error.message.splitlines()[0]}",
            ) from error

    def _in_order(self) -> Iterator[Batch]:
        import tensorflow as tf

        records = self._serialized(self._files, 1).batch(self._batch_size)
        for decoded in records.map(self._decoded, 1).prefetch(tf.data.AUTOTUNE):
            yield self._batch(decoded)

    def _shuffled(self, seed: int, epoch: int) -> Iterator[Batch]:
        import tensorflow as tf

        # Shuffled by a generator of our own: tf.data's also follows TensorFlow's global seed.
        draw = generator(seed, "order", epoch)
        files = [self._files[index] for index in draw.permutation(len(self._files))]
        held: list[Any] = []
        chosen: list[Any] = []
        for record in self._serialized(files, self._together).prefetch(_AHEAD):
            if len(held) < self._held:
                held.append(record)
                continue
            place = int(draw.integers(self._held))
            chosen.append(held[place])
            held[place] = record
            if len(chosen) == self._batch_size:
                yield self._batch(self._decoded(tf.stack(chosen)))
                chosen = []
        chosen += [held[place] for place in draw.permutation(len(held))]
        for start in range(0, len(chosen), self._batch_size):
            yield self._batch(self._decoded(tf.stack(chosen[start : start + self._batch_size])))

    def _serialized(self, files: list[str], together: int) -> Any:
        """The labelled records, as they are stored: a dataset of `() string`."""
        import tensorflow as tf

        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            tf.data.TFRecordDataset,
            cycle_length=together,
            block_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=self._deterministic,
        )
        ids = {self._id_field: tf.io.FixedLenFeature([], tf.string)}
        pairs = tf.lookup.KeyValueTensorInitializer(
            list(self._labels), list(self._labels.values()), tf.string, tf.int64
        )
        known = tf.lookup.StaticHashTable(pairs, default_value=-1)

        def labelled(data: Any) -> Any:
            return known.lookup(tf.io.parse_single_example(data, ids)[self._id_field]) >= 0

        return records.filter(labelled)

    @cached_property
    def _decoded(self) -> Any:
        """A function `(n,) string` → ids, pixels `(n, h, w) uint16`."""
        import tensorflow as tf

        fields = {
            self._id_field: tf.io.FixedLenFeature([], tf.string),
            "pixels": tf.io.FixedLenFeature([], tf.string),
            "height": tf.io.FixedLenFeature([], tf.int64),
            "width": tf.io.FixedLenFeature([], tf.int64),
        }

        def decode(data: Any) -> Any:
            found = tf.io.parse_example(data, fields)
            height, width = found["height"], found["width"]
            same = tf.reduce_all((height == height[0]) & (width == width[0]))
            with tf.control_dependencies([tf.debugging.Assert(same, [_SIZES])]):
                pixels = tf.io.decode_raw(found["pixels"], tf.uint16)
            shape = tf.stack([tf.shape(data)[0], tf.cast(height[0], tf.int32), -1])
            return found[self._id_field], tf.reshape(pixels, shape)

        return tf.function(decode, input_signature=[tf.TensorSpec([None], tf.string)])

    def _batch(self, decoded: Any) -> Batch:
        ids = [name.decode() for name in decoded[0].numpy().tolist()]
        labels = np.array([self._labels[name] for name in ids], np.int32)
        return Batch(ids, decoded[1].numpy(), labels)
