"""Create a phantom tree: in parallel, resumable, and only once."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_core.errors import SourceError, StoreError
from mammo_core.phantom.config import PhantomConfig, PhantomSummary
from mammo_core.phantom.marker import (
    MARKER,
    SCRATCH,
    lock_tree,
    marker_bytes,
    read_marker,
    require_folder,
    tree_digest,
)

if TYPE_CHECKING:
    from mammo_core.phantom.files import MammogramFiles
    from mammo_core.phantom.plan import LesionType, Split, ViewPlan

Progress = Callable[[int, int], None]
_TABLES: "tuple[tuple[LesionType, Split], ...]" = (
    ("calc", "test"), ("calc", "train"), ("mass", "test"), ("mass", "train"),
)  # fmt: skip


def create(
    root: Path,
    config: PhantomConfig,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PhantomSummary:
    """Create the tree of a synthetic data set.

    Args:
        root: Folder, new or empty, or with a tree of the same parameters: a complete one is
            left unchanged, an unfinished one is completed, to the same bytes.
        config: The phantom's parameters.
        workers: Number of processes; None for one per processor. The bytes do not depend
            on it.
        progress: Called with (views done, all views) after each view.

    Returns:
        Summary of the tree.

    Raises:
        RecipeError: The folder contains something else, or another process is writing to it.
        StoreError: The files cannot be written.
        SourceError: The marker of the tree is damaged.
    """
    started = time.monotonic()
    root = Path(root)
    require_folder(root, config)
    marker = read_marker(root)
    damaged = _damaged(root, marker) if marker else []
    if marker is not None and not damaged:
        return _summary(root, marker["counts"], marker["digest"], 0, started, True)
    from mammo_core.phantom.layouts.layout import published_layouts
    from mammo_core.phantom.layouts.tree import create_published
    from mammo_core.phantom.write import write_file

    with _as_store_errors(root), lock_tree(root, config):
        for path in damaged:
            (root / path).unlink(missing_ok=True)
        layout = published_layouts().get(config.layout)
        if layout is not None:
            files, drawn, counts = create_published(root, config, layout, workers, progress)
        else:
            files, drawn, counts = _create_cbis(root, config, workers, progress)
        write_file(root, MARKER, marker_bytes(config, counts, files))
        _remove_scratch(root)
    return _summary(root, counts, tree_digest(files), drawn, started)


def _create_cbis(
    root: Path, config: PhantomConfig, workers: int | None, progress: Progress | None
) -> tuple[list[tuple[str, int, str]], int, dict[str, int]]:
    """Draw a CBIS-DDSM tree; return its files, how many views were drawn, and its counts."""
    from mammo_core.phantom.files import plan_files
    from mammo_core.phantom.plan import plan_views
    from mammo_core.phantom.workers import map_planned
    from mammo_core.phantom.write import write_view

    views = plan_views(config)
    planned = plan_files(config, views)
    files: list[tuple[str, int, str]] = []
    drawn = 0
    written = map_planned(partial(write_view, root, config), planned, workers)
    for done, view_files in enumerate(written, start=1):
        files.extend(view_files.files)
        drawn += view_files.drawn
        if progress:
            progress(done, len(planned))
    mammograms = [mammogram for group in planned for mammogram in group]
    files.extend(_write_tables(root, mammograms))
    return files, drawn, _counts(views, mammograms, files)


def verify(root: Path) -> list[str]:
    """Read every file of a tree and compare it with the marker.

    Args:
        root: Folder of the tree.

    Returns:
        Paths of the files that are missing or differ, sorted; empty for an unchanged tree.

    Raises:
        SourceError: The marker is missing or damaged.
    """
    from mammo_core.phantom.write import describe

    marker = read_marker(Path(root))
    if marker is None:
        raise SourceError(
            f"{root} is not a complete phantom", expected=f"a file {MARKER}", received="none"
        )
    changed: list[str] = []
    for path, size, sha256 in marker["files"]:
        try:
            same = describe(Path(root), path) == (path, size, sha256)
        except FileNotFoundError:
            same = False
        if not same:
            changed.append(path)
    return sorted(changed)


def _write_tables(root: Path, mammograms: "Iterable[MammogramFiles]") -> list[tuple[str, int, str]]:
    from mammo_core.phantom.tables import table_bytes, table_name
    from mammo_core.phantom.write import write_file

    mammograms = list(mammograms)
    return [
        write_file(
            root, table_name(lesion_type, split), table_bytes(lesion_type, split, mammograms)
        )
        for lesion_type, split in _TABLES
    ]


def _damaged(root: Path, marker: dict[str, Any]) -> list[str]:
    """Return the files that are missing or have another size, without reading any."""
    damaged: list[str] = []
    for path, size, _ in marker["files"]:
        try:
            same = os.stat(root / path).st_size == size  # noqa: PTH116 - thousands of them
        except FileNotFoundError:
            same = False
        if not same:
            damaged.append(path)
    return damaged


def _remove_scratch(root: Path) -> None:
    """Remove the scratch folder; the lock goes last."""
    scratch = root / SCRATCH
    for entry in sorted(scratch.iterdir(), key=lambda entry: entry.name == "lock"):
        entry.unlink(missing_ok=True)
    with suppress(OSError):  # another process may be opening it
        scratch.rmdir()


def _counts(
    views: "list[ViewPlan]",
    mammograms: "list[MammogramFiles]",
    files: list[tuple[str, int, str]],
) -> dict[str, int]:
    patients = {view.patient_key for view in views}
    malignant = {view.patient_key for view in views if view.malignant}
    splits: dict[str, set[str]] = {"train": set(), "test": set()}
    for mammogram in mammograms:
        splits[mammogram.split].add(mammogram.view.patient_key)
    return {
        "patients": len(patients),
        "patients_malignant": len(malignant),
        "patients_train": len(splits["train"]),
        "patients_test": len(splits["test"]),
        "patients_in_both_splits": len(splits["train"] & splits["test"]),
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
    complete_before: bool = False,
) -> PhantomSummary:
    return PhantomSummary(
        root=root,
        complete_before=complete_before,
        drawn=drawn,
        seconds=time.monotonic() - started,
        counts=counts,
        digest=digest,
    )


@contextmanager
def _as_store_errors(root: Path) -> Iterator[None]:
    """Raise failures of writing as StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The phantom could not be written to {root}",
            expected="a folder that can be written to, with room for the files",
            received=error.strerror or type(error).__name__,
            hint="Every written file is complete: the same command resumes from them.",
        ) from error
    except BrokenProcessPool as error:
        raise StoreError(
            "A process that was drawing the phantom died",
            expected="every process to finish",
            received="a killed one, perhaps for lack of memory",
            hint="The same command resumes; --workers 1 needs the least memory.",
        ) from error
