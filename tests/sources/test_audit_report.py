"""The audit page: what it counts, and what it finds."""

import shutil

import pydicom
import pytest

from mammo_core.sources import SourceConfig, index
from mammo_core.sources.audit_report import audit_page, inspect_files


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Eight patients; one image is a twin of another one, one is cut off, one is no image."""
    from mammo_core.phantom import PhantomConfig, create

    root = tmp_path_factory.mktemp("audit") / "tree"
    create(root, PhantomConfig(patients=8, seed=4, height=192, width=144), workers=1)
    paths = list(index(SourceConfig(root=str(root))).images["path"])
    twin = pydicom.dcmread(root / paths[0])
    twin.SeriesDescription = "copied by hand"
    twin.save_as(root / paths[3])
    cut = root / paths[5]
    cut.write_bytes(cut.read_bytes()[:-600])
    (root / paths[7]).write_bytes(b"no image")
    config = SourceConfig(root=str(root))
    tables = index(config)
    return config, tables, inspect_files(config.files(), tables.images), paths


def test_twins_are_found_by_their_pixels(odd):
    _, tables, seen, paths = odd
    names = tables.images.set_index("image_id")["path"]
    assert seen.compared
    assert [sorted(names[one] for one in group) for group in seen.duplicates()] == [
        sorted([paths[0], paths[3]])
    ]
    assert [names[one] for one in seen.undecodable] == [paths[5]]


def test_every_image_has_a_spacing_and_some_are_shown(odd):
    _, tables, seen, _ = odd
    assert set(seen.spacing) == set(tables.images["image_id"])
    assert any("mm (" in told for told in seen.spacing.values())
    assert seen.thumbnails
    assert {thumbnail.shape for thumbnail in seen.thumbnails.values()} == {(176, 136)}


def test_the_page_tells_it_and_is_the_same_twice(odd, tmp_path):
    config, tables, seen, paths = odd
    page = audit_page(tables.images, tables.lesions, tables.rejects, seen, source="cbis_ddsm")
    for word in (
        "malignant views", "lesion type", "breast density", "bit depth", "pixel spacing", "Leaks",
        "Duplicates", "Rejects", "is not a DICOM file", "truncated pixels", "data:image/png",
        paths[3].split("/")[0],
    ):  # fmt: skip
        assert word in page, word
    assert "copied by hand" not in page and str(config.root) not in page
    shutil.copytree(config.root, tmp_path / "tree")
    again = inspect_files(SourceConfig(root=str(tmp_path / "tree")).files(), tables.images)
    told = audit_page(tables.images, tables.lesions, tables.rejects, again, source="cbis_ddsm")
    assert told == page


def test_a_source_without_images_has_a_page(odd):
    config, tables, _, _ = odd
    nothing = tables.images[:0]
    seen = inspect_files(config.files(), nothing)
    page = audit_page(nothing, tables.lesions[:0], tables.rejects[:0], seen, source="table")
    assert "Nothing was left out" in page and "data:image/png" not in page
