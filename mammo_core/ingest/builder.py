"""Build one dataset: make its planned shards, then its tables."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.shards import write_shard
from mammo_core.datasets.tables import put_table
from mammo_core.ingest.partition import Partition
from mammo_core.ingest.planned_shards import (
    FinishedShard,
    ImageOutcome,
    MakeShard,
    ShardPlan,
    make_shards,
    read_finished_shards,
    remove_notes,
)
from mammo_core.ingest.reuse import ITEMS, ReusedRecords, concat_rows, items_table, rejects_of
from mammo_core.ingest.runner import RunnerConfig
from mammo_core.store import Store

_REJECTS = ["item", "kind", "reason", "step"]


@dataclass(frozen=True)
class DatasetBuilder:
    """Builds a dataset from a plan of its shards.

    Attributes:
        step: Name of the step, for its progress.
        dataset: The manifest, without files and counts.
        sources: image_id → digest of the image's source.
        reused: Records of an earlier dataset that are kept.
        shards: The shards to make.
        make_shard: Makes one shard; pickled, with its plan.
        table: Name of the table of the records.
        columns: Columns of the table; its rows are sorted by the first three.
        count: Returns the counts of the manifest from the rows of the table.
    """

    step: str
    dataset: Manifest
    sources: dict[str, str]
    reused: ReusedRecords
    shards: list[ShardPlan]
    make_shard: MakeShard
    table: str
    columns: list[str]
    count: Callable[[pd.DataFrame], dict[str, int]]

    def build(
        self, attempt: Attempt, runner: RunnerConfig, partition: Partition | None = None
    ) -> Draft:
        """Make the shards that are missing, and the tables.

        Args:
            attempt: The attempt to make the dataset.
            runner: Where the work is done.
            partition: Which of the planned shards; they get no tables, and a later attempt at
                all of them reuses them. None: all shards.
        """
        store, folder = attempt.store, self.dataset.folder
        if partition is not None:
            manifest = self._build_partition(attempt, partition, runner)
            return Draft(manifest, partial=True)
        make_shards(attempt, folder, self.shards, self.make_shard, runner, self.step)
        manifest = self._put_tables(attempt, read_finished_shards(store, folder, self.shards))
        return Draft(manifest, self.reused.base, finish=partial(remove_notes, store))

    def _build_partition(
        self, attempt: Attempt, partition: Partition, runner: RunnerConfig
    ) -> Manifest:
        plans, folder = partition.select(self.shards), self.dataset.folder
        make_shards(attempt, folder, plans, self.make_shard, runner, self.step)
        shards = read_finished_shards(attempt.store, folder, plans)
        images = sum(bool(outcome.rows) for shard in shards for outcome in shard.outcomes)
        return self.dataset.model_copy(
            update={
                "files": tuple(shard.file for shard in shards if shard.file is not None),
                "counts": {"shards": len(shards), "images": images},
            }
        )

    def _put_tables(self, attempt: Attempt, shards: list[FinishedShard]) -> Manifest:
        items = items_table(shards, self.sources, self.reused)
        new = [row for shard in shards for outcome in shard.outcomes for row in outcome.rows]
        rows = concat_rows(self.reused.rows, pd.DataFrame(new, columns=self.columns))
        rejects = pd.DataFrame(rejects_of(items), columns=_REJECTS)
        kinds = Counter(rejects["kind"])
        store, folder = attempt.store, attempt.folder(self.dataset.folder)
        files = (
            *self.reused.files,
            *(shard.file for shard in shards if shard.file is not None),
            _put_rows(store, folder, self.table, rows, self.columns),
            _put_rows(store, folder, ITEMS, items, list(items.columns)),
            _put_rows(store, folder, "rejects.parquet", rejects, _REJECTS),
        )
        counts = {
            **self.count(rows),
            "rejected_images": kinds["image"],
            "rejected_lesions": kinds["lesion"],
        }
        return self.dataset.model_copy(update={"files": files, "counts": counts})


def write_records(
    store: Store,
    folder: str,
    index: int,
    images: Iterable[tuple[ImageOutcome, Iterable[bytes]]],
) -> tuple[StoredFile | None, list[ImageOutcome]]:
    """Write the records of a shard's images, one image at a time.

    Args:
        store: Where the shard goes.
        folder: Folder for the file.
        index: Number of the shard.
        images: Outcome and records of each image, in the order of the shard.

    Returns:
        The shard, None when it has no record; and the outcome of each image.
    """
    outcomes: list[ImageOutcome] = []

    def records() -> Iterator[bytes]:
        for outcome, image_records in images:
            outcomes.append(outcome)
            yield from image_records

    file = write_shard(store, folder, index, records())
    if file.count:
        return file, outcomes
    store.delete(file.key)
    return None, outcomes


def _put_rows(
    store: Store, folder: str, name: str, rows: pd.DataFrame, columns: list[str]
) -> StoredFile:
    """Write a table, sorted by its first columns; an empty one still has its columns."""
    table = rows[columns] if len(rows) else pd.DataFrame(columns=columns)
    return put_table(store, folder, name, table.sort_values(columns[:3], kind="stable"))
