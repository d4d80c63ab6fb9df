"""Readers of record datasets: batches for any framework, and as tf.data."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.batches import Batch
from mammo_core.datasets.kinds import kind_of
from mammo_core.datasets.manifests import Manifest
from mammo_core.datasets.random_access import locate_records, read_pixels
from mammo_core.datasets.tfrecord import RecordLocation
from mammo_core.errors import RecordError
from mammo_core.seeds import generator
from mammo_core.store import Store

Reader = Literal["local", "tfio"]

#: Labeled records of up to this total size are kept in memory between epochs (bytes).
MEMORY_BYTES = 4 * 2**30
_PARALLEL_SHARDS = 8
_LOAD_BATCH = 16
_IDS_IN_ERROR = 3


class RecordSource:
    """Labeled records of a dataset in batches, readable any number of times (a BatchSource).

    If the records fit into memory, they are kept there. Otherwise each batch is read when it is
    needed, several in parallel. The order is the same either way.

    Args:
        store: The store of the dataset.
        manifest: The dataset.
        labels: Record id → class index; records without a label are skipped.
        classes: Number of classes.
        batch_size: Records per batch; the last batch may be smaller.
        shuffle_seed: Seed of the order, which differs between epochs; None: sorted by id.
        memory_bytes: Keep the records in memory if they are at most this large.
        deterministic: Whether batches come in the order of the epoch, or as they are ready.
        parallel: Batches that are read in parallel; 0: one per core, plus one.
        reader: `local` reads files that the store fetches into its scratch cache; `tfio`
            streams from `s3://` with tensorflow-io (`datasets.tfio`), in the order of the shards
            or shuffled through a buffer.

    Raises:
        RecordError: A labeled record is not in the dataset (for `tfio`: at the end of the first
            epoch), or a shard is damaged.
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
        deterministic: bool = True,
        parallel: int = 0,
        reader: Reader = "local",
    ) -> None:
        self._store, self._manifest = store, manifest
        self._labels = dict(labels)
        self._ids = sorted(self._labels)
        self._batch_size, self._seed = batch_size, shuffle_seed
        self._deterministic = deterministic
        self._parallel = parallel or len(os.sched_getaffinity(0)) + 1
        counts = np.bincount(list(self._labels.values()) or [0], minlength=classes)
        self._counts = tuple(int(n) for n in counts) if self._labels else (0,) * classes
        self._memory: Batch | None = None
        self._stream = self._open_stream() if reader == "tfio" else None
        self._locations = [] if self._stream else self._locate()
        size = sum(location.length for location in self._locations)
        if self._stream is None and size <= memory_bytes:
            self._memory = self._load()

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self._ids)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Records of each class."""
        return self._counts

    @property
    def in_memory(self) -> bool:
        """Whether the records are kept in memory between epochs."""
        return self._memory is not None

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every labeled record once, in the order of the epoch."""
        if self._stream is not None:
            yield from self._require_complete(self._stream.batches(self._seed, epoch))
            return
        groups = self._index_groups(epoch)
        if self._memory is not None:
            yield from (self._from_memory(self._memory, indices) for indices in groups)
            return
        yield from _read_in_parallel(self._read, groups, self._parallel, self._deterministic)

    def dataset(self, epoch: int) -> Any:
        """Return an epoch as a `tf.data.Dataset` with prefetching, for `model.fit`.

        Args:
            epoch: Number of the epoch.

        Returns:
            Elements (ids `(n,) string`, pixels `(n, h, w) uint16, [0, 65535]`, labels
            `(n,) int32`).
        """
        import tensorflow as tf

        def elements() -> Iterator[tuple[Any, ...]]:
            for batch in self.batches(epoch):
                yield np.array(batch.ids, np.bytes_), batch.pixels, batch.labels

        signature = (
            tf.TensorSpec([None], tf.string),
            tf.TensorSpec([None, None, None], tf.uint16),
            tf.TensorSpec([None], tf.int32),
        )
        dataset = tf.data.Dataset.from_generator(elements, output_signature=signature)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _index_groups(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """Return the records of each batch of an epoch, by their position among sorted ids."""
        order = np.arange(self.size)
        if self._seed is not None:
            order = generator(self._seed, "order", epoch).permutation(self.size)
        return [
            order[start : start + self._batch_size]
            for start in range(0, self.size, self._batch_size)
        ]

    def _from_memory(self, memory: Batch, indices: npt.NDArray[np.int64]) -> Batch:
        ids = [self._ids[index] for index in indices]
        return Batch(ids, memory.pixels[indices], memory.labels[indices])

    def _read(self, indices: npt.NDArray[np.int64]) -> Batch:
        ids = [self._ids[index] for index in indices]
        first = read_pixels(self._locations[indices[0]])
        pixels = np.empty((len(ids), *first.shape), np.uint16)
        for row, index in enumerate(indices):
            image = read_pixels(self._locations[index]) if row else first
            if image.shape != first.shape:
                raise self._mixed_sizes_error(first.shape, image.shape, ids[row])
            pixels[row] = image
        return Batch(ids, pixels, np.array([self._labels[name] for name in ids], np.int32))

    def _load(self) -> Batch:
        # One preallocated array: a list of arrays would take the memory twice.
        pixels = np.zeros((0, 1, 1), np.uint16)
        loaded = 0
        groups = [
            np.arange(start, min(start + _LOAD_BATCH, self.size))
            for start in range(0, self.size, _LOAD_BATCH)
        ]
        for batch in _read_in_parallel(self._read, groups, self._parallel, True):
            if not loaded:
                pixels = np.empty((self.size, *batch.pixels.shape[1:]), np.uint16)
            if batch.pixels.shape[1:] != pixels.shape[1:]:
                raise self._mixed_sizes_error(
                    pixels.shape[1:], batch.pixels.shape[1:], batch.ids[0]
                )
            pixels[loaded : loaded + len(batch.ids)] = batch.pixels
            loaded += len(batch.ids)
        return Batch(self._ids, pixels, np.array([self._labels[n] for n in self._ids], np.int32))

    def _locate(self) -> list[RecordLocation]:
        """Return the locations of the labeled records, in the order of their ids."""
        id_field = kind_of(self._manifest).record_id
        locations: dict[str, RecordLocation] = {}
        for file in self._manifest.files_like("shard-") if self._labels else []:
            excluded = frozenset(file.excluded)
            path = str(self._store.fetch(file.key))
            for name, location in locate_records(path, file.key, id_field):
                if name in self._labels and name not in excluded:
                    locations[name] = location
        self._require_labeled_records(set(locations))
        return [locations[name] for name in self._ids]

    def _require_labeled_records(self, available: set[str]) -> None:
        missing = [name for name in self._ids if name not in available]
        if missing:
            raise RecordError(
                f"The dataset {self._manifest.folder} lacks records that have labels",
                expected=f"{self.size} labeled records",
                received=f"{self.size - len(missing)} of them; missing: "
                + ", ".join(missing[:_IDS_IN_ERROR])
                + (" …" if len(missing) > _IDS_IN_ERROR else ""),
                hint="the frame and the dataset come from different sources",
            )

    def _mixed_sizes_error(self, first: Any, other: Any, name: str) -> RecordError:
        return RecordError(
            f"The records of {self._manifest.folder} have different sizes",
            expected=f"{first}, the size of the first",
            received=f"{other} for {name}",
            hint="a network needs one size: convert with resize `forced` or `pad`",
        )

    def _open_stream(self) -> Any:
        from mammo_core.datasets.streaming import ShardStream
        from mammo_core.datasets.tfio import s3_uris

        shards = self._manifest.files_like("shard-")
        if any(file.excluded for file in shards):
            raise RecordError(
                f"The dataset {self._manifest.folder} cannot be streamed",
                expected="shards without excluded records",
                received="a dataset whose sources changed after it was created",
                hint="rewrite it with `mammo store gc --compact`, or read it with `reader: local`",
            )
        records = sum(file.count or 0 for file in shards)
        return ShardStream(
            s3_uris(self._store, [file.key for file in shards]),
            self._labels,
            kind_of(self._manifest).record_id,
            batch_size=self._batch_size,
            record_size=sum(file.size for file in shards) // max(records, 1),
            parallel=_PARALLEL_SHARDS,
            deterministic=self._deterministic,
        )

    def _require_complete(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        available: set[str] = set()
        for batch in batches:
            available.update(batch.ids)
            yield batch
        self._require_labeled_records(available)


def _read_in_parallel(
    read: Callable[[npt.NDArray[np.int64]], Batch],
    groups: list[npt.NDArray[np.int64]],
    workers: int,
    in_order: bool,
) -> Iterator[Batch]:
    """Read batches in threads, a bounded number ahead: reading a file releases the GIL."""
    remaining = iter(groups)
    with ThreadPoolExecutor(workers, "mammo-reader") as pool:
        ahead: deque[Future[Batch]] = deque()
        try:
            while True:
                while len(ahead) < workers and (indices := next(remaining, None)) is not None:
                    ahead.append(pool.submit(read, indices))
                if not ahead:
                    return
                if not in_order:
                    done, _ = wait(ahead, return_when=FIRST_COMPLETED)
                    first = done.pop()
                    ahead.remove(first)
                    ahead.appendleft(first)
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
