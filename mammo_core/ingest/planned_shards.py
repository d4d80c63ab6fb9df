"""The shards of an output that is not published yet: planned, made, and found again.

    <output>/shard-00003.tfrecord         the shard
    <output>/parts/shard-00003.json       what was made of which input; written after the shard

A run that is killed loses the shard it was at; several processes can each make some of the
shards. Whoever publishes removes the parts' own files.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.manifests import verify_file
from mammo_core.datasets.shards import PARTS, read_records, shard_name
from mammo_core.errors import RecordError, StoreError
from mammo_core.ingest.runner import RunnerConfig, guarded, run
from mammo_core.ingest.showing import advance, shown
from mammo_core.store import DamagedError, Store, open_store

#: How often the shards of other processes are counted (seconds).
_LOOK_EVERY_S = 2.0


class Made(BaseModel):
    """What became of one image.

    Attributes:
        image_id: The image.
        rows: Rows of the output's table (statistics, patches); none when it was rejected.
        rejects: Rows of the rejects table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_id: str
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []


class Part(BaseModel):
    """A finished shard.

    Attributes:
        digest: Of everything its bytes follow from; another plan's shard has another.
        file: The shard; None when no record came of its images.
        made: Of each image, in the shard's order, what became of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    digest: str
    file: StoredFile | None
    made: list[Made]


@dataclass(frozen=True)
class Planned:
    """A shard to be made.

    Attributes:
        index: Its number in the output.
        digest: Of everything its bytes follow from.
        images: How many images it is made of.
        inputs: What it is made of, for the function that makes it.
    """

    index: int
    digest: str
    images: int
    inputs: Any


#: Makes a shard: (store, folder of the output, what is planned) → its file and what was made.
Make = Callable[[Store, str, Planned], tuple[StoredFile | None, list[Made]]]


def make_shards(
    store: Store,
    folder: str,
    shards: Sequence[Planned],
    make: Make,
    runner: RunnerConfig,
    name: str,
) -> None:
    """Make the shards that are not there yet, by a Beam pipeline.

    Args:
        store: Where they go.
        folder: Folder of the output.
        shards: What is planned.
        make: Makes one; it and what is planned are pickled.
        runner: Where the work is done.
        name: The step, for its progress.
    """
    if not shards:
        return
    work = partial(_make, store_uri=store.uri, folder=folder, make=make)

    def build(pipeline: Any) -> None:
        import apache_beam as beam

        _ = (
            pipeline
            | "plan" >> beam.Create(list(shards))
            | "spread" >> beam.Reshuffle()
            | name >> beam.Map(guarded(work))
        )

    total = sum(shard.images for shard in shards)
    with shown(name, total, "images"), _watched(store, folder, shards, runner):
        run(build, runner)


@contextmanager
def _watched(
    store: Store, folder: str, shards: Sequence[Planned], runner: RunnerConfig
) -> Iterator[None]:
    """Tell the progress of workers in other processes by the shards that appear."""
    if runner.in_this_process:
        yield
        return
    waiting = {_key(folder, shard): shard.images for shard in shards}
    ended = threading.Event()

    def look() -> None:
        last = False
        while not last:
            last = ended.wait(_LOOK_EVERY_S)
            with suppress(StoreError):  # the work itself will tell
                for key in waiting.keys() & set(store.list(f"{folder}/{PARTS}/")):
                    advance(waiting.pop(key))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _make(shard: Planned, store_uri: str, folder: str, make: Make) -> None:
    store = open_store(store_uri)
    if _finished(store, folder, shard):
        advance(shard.images)
        return
    file, made = make(store, folder, shard)
    part = Part(digest=shard.digest, file=file, made=made)
    store.write(_key(folder, shard), part.model_dump_json().encode())


def collect(store: Store, folder: str, shards: Sequence[Planned]) -> list[Part]:
    """Return the finished shards of a plan.

    Raises:
        RecordError: When one is missing: what a runner says of its success is not enough.
    """
    found = []
    for shard in shards:
        part = _read(store, folder, shard)
        if part is None:
            raise RecordError(
                f"The pipeline of {folder} ended without {shard_name(shard.index)}",
                expected=f"{_key(folder, shard)} in the store",
                received="none of this plan",
                hint="run the same command again; what is there is kept",
            )
        found.append(part)
    return found


def remove_parts(store: Store, dataset: Manifest) -> None:
    """Remove what is known of the shards apart from the published manifest."""
    for key in list(store.list(f"{dataset.folder}/{PARTS}/")):
        store.delete(key)


def _key(folder: str, shard: Planned) -> str:
    return f"{folder}/{PARTS}/{shard_name(shard.index)}.json"


def _read(store: Store, folder: str, shard: Planned) -> Part | None:
    key = _key(folder, shard)
    if not store.exists(key):
        return None
    try:
        part = Part.model_validate_json(store.read(key))
    except (ValidationError, DamagedError):
        return None
    return part if part.digest == shard.digest else None


def _finished(store: Store, folder: str, shard: Planned) -> bool:
    """Whether a shard was made before, to the byte."""
    part = _read(store, folder, shard)
    if part is None or part.file is None:
        return part is not None
    if not store.exists(part.file.key):
        return False
    try:
        verify_file(store, part.file)
        records = sum(1 for _ in read_records(store.fetch(part.file.key)))
    except (RecordError, DamagedError):
        return False
    return records == part.file.count
