"""Readers of record datasets: batches for training, for any framework, and as tf.data."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mammo_core.datasets.access import Place, pixels_at, places
from mammo_core.datasets.batches import Batch
from mammo_core.datasets.manifests import Manifest
from mammo_core.errors import RecordError
from mammo_core.seeds import generator
from mammo_core.store import Store

Reader = Literal["local", "tfio"]

#: Labelled records up to this size are kept in memory between epochs (bytes).
MEMORY_BYTES = 4 * 2**30
_TOGETHER = 8
_LOADED = 16
_NAMED = 3
_ID_FIELDS = {"datasets/images": "image_id", "datasets/patches": "patch_id"}


class RecordSource:
    """Labelled records of a dataset, in batches, as often as wanted (a BatchSource).

    Records are kept in memory where they fit; else every batch is read when its turn comes,
    several side by side. The order is the same either way.

    Args:
        store: Where the dataset is.
        manifest: The dataset.
        labels: Record id → class index; records without a label are left out.
        classes: Number of classes.
        batch_size: Records of a batch; the last one may be smaller.
        shuffle_seed: Seed of the order, which then differs each epoch; None: sorted by id.
        memory_bytes: Keep the records in memory when they fit into this.
        deterministic: Batches come in the order of the epoch; False: as they are ready.
        together: Batches that are read side by side; 0: one for each core, and one more.
        reader: `local` reads files, which the store fetches into its scratch cache; `tfio`
            streams from `s3://` by tensorflow-io (`datasets.tfio`), in the order of the shards
            or shuffled through a buffer.

    Raises:
        RecordError: When a labelled record is not in the dataset (for `tfio`: at the end of
            the first epoch), or a shard is damaged.
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
        together: int = 0,
        reader: Reader = "local",
    ) -> None:
        self._store, self._manifest = store, manifest
        self._labels = dict(labels)
        self._ids = sorted(self._labels)
        self._batch_size, self._seed = batch_size, shuffle_seed
        self._deterministic = deterministic
        self._together = together or len(os.sched_getaffinity(0)) + 1
        counts = np.bincount(list(self._labels.values()) or [0], minlength=classes)
        self._counts = tuple(int(n) for n in counts) if self._labels else (0,) * classes
        self._memory: Batch | None = None
        self._streamed = self._stream() if reader == "tfio" else None
        self._places = [] if self._streamed else self._find()
        size = sum(place.length for place in self._places)
        if self._streamed is None and size <= memory_bytes:
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
        """Yield every labelled record once, in the epoch's order."""
        if self._streamed is not None:
            yield from self._complete(self._streamed.batches(self._seed, epoch))
            return
        chosen = self._chosen(epoch)
        if self._memory is not None:
            yield from (self._kept(self._memory, one) for one in chosen)
            return
        yield from _side_by_side(self._read, chosen, self._together, self._deterministic)

    def dataset(self, epoch: int) -> Any:
        """Return an epoch as a `tf.data.Dataset`, batches made ahead, for `model.fit`.

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
        made = tf.data.Dataset.from_generator(elements, output_signature=signature)
        return made.prefetch(tf.data.AUTOTUNE)

    def _chosen(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The records of each batch of an epoch, by their number in the order of the ids."""
        order = np.arange(self.size)
        if self._seed is not None:
            order = generator(self._seed, "order", epoch).permutation(self.size)
        return [
            order[start : start + self._batch_size]
            for start in range(0, self.size, self._batch_size)
        ]

    def _kept(self, memory: Batch, chosen: npt.NDArray[np.int64]) -> Batch:
        ids = [self._ids[index] for index in chosen]
        return Batch(ids, memory.pixels[chosen], memory.labels[chosen])

    def _read(self, chosen: npt.NDArray[np.int64]) -> Batch:
        ids = [self._ids[index] for index in chosen]
        first = pixels_at(self._places[chosen[0]])
        pixels = np.empty((len(ids), *first.shape), np.uint16)
        for row, index in enumerate(chosen):
            one = pixels_at(self._places[index]) if row else first
            if one.shape != first.shape:
                raise self._of_several_sizes(first.shape, one.shape, ids[row])
            pixels[row] = one
        return Batch(ids, pixels, np.array([self._labels[name] for name in ids], np.int32))

    def _load(self) -> Batch:
        # Filled in place: lists of arrays would take the memory twice.
        held = np.zeros((0, 1, 1), np.uint16)
        done = 0
        batches = [
            np.arange(start, min(start + _LOADED, self.size))
            for start in range(0, self.size, _LOADED)
        ]
        for batch in _side_by_side(self._read, batches, self._together, True):
            if not done:
                held = np.empty((self.size, *batch.pixels.shape[1:]), np.uint16)
            if batch.pixels.shape[1:] != held.shape[1:]:
                raise self._of_several_sizes(held.shape[1:], batch.pixels.shape[1:], batch.ids[0])
            held[done : done + len(batch.ids)] = batch.pixels
            done += len(batch.ids)
        return Batch(self._ids, held, np.array([self._labels[n] for n in self._ids], np.int32))

    def _find(self) -> list[Place]:
        """Where the labelled records lie, in the order of their ids."""
        id_field = _ID_FIELDS[self._manifest.kind]
        found: dict[str, Place] = {}
        for file in self._manifest.files_like("shard-") if self._labels else []:
            excluded = frozenset(file.excluded)
            for name, place in places(str(self._store.fetch(file.key)), file.key, id_field):
                if name in self._labels and name not in excluded:
                    found[name] = place
        self._check(set(found))
        return [found[name] for name in self._ids]

    def _check(self, found: set[str]) -> None:
        missing = [name for name in self._ids if name not in found]
        if missing:
            raise RecordError(
                f"The dataset {self._manifest.folder} lacks records that have labels",
                expected=f"{self.size} labelled records",
                received=f"{self.size - len(missing)} of them, none for "
                + ", ".join(missing[:_NAMED])
                + (" …" if len(missing) > _NAMED else ""),
                hint="the frame and the dataset are of different sources",
            )

    def _of_several_sizes(self, first: Any, other: Any, name: str) -> RecordError:
        return RecordError(
            f"The records of {self._manifest.folder} are of several sizes",
            expected=f"{first}, the size of the first",
            received=f"{other} for {name}",
            hint="a network needs one size: convert with resize `forced` or `pad`",
        )

    def _stream(self) -> Any:
        from mammo_core.datasets.streaming import ShardStream
        from mammo_core.datasets.tfio import streamed

        shards = self._manifest.files_like("shard-")
        if any(file.excluded for file in shards):
            raise RecordError(
                f"The dataset {self._manifest.folder} cannot be streamed",
                expected="shards without excluded records",
                received="a dataset whose sources were changed after it was made",
                hint="`mammo store gc --compact` writes it anew; reader: local reads it as it is",
            )
        records = sum(file.count or 0 for file in shards)
        return ShardStream(
            streamed(self._store, [file.key for file in shards]),
            self._labels,
            _ID_FIELDS[self._manifest.kind],
            batch_size=self._batch_size,
            record_size=sum(file.size for file in shards) // max(records, 1),
            together=_TOGETHER,
            deterministic=self._deterministic,
        )

    def _complete(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        seen: set[str] = set()
        for batch in batches:
            seen.update(batch.ids)
            yield batch
        self._check(seen)


def _side_by_side(
    read: Callable[[npt.NDArray[np.int64]], Batch],
    chosen: list[npt.NDArray[np.int64]],
    workers: int,
    in_order: bool,
) -> Iterator[Batch]:
    """Read batches by threads, a bounded number ahead: reading a file releases the lock."""
    waiting = iter(chosen)
    with ThreadPoolExecutor(workers, "mammo-reader") as pool:
        ahead: deque[Future[Batch]] = deque()
        try:
            while True:
                while len(ahead) < workers and (one := next(waiting, None)) is not None:
                    ahead.append(pool.submit(read, one))
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
