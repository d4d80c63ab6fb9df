"""The shards of a dataset before it is published: planned, made, and reused after a crash.

    <dataset>/<attempt>/shard-00003.tfrecord   the shard, under a key that no other attempt has
    <dataset>/notes/shard-00003.json           its key, and the outcome of each image; written last

An interrupted run loses only the shard it was writing, and several processes can divide the
shards among them. A note is never replaced while its shard is intact, so all of them take the same
shard. Publishing the dataset removes the notes.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.manifests import verify_file
from mammo_core.datasets.outputs import Attempt
from mammo_core.datasets.shards import NOTES, shard_name
from mammo_core.datasets.tfrecord import read_records
from mammo_core.errors import RecordError, StoreError
from mammo_core.ingest.runner import RunnerConfig, advance, guarded, run, show_progress
from mammo_core.ingest.same_code import code_digest, require_same_code
from mammo_core.store import MAXIMUM_NOTE_BYTES, DamagedError, Store, TooLargeError, open_store

#: How often the shards of other processes are counted (seconds).
_POLL_SECONDS = 2.0


class ImageOutcome(BaseModel):
    """The result of processing one image.

    Attributes:
        image_id: The image.
        rows: Rows of the dataset's table (statistics, patches); empty for a rejected image.
        rejects: Rows of the rejects table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_id: str
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []


class FinishedShard(BaseModel):
    """The note of a finished shard.

    Attributes:
        digest: The digest of its plan.
        file: The shard; None when its images gave no record.
        outcomes: The outcome of each image, in the order of the shard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    digest: str
    file: StoredFile | None
    outcomes: list[ImageOutcome]


@dataclass(frozen=True)
class ShardPlan:
    """The plan of one shard.

    Attributes:
        index: Number of the shard in the dataset.
        digest: Digest of everything that determines its bytes: a shard of another plan has
            another digest.
        image_count: How many images it is made from.
        inputs: What it is made from, as its `MakeShard` expects it.
    """

    index: int
    digest: str
    image_count: int
    inputs: Any


#: Makes a shard: (store, folder for the file, plan) → its file, and the outcome of each image.
MakeShard = Callable[[Store, str, ShardPlan], tuple[StoredFile | None, list[ImageOutcome]]]


def make_shards(
    attempt: Attempt,
    folder: str,
    shards: Sequence[ShardPlan],
    make_shard: MakeShard,
    runner: RunnerConfig,
    step: str,
) -> None:
    """Make the shards that do not exist yet, by a Beam pipeline.

    Args:
        attempt: The attempt to make the dataset; its store is where the shards go.
        folder: Folder of the dataset.
        shards: Their plans.
        make_shard: Makes one shard; pickled, with its plan.
        runner: Where the work is done.
        step: Name of the step, for its progress.
    """
    if not shards:
        return
    store = attempt.store
    work = partial(
        _make_if_missing,
        store_uri=store.uri,
        folder=folder,
        attempt_folder=attempt.folder(folder),
        make_shard=make_shard,
        code="" if runner.in_this_process else code_digest(),
    )

    def build(pipeline: Any) -> None:
        import apache_beam as beam

        _ = (
            pipeline
            | "plan" >> beam.Create(list(shards))
            | "spread" >> beam.Reshuffle()
            | step >> beam.Map(guarded(work))
        )

    total = sum(shard.image_count for shard in shards)
    with show_progress(step, total, "images"), _follow_workers(store, folder, shards, runner):
        run(build, runner)


@contextmanager
def _follow_workers(
    store: Store, folder: str, shards: Sequence[ShardPlan], runner: RunnerConfig
) -> Iterator[None]:
    """Show the progress of workers in other processes, by the notes they write."""
    if runner.in_this_process:
        yield
        return
    pending = {_note_key(folder, shard): shard.image_count for shard in shards}
    stop = threading.Event()

    def poll() -> None:
        stopped = False
        while not stopped:
            stopped = stop.wait(_POLL_SECONDS)
            with suppress(StoreError):  # the pipeline itself reports it
                for key in pending.keys() & set(store.list(f"{folder}/{NOTES}/")):
                    advance(pending.pop(key))

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _make_if_missing(
    shard: ShardPlan,
    store_uri: str,
    folder: str,
    attempt_folder: str,
    make_shard: MakeShard,
    code: str,
) -> None:
    if code:
        require_same_code(code)
    store = open_store(store_uri)
    key = _note_key(folder, shard)
    if _is_intact(store, folder, shard):
        advance(shard.image_count)
        return
    etag = _etag_of_note(store, key)
    # A runner may try the same shard again, or twice at once.
    file, outcomes = make_shard(store, f"{attempt_folder}-{uuid4().hex[:8]}", shard)
    note = FinishedShard(digest=shard.digest, file=file, outcomes=outcomes)
    while store.put_if(key, note.model_dump_json().encode(), etag) is None:
        if _is_intact(store, folder, shard):  # another process was faster
            if file is not None:
                store.delete(file.key)
            return
        etag = _etag_of_note(store, key)


def _etag_of_note(store: Store, key: str) -> str | None:
    """Return the entity tag of a note that can be replaced; a damaged one is removed."""
    try:
        state = store.state(key, MAXIMUM_NOTE_BYTES)
    except (DamagedError, TooLargeError):
        store.delete(key)
        return None
    return None if state is None else state[1]


def read_finished_shards(
    store: Store, folder: str, shards: Sequence[ShardPlan]
) -> list[FinishedShard]:
    """Return the finished shards of the plans, in their order.

    Raises:
        RecordError: One is missing; a runner's report of success alone is not trusted.
    """
    finished = []
    for shard in shards:
        note = _read_note(store, folder, shard)
        if note is None:
            raise RecordError(
                f"The pipeline of {folder} ended without {shard_name(shard.index)}",
                expected=f"{_note_key(folder, shard)} in the store",
                received="no such note of this plan",
                hint="run the same command again; finished shards are kept",
            )
        finished.append(note)
    return finished


def remove_notes(store: Store, dataset: Manifest) -> None:
    """Remove the notes of a dataset that is published."""
    for key in list(store.list(f"{dataset.folder}/{NOTES}/")):
        store.delete(key)


def _note_key(folder: str, shard: ShardPlan) -> str:
    return f"{folder}/{NOTES}/{shard_name(shard.index)}.json"


def _read_note(store: Store, folder: str, shard: ShardPlan) -> FinishedShard | None:
    key = _note_key(folder, shard)
    if not store.exists(key):
        return None
    try:
        note = FinishedShard.model_validate_json(store.read(key, MAXIMUM_NOTE_BYTES))
    except (ValidationError, DamagedError, TooLargeError):
        return None
    return note if note.digest == shard.digest else None


def _is_intact(store: Store, folder: str, shard: ShardPlan) -> bool:
    """Whether the shard is finished, and every byte and record of it is there."""
    note = _read_note(store, folder, shard)
    if note is None or note.file is None:
        return note is not None
    if not store.exists(note.file.key):
        return False
    try:
        verify_file(store, note.file)
        records = sum(1 for _ in read_records(store.fetch(note.file.key)))
    except (RecordError, DamagedError):
        return False
    return records == note.file.count
