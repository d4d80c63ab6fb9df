"""The tables that every adapter returns, and helpers that adapters share."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd
    import pyarrow as pa

#: Called with what is being done, how many are done, and of how many.
ProgressCall = Callable[[str, int, int], None]

#: What an image is, under the names of `dicom.ImageMeaning`; an unknown text is empty.
MEANING_COLUMNS: Final = (
    "view", "view_class", "view_modifiers", "image_type", "implant", "partial_view", "specimen",
    "body_part", "for_processing", "burned_in", "patient_identity_removed", "paddle",
    "magnification_factor", "area_mm2", "warnings",
)  # fmt: skip
#: What else a source says about the breast of an image, under the names of `cases.Targets`.
TARGET_COLUMNS: Final = (
    "label_origin", "birads", "invasive", "subtype", "years_to_cancer",
    "years_to_last_negative_exam", "site", "machine", "race", "ethnicity", "age_band",
)  # fmt: skip
IMAGE_COLUMNS: Final = (
    "image_id", "path", "patient_key", "exam_key", "exam_day", "pathology_day", "laterality",
    "view_id", "source",
    "official_split", "official_splits", "breast_density", "malignant", *TARGET_COLUMNS,
    "lesion_types", "manufacturer", "bits_stored", "rows", "columns", *MEANING_COLUMNS,
    "acquisition_order", "not_chosen",
)  # fmt: skip
LESION_COLUMNS: Final = (
    "lesion_id", "image_id", "view_id", "patient_key", "exam_key", "abnormality_id", "lesion_type",
    "pathology", "malignant", "assessment", "subtlety", "mass_shape", "mass_margins",
    "calc_type", "calc_distribution", "mask_path", "mask_sha256", "official_split",
)  # fmt: skip
#: `cause` is empty for a fault, and else what the recipe leaves out: a code of the policy of
#: images, or `unknown_label`.
REJECT_COLUMNS: Final = ("item", "kind", "cause", "reason", "step")
_NUMBERS: Final = {
    "breast_density", "malignant", "bits_stored", "rows", "columns", "abnormality_id",
    "assessment", "subtlety", "acquisition_order",
}  # fmt: skip
#: Numbers that may be unknown (NaN).
_OPTIONAL_NUMBERS: Final = {
    "exam_day", "pathology_day", "birads", "years_to_cancer", "years_to_last_negative_exam",
    "magnification_factor", "area_mm2",
}  # fmt: skip

#: Items that are handed to threads at once, and the tasks that they are divided into.
_WAITING: Final = 4096
_TASKS: Final = 256

Row = MutableMapping[str, Any]
_NOTHING: Final[Mapping[str, Any]] = {}
T = TypeVar("T")
R = TypeVar("R")


class PackedRow(MutableMapping[str, Any]):
    """A row of a table in a tenth of the memory of a dict: a large source has half a million.

    Args:
        values: Column → cell; all rows with the same columns, in the same order, share them.
        shared: Further cells that many rows have in common; they cannot be changed.
    """

    __slots__ = ("_cells", "_places", "_shared")

    def __init__(self, values: Mapping[str, Any], shared: Mapping[str, Any] = _NOTHING) -> None:
        self._places = _places(tuple(values))
        self._cells = list(values.values())
        self._shared = shared

    def __getitem__(self, name: str) -> Any:
        at = self._places.get(name)
        return self._shared[name] if at is None else self._cells[at]

    def __setitem__(self, name: str, value: Any) -> None:
        self._cells[self._places[name]] = value

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"the column {name} of a row cannot be removed")

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        yield from self._shared

    def __len__(self) -> int:
        return len(self._places) + len(self._shared)


@cache
def _places(names: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(names, range(len(names)), strict=True))


@dataclass(frozen=True)
class SourceTables:
    """The content of a source.

    Args:
        images: One row per different image file.
        lesions: One row per lesion with a mask that fits its image.
        rejects: What was left out, and why: item, kind (image|lesion|row), cause, reason, step.
        facts: Counts of the case tables and of the files (JSON-able).
    """

    images: "pd.DataFrame"
    lesions: "pd.DataFrame"
    rejects: "pd.DataFrame"
    facts: dict[str, Any]


@dataclass(frozen=True)
class PackedTables:
    """Tables of a source as Arrow keeps them: no cell is an object of its own.

    Cells that are made beside other objects keep all of that memory from being used again, so
    those of a large source are packed until the others are gone, and created again.

    Args:
        tables: Images, lesions and rejects as Arrow tables.
        types: The types of their columns as pandas tables.
        facts: See `SourceTables`.
    """

    tables: "tuple[pa.Table, ...]"
    types: "tuple[pd.Series, ...]"
    facts: dict[str, Any]

    @classmethod
    def of(cls, source: SourceTables) -> "PackedTables":
        """Pack the tables of a source."""
        import pyarrow as pa

        tables = (source.images, source.lesions, source.rejects)
        packed = (pa.Table.from_pandas(each, preserve_index=False, nthreads=1) for each in tables)
        return cls(tuple(packed), tuple(each.dtypes for each in tables), source.facts)

    def unpacked(self) -> SourceTables:
        """Return the tables; an unknown cell is None or NaN."""
        images, lesions, rejects = (
            table.to_pandas(use_threads=False).astype(types)
            for table, types in zip(self.tables, self.types, strict=True)
        )
        return SourceTables(images, lesions, rejects, self.facts)


class Rejects:
    """What is left out, and why, in the order in which it was read."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, item: str, kind: str, reason: str, cause: str = "") -> None:
        """Record something that is left out.

        Args:
            item: Path relative to the root, or name of a row or lesion.
            kind: image, lesion or row.
            reason: What is wrong, what was expected and what was received.
            cause: What the recipe leaves out; empty for a fault.
        """
        self.rows.append(
            {"item": item, "kind": kind, "cause": cause, "reason": reason, "step": "index"}
        )

    def by_kind(self) -> dict[str, int]:
        """Return how many there are of each kind."""
        return dict(sorted(Counter(str(row["kind"]) for row in self.rows).items()))


