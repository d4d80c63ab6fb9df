"""The audit page: its counts, its duplicates and its images."""

import shutil

import pydicom
import pytest

from mammo_core.sources import SourceConfig, index
from mammo_core.sources.auditing.audit_report import audit_page
from mammo_core.sources.files.file_inspection import inspect_files


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Eight patients; one image has a duplicate, one is truncated, one is not an image."""
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("audit") / "tree"
    create(root, PhantomConfig(patients=8, seed=4, height=192, width=144), workers=1)
    images = index(SourceConfig(root=str(root))).images
    paths = list(images["path"])
    # The header of a copy must not contradict the tables.
    shown = images[["laterality", "view"]].agg(" ".join, axis=1)
    copy = next(at for at in range(1, len(paths)) if shown[at] == shown[0] and at not in (5, 7))
    paths[3], paths[copy] = paths[copy], paths[3]
    duplicate = pydicom.dcmread(root / paths[0])
    duplicate.SeriesDescription = "copied by hand"
    duplicate.save_as(root / paths[3])
    truncated = root / paths[5]
    truncated.write_bytes(truncated.read_bytes()[:-600])
    (root / paths[7]).write_bytes(b"no image")
    config = SourceConfig(root=str(root))
    tables = index(config)
    return config, tables, inspect_files(config.files(), tables.images), paths


def test_duplicates_are_recognized_by_their_pixels(source):
    _, tables, inspection, paths = source
    names = tables.images.set_index("image_id")["path"]
    assert inspection.compared
    assert [sorted(names[image_id] for image_id in group) for group in inspection.duplicates()] == [
        sorted([paths[0], paths[3]])
    ]
    assert [names[image_id] for image_id in inspection.undecodable] == [paths[5]]


def test_every_image_has_a_spacing_and_some_are_shown(source):
    _, tables, inspection, _ = source
    assert set(inspection.spacing) == set(tables.images["image_id"])
    assert any("mm (" in text for text in inspection.spacing.values())
    assert inspection.thumbnails
    assert {thumbnail.shape for thumbnail in inspection.thumbnails.values()} == {(176, 136)}


def test_the_page_shows_the_source_and_is_reproducible(source, tmp_path):
    config, tables, inspection, paths = source
    page = audit_page(tables.images, tables.lesions, tables.rejects, inspection, source="cbis_ddsm")
    for word in (
        "malignant views", "lesion type", "breast density", "bit depth", "pixel spacing", "Leaks",
        "Duplicates", "Rejects", "is not a DICOM file", "truncated pixels", "data:image/png",
        paths[3].split("/")[0],
    ):  # fmt: skip
        assert word in page, word
    assert "copied by hand" not in page and str(config.root) not in page
    shutil.copytree(config.root, tmp_path / "tree")
    again = inspect_files(SourceConfig(root=str(tmp_path / "tree")).files(), tables.images)
    repeated = audit_page(tables.images, tables.lesions, tables.rejects, again, source="cbis_ddsm")
    assert repeated == page


def test_a_source_without_images_has_a_page(source):
    config, tables, _, _ = source
    empty = tables.images[:0]
    inspection = inspect_files(config.files(), empty)
    page = audit_page(empty, tables.lesions[:0], tables.rejects[:0], inspection, source="table")
    assert "Nothing was left out" in page and "data:image/png" not in page
