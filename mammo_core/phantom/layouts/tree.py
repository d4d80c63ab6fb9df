"""Draw the tree of a published layout."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.layouts.files import write_image
from mammo_core.phantom.layouts.layout import Layout, PlannedImage
from mammo_core.phantom.workers import map_planned
from mammo_core.phantom.write import write_file

Progress = Callable[[int, int], None]


def create_published(
    root: Path,
    config: PhantomConfig,
    layout: Layout,
    workers: int | None,
    progress: Progress | None,
) -> tuple[list[tuple[str, int, str]], int, dict[str, int]]:
    """Draw the images of a layout, and write its tables.

    Args:
        root: Folder of the tree.
        config: The phantom's parameters.
        layout: The layout.
        workers: Processes; None for one per processor.
        progress: Called with (images done, all images) after each image.

    Returns:
        path, size and sha256 of each file; how many images were drawn; the counts of the tree.
    """
    images = list(layout.plan(config))
    files: list[tuple[str, int, str]] = []
    outlined = []
    drawn = 0
    written = map_planned(partial(write_image, root, config), images, workers)
    for done, (entries, is_new, image) in enumerate(written, start=1):
        files.extend(entries)
        outlined.append(image)
        drawn += is_new
        if progress:
            progress(done, len(images))
    for path, content in layout.tables(config, outlined).items():
        files.append(write_file(root, path, content))
    return files, drawn, _counts(images, files)


def _counts(
    images: Sequence[PlannedImage], files: Sequence[tuple[str, int, str]]
) -> dict[str, int]:
    labels = [image.label for image in images]
    views = {
        (view.patient_key, view.exam, view.laterality, view.view)
        for view in (image.view for image in images)
    }
    return {
        "patients": len({image.view.patient_key for image in images}),
        "patients_malignant": len({i.view.patient_key for i in images if i.label == 1}),
        "views": len(views),
        "mammograms": len(images),
        "malignant": labels.count(1),
        "not_malignant": labels.count(0),
        "without_label": labels.count(None),
        "lesions": sum(len(image.view.lesions) for image in images),
        "files": len(files),
        "bytes": sum(size for _, size, _ in files),
    }
