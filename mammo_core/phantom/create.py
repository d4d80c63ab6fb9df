"""Make a whole phantom tree: in parallel, whole or not at all, and only once."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_core.errors import SourceError, StoreError
from mammo_core.phantom.config import PhantomConfig, PhantomSummary
from mammo_core.phantom.marker import (
    MARKER,
    SCRATCH,
    check_folder,
    held,
    marker_bytes,
    read_marker,
    tree_digest,
)

if TYPE_CHECKING:
    from mammo_core.phantom.files import MammogramFiles
    from mammo_core.phantom.plan import Kind, Split, ViewPlan
    from mammo_core.phantom.write import Written

Progress = Callable[[int, int], None]
_TABLES: "tuple[tuple[Kind, Split], ...]" = (
    ("calc", "test"), ("calc", "train"), ("mass", "test"), ("mass", "train"),
)  # fmt: skip


def create(
    root: Path,
    config: PhantomConfig,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PhantomSummary:
    """Make a synthetic CBIS-DDSM tree.

    Args:
        root: Folder, new or empty, or holding a tree of the same parameters: a whole one is left
            as it is, an unfinished one is completed, to the same bytes.
        config: The phantom's parameters.
        workers: Number of processes; as many as there are processors if None. The bytes do not
            depend on it.
        progress: Called with (views done, views in all) now and then.

    Returns:
        What the tree holds.

    Raises:
        RecipeError: If the folder holds something else, or another process is writing to it.
        StoreError: If the files cannot be written.
        SourceError: If the marker of the tree is damaged.
    """
    started = time.monotonic()
    root = Path(root)
    check_folder(root, config)
    marker = read_marker(root)
    damaged = _damaged(root, marker) if marker else []
    if marker is not None and not damaged:
        return _summary(root, marker["counts"], marker["digest"], 0, started, True)
    from mammo_core.phantom.files import plan_files
    from mammo_core.phantom.plan import plan_views
    from mammo_core.phantom.write import put

    with _told(root), held(root, config):
        for path in damaged:
            (root / path).unlink(missing_ok=True)
        views = plan_views(config)
        planned = plan_files(config, views)
        files: list[tuple[str, int, str]] = []
        drawn = 0
        for done, written in enumerate(_write_all(root, config, planned, workers), start=1):
            files.extend(written.files)
            drawn += written.drawn
            if progress:
                progress(done, len(planned))
        mammograms = [mammogram for group in planned for mammogram in group]
        files.extend(_write_tables(root, mammograms))
        counts = _counts(views, mammograms, files)
        put(root, MARKER, marker_bytes(config, counts, files))
        _sweep(root)
    return _summary(root, counts, tree_digest(files), drawn, started)


def verify(root: Path) -> list[str]:
    """Read every file of a tree and compare it with the marker.

    Args:
        root: Folder of the tree.

    Returns:
        Paths of the files that are missing or differ, sorted; empty if the tree is as it was made.

    Raises:
        SourceError: If there is no marker, or it is damaged.
    """
    from mammo_core.phantom.write import describe

    marker = read_marker(Path(root))
    if marker is None:
        raise SourceError(
            f"{root} is no whole phantom", expected=f"a file {MARKER}", received="none"
        )
    wrong: list[str] = []
    for path, size, sha256 in marker["files"]:
        try:
            same = describe(Path(root), path) == (path, size, sha256)
        except FileNotFoundError:
            same = False
        if not same:
            wrong.append(path)
    return sorted(wrong)


def _write_all(
    root: Path,
    config: PhantomConfig,
    planned: "list[list[MammogramFiles]]",
    workers: int | None,
) -> "Iterator[Written]":
    from mammo_core.phantom import pool

    count = min(workers or os.cpu_count() or 1, len(planned))
    return pool.write_views(root, config, planned, count)


def _write_tables(root: Path, mammograms: "Iterable[MammogramFiles]") -> list[tuple[str, int, str]]:
    from mammo_core.phantom.tables import table_bytes, table_name
    from mammo_core.phantom.write import put

    mammograms = list(mammograms)
    return [
        put(root, table_name(kind, split), table_bytes(kind, split, mammograms))
        for kind, split in _TABLES
    ]


def _damaged(root: Path, marker: dict[str, Any]) -> list[str]:
    """Files that are gone or have another size: found without reading any."""
    damaged: list[str] = []
    for path, size, _ in marker["files"]:
        try:
            same = os.stat(root / path).st_size == size  # noqa: PTH116 - thousands of them
        except FileNotFoundError:
            same = False
        if not same:
            damaged.append(path)
    return damaged


def _sweep(root: Path) -> None:
    """Remove the scratch folder; the lock is the last to go."""
    scratch = root / SCRATCH
    for entry in sorted(scratch.iterdir(), key=lambda entry: entry.name == "lock"):
        entry.unlink(missing_ok=True)
    with suppress(OSError):  # another process may be looking in
        scratch.rmdir()


def _counts(
    views: "list[ViewPlan]",
    mammograms: "list[MammogramFiles]",
    files: list[tuple[str, int, str]],
) -> dict[str, int]:
    patients = {view.patient_key for view in views}
    malignant = {view.patient_key for view in views if view.malignant}
    sides: dict[str, set[str]] = {"train": set(), "test": set()}
    for mammogram in mammograms:
        sides[mammogram.split].add(mammogram.view.patient_key)
    return {
        "patients": len(patients),
        "patients_malignant": len(malignant),
        "patients_train": len(sides["train"]),
        "patients_test": len(sides["test"]),
        "patients_in_both_splits": len(sides["train"] & sides["test"]),
        "views": len(views),
        "views_malignant": sum(view.malignant for view in views),
        "mammograms": len(mammograms),
        "lesions": sum(len(mammogram.regions) for mammogram in mammograms),
        "files": len(files),
        "bytes": sum(size for _, size, _ in files),
    }


def _summary(
    root: Path,
    counts: dict[str, int],
    digest: str,
    drawn: int,
    started: float,
    already_there: bool = False,
) -> PhantomSummary:
    return PhantomSummary(
        root=root,
        already_there=already_there,
        drawn=drawn,
        seconds=time.monotonic() - started,
        counts=counts,
        digest=digest,
    )


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """Say in three parts why writing failed."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The phantom could not be written to {root}",
            expected="a folder that can be written to, with room for the files",
            received=error.strerror or type(error).__name__,
            hint="What is there is whole: the same command goes on from it.",
        ) from error
    except BrokenProcessPool as error:
        raise StoreError(
            "A process that was drawing the phantom died",
            expected="all of them to end by themselves",
            received="one that was killed, perhaps for lack of memory",
            hint="The same command goes on from what is there; --workers 1 needs least memory.",
        ) from error
