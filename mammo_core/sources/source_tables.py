"""The tables that every adapter returns, and helpers that adapters share."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd

#: Called with what is being done, how many are done, and of how many.
ProgressCall = Callable[[str, int, int], None]

IMAGE_COLUMNS: Final = (
    "image_id", "path", "patient_key", "laterality", "view", "view_id", "source",
    "official_split", "official_splits", "breast_density", "malignant", "lesion_types",
    "manufacturer", "bits_stored", "rows", "columns",
)  # fmt: skip
LESION_COLUMNS: Final = (
    "lesion_id", "image_id", "view_id", "patient_key", "abnormality_id", "lesion_type",
    "pathology", "malignant", "assessment", "subtlety", "mass_shape", "mass_margins",
    "calc_type", "calc_distribution", "mask_path", "mask_sha256", "official_split",
)  # fmt: skip
REJECT_COLUMNS: Final = ("item", "kind", "reason", "step")
_NUMBERS: Final = {
    "breast_density", "malignant", "bits_stored", "rows", "columns", "abnormality_id",
    "assessment", "subtlety",
}  # fmt: skip

Row = dict[str, Any]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class SourceTables:
    """The content of a source.

    Args:
        images: One row per different image file.
        lesions: One row per lesion with a mask that fits its image.
        rejects: What was left out, and why: item, kind (image|lesion|row), reason, step.
        facts: Counts of the case tables and of the files (JSON-able).
    """

    images: "pd.DataFrame"
    lesions: "pd.DataFrame"
    rejects: "pd.DataFrame"
    facts: dict[str, Any]


class Rejects:
    """What is left out, and why, in the order in which it was read."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, item: str, kind: str, reason: str) -> None:
        """Record something that is left out.

        Args:
            item: Path relative to the root, or name of a row or lesion.
            kind: image, lesion or row.
            reason: What is wrong, what was expected and what was received.
        """
        self.rows.append({"item": item, "kind": kind, "reason": reason, "step": "index"})

    def by_kind(self) -> dict[str, int]:
        """Return how many there are of each kind."""
        return dict(sorted(Counter(str(row["kind"]) for row in self.rows).items()))


def table_of(rows: Iterable[Row], columns: tuple[str, ...]) -> "pd.DataFrame":
    """Return rows as a table of exactly these columns, numbers as int64, the rest as objects.

    Args:
        rows: One dict a row.
        columns: IMAGE_COLUMNS, LESION_COLUMNS or REJECT_COLUMNS.
    """
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=pd.Index(columns))
    return table.astype({name: "int64" if name in _NUMBERS else "object" for name in columns})


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

    Args:
        pool: The threads that do it.
        work: Called with each item.
        items: The items.
        what: Plural of the items, for the progress.
        progress: Called after each item; None reports nothing.

    Returns:
        The results, in the order of the items.
    """
    results: list[R] = []
    for result in pool.map(work, items):
        results.append(result)
        if progress is not None:
            progress(what, len(results), len(items))
    return results
