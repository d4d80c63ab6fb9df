"""CBIS-DDSM in every layout it is distributed in gives the same tables."""

import shutil

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest

from mammo_core.errors import SourceError
from mammo_core.phantom import PhantomConfig, create
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.adapters.cbis_ddsm.layout import _Tree


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("original")
    create(root, PhantomConfig(patients=5, seed=4, height=112, width=84), workers=1)
    return root


@pytest.fixture(scope="module")
def expected(original):
    tables = index(SourceConfig(root=str(original)))
    assert tables.rejects.empty
    return tables


def relative(original):
    return sorted(path.relative_to(original) for path in original.rglob("*.dcm"))


def indexed(root, original):
    return index(SourceConfig(root=str(root), tables=str(original)))


def same_lesions(tables, expected, *but):
    pd.testing.assert_frame_equal(
        tables.lesions.drop(columns=["mask_path", *but]),
        expected.lesions.drop(columns=["mask_path", *but]),
    )


def as_png(source, target):
    """Convert as users of the fork did: 16-bit gray mammograms and crops, 8-bit masks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while target.exists():
        number += 1
        target = target.with_name(f"{number:06d}.png")
    cv2.imwrite(str(target), pydicom.dcmread(source).pixel_array)


@pytest.mark.parametrize("levels", ["dated", "none"])
def test_png_trees_of_the_fork(original, expected, tmp_path, levels):
    # docs/original-system.md, "Data sets": four collection roots, a further level above tests.
    for path in relative(original):
        first, study, series = path.parts[:3]
        collection = "ROI and Cropped Images" if first[-1].isdigit() else "Full Mammogram Images"
        kind = first.split("_")[0]
        folder = tmp_path / f"{kind} {collection}"
        if "Test" in kind:
            folder = folder / "CBIS-DDSM"
        folder = folder / first
        if levels == "dated":
            folder = folder / f"07-20-2016-DDSM-{study[-5:]}" / f"1-images-{series[-5:]}"
        as_png(original / path, folder / "000000.png")
    tables = indexed(tmp_path, original)
    assert tables.rejects.empty
    same_lesions(tables, expected, "image_id", "mask_sha256")
    both = tables.images.merge(expected.images, on="view_id", suffixes=("", "_dicom"))
    assert len(both) >= len(expected.images)
    assert (both["malignant"] == both["malignant_dicom"]).all()
    assert tables.images["path"].str.endswith(".png").all()
    ways = tables.facts["files"]["located_by"]
    assert ways["path" if levels == "dated" else "folder"] > 0
    assert ways["nowhere"] == 0


def test_by_series_uid_where_names_fail(original, expected, tmp_path):
    paths = relative(original)
    order = np.random.default_rng(3).permutation(len(paths))
    (tmp_path / "export").mkdir()
    for number, at in enumerate(order):
        suffix = "" if number % 2 else ".dcm"
        shutil.copy(original / paths[at], tmp_path / "export" / f"IM{number:05d}{suffix}")
    (tmp_path / "export" / "README").write_text("no image")
    (tmp_path / "export" / "broken.dcm").write_bytes(b"no DICOM file" * 100)
    calls = []
    tables = index(
        SourceConfig(root=str(tmp_path), tables=str(original)),
        progress=lambda *call: calls.append(call),
    )
    # A file that the phantom put into two folders contains one series UID only.
    rejects = tables.rejects.groupby("kind")["item"].agg(list)
    twice = expected.facts["files"]["identical_files"]
    assert twice == len(rejects["image"]) == tables.facts["missing"]["images"]
    kept = expected.lesions[~expected.lesions["lesion_id"].isin(rejects["lesion"])]
    pd.testing.assert_frame_equal(
        tables.lesions.drop(columns="mask_path"),
        kept.drop(columns="mask_path").reset_index(drop=True),
    )
    assert set(tables.images["image_id"]) == set(expected.images["image_id"])
    ways = tables.facts["files"]["located_by"]
    assert (ways["path"], ways["folder"], ways["nowhere"]) == (0, 0, twice)
    assert ways["series_uid"] > 0
    assert tables.facts["files"]["other_files"] == 2
    assert "headers" in {what for what, _, _ in calls}


def test_headers_are_read_only_of_files_no_name_explains(original, expected, tmp_path):
    shutil.copytree(original, tmp_path / "tree")
    renamed = expected.images["path"].iloc[0]
    (tmp_path / "tree" / renamed).rename(tmp_path / "tree" / "IM1.dcm")
    calls = []
    tables = index(
        SourceConfig(root=str(tmp_path / "tree")), progress=lambda *call: calls.append(call)
    )
    assert [total for what, _, total in calls if what == "headers"] == [1]
    assert "IM1.dcm" in set(tables.images["path"])
    assert tables.facts["files"]["located_by"]["series_uid"] == 1
    assert tables.facts["missing"] == {"images": 0, "views": 0, "lesions": 0}


@pytest.mark.parametrize(("scale", "accepted"), [(0.5, True), (0.87, True), (None, False)])
def test_masks_of_another_size(original, expected, tmp_path, scale, accepted):
    shutil.copytree(original, tmp_path / "tree")
    lesion = expected.lesions.iloc[0]
    path = tmp_path / "tree" / lesion["mask_path"]
    data = pydicom.dcmread(path)
    rows, columns = data.pixel_array.shape
    size = (round(columns * scale), round(rows * scale)) if scale else (columns, rows - 6)
    pixels = cv2.resize(data.pixel_array, size, interpolation=cv2.INTER_NEAREST)
    data.Rows, data.Columns, data.PixelData = *pixels.shape, pixels.tobytes()
    data.save_as(path)
    tables = index(SourceConfig(root=str(tmp_path / "tree")))
    rescaled = tables.facts["files"]["rescaled_masks"]
    already_rescaled = expected.facts["files"]["rescaled_masks"]
    if accepted:
        assert tables.rejects.empty
        assert set(rescaled) == {*already_rescaled, lesion["lesion_id"]}
    else:
        assert tables.rejects["item"].tolist() == [lesion["lesion_id"]]
        assert "same aspect ratio" in tables.rejects["reason"].iloc[0]
        assert set(rescaled) == set(already_rescaled) - {lesion["lesion_id"]}


def test_files_and_images_are_counted(original, expected):
    files, images = expected.facts["files"], expected.images
    assert files["images"] == len(images)
    assert files["views"] == images["view_id"].nunique()
    assert files["image_files"] == files["images"] + files["identical_files"]
    several = (images.groupby("view_id").size() > 1).sum()
    assert files["views_with_several_images"] == several
    assert expected.facts["missing"] == {"images": 0, "views": 0, "lesions": 0}
    assert files["rejects"] == {}


def test_links_are_followed_once(original, expected, tmp_path):
    (tmp_path / "one").symlink_to(original)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nothing").symlink_to(tmp_path / "absent")
    tables = indexed(tmp_path, original)
    same_lesions(tables, expected)


def test_files_that_are_not_images_of_the_tables(original, tmp_path):
    (tmp_path / "other.dcm").write_bytes(b"x" * 300)
    with pytest.raises(SourceError, match="No image of the case tables"):
        indexed(tmp_path, original)


@pytest.mark.parametrize("suffix", ["", ".dcm", ".png", ".tif", ".tiff", ".pgm", ".PGM"])
def test_an_image_file_may_have_the_suffix_of_any_format_that_is_read(suffix):
    name = f"Mass-Training_P_00001_LEFT_CC/000000{suffix}"
    tree = _Tree([name, "Mass-Training_P_00001_LEFT_CC/notes.txt"], set())
    assert tree.unexplained == [name]