def table_of(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> "pd.DataFrame":
    """Return rows as a table of exactly these columns, with the same types for any rows.

    Numbers are int64, or float64 where they may be unknown; the rest are objects.

    Args:
        rows: One dict a row.
        columns: IMAGE_COLUMNS, LESION_COLUMNS or REJECT_COLUMNS.
    """
    import pandas as pd

    kinds = {**dict.fromkeys(_NUMBERS, "int64"), **dict.fromkeys(_OPTIONAL_NUMBERS, "float64")}
    rows = list(rows)
    unknown = float("nan")
    return pd.DataFrame(
        {
            # Column by column, so that the cells are in memory once.
            name: pd.Series(
                [row.get(name, unknown) for row in rows], dtype=kinds.get(name, "object")
            )
            for name in columns
        },
        columns=pd.Index(columns),
    )


def rows_of(table: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, a few thousand of them in memory at a time.

    Args:
        table: Any table.
    """
    for start in range(0, len(table), _WAITING):
        for row in table.iloc[start : start + _WAITING].to_dict("records"):
            yield {str(name): value for name, value in row.items()}


def threads(workers: int | None = None) -> ThreadPoolExecutor:
    """Return a pool for reading files: by default two threads a core, at most 16.

    Args:
        workers: Threads.
    """
    return ThreadPoolExecutor(workers or min(16, 2 * (os.cpu_count() or 1)))


def run_all(
    pool: ThreadPoolExecutor,
    work: Callable[[T], R],
    items: list[T],
    what: str,
    progress: ProgressCall | None,
) -> list[R]:
    """Do the work for every item, and report the progress.

    Of thousands of items, a thread gets several at a time: handing over one takes longer than to
    look up an answer that is known.

    Args:
        pool: The threads that do it.
        work: Called with each item.
        items: The items.
        what: Plural of the items, for the progress.
        progress: Called after each task; None reports nothing.

    Returns:
        The results, in the order of the items.
    """
    results: list[R] = []
    for start in range(0, len(items), _WAITING):
        # A task that waits for a thread takes as much memory as its result.
        waiting = items[start : start + _WAITING]
        size = max(1, len(waiting) // _TASKS)
        tasks = [waiting[at : at + size] for at in range(0, len(waiting), size)]
        for done in pool.map(lambda task: [work(item) for item in task], tasks):
            results += done
            if progress is not None:
                progress(what, len(results), len(items))
    return results
