"""The index of CBIS-DDSM over phantom trees, complete and broken."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pydicom
import pytest

from mammo_core.errors import SourceError
from mammo_core.phantom import PhantomConfig, create
from mammo_core.phantom.files import plan_files
from mammo_core.phantom.plan import plan_views
from mammo_core.sources import SourceConfig, index
from mammo_core.sources.index import IMAGE_COLUMNS, LESION_COLUMNS, REJECT_COLUMNS


def config_of(layout):
    return PhantomConfig(patients=6, seed=4, height=112, width=84, layout=layout)


@pytest.fixture(scope="module", params=["original", "nbia"])
def phantom(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    create(root, config_of(request.param), workers=1)
    return root, request.param


@pytest.fixture
def tree(phantom, tmp_path):
    root, _ = phantom
    shutil.copytree(root, tmp_path / "tree")
    return tmp_path / "tree"


def plan(layout):
    config = config_of(layout)
    return [files for view in plan_files(config, plan_views(config)) for files in view]


def test_finds_what_was_drawn(phantom):
    root, layout = phantom
    tables = index(SourceConfig(root=str(root)))
    planned = plan(layout)
    assert tables.rejects.empty
    assert tuple(tables.images.columns) == IMAGE_COLUMNS
    assert tuple(tables.lesions.columns) == LESION_COLUMNS
    assert tuple(tables.rejects.columns) == REJECT_COLUMNS
    masks = {region.mask.path for files in planned for region in files.regions}
    assert set(tables.lesions["mask_path"]) == masks
    digests = {files.image.path: digest_of(root / files.image.path) for files in planned}
    assert set(tables.images["image_id"]) == set(digests.values())
    assert set(tables.images["path"]) <= set(digests)
    assert tables.images["image_id"].is_unique
    assert tables.lesions["lesion_id"].is_unique
    assert set(tables.lesions["image_id"]) <= set(tables.images["image_id"])
    for files in planned:
        row = tables.images[tables.images["image_id"] == digests[files.image.path]].iloc[0]
        assert row["view_id"] == files.view.view_id
        assert row["malignant"] == int(
            any(lesion.pathology == "MALIGNANT" for lesion in files.view.lesions)
        )
        assert files.split in row["official_splits"].split("+")
        assert row["official_split"] == row["official_splits"].split("+")[-1]


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_collection_folders_above_and_order_do_not_matter(phantom, tmp_path):
    root, _ = phantom
    deep = tmp_path / "download" / "CBIS-DDSM" / "more"
    shutil.copytree(root, deep)
    near = index(SourceConfig(root=str(root)), workers=1)
    deeper = index(SourceConfig(root=str(tmp_path / "download"), tables=str(root)), workers=5)
    pd.testing.assert_frame_equal(
        near.images.drop(columns="path"), deeper.images.drop(columns="path")
    )
    assert deeper.images["path"].str.startswith("CBIS-DDSM/more/").all()
    assert near.facts == deeper.facts


def test_missing_and_broken_files_are_rejects(tree, phantom):
    _, layout = phantom
    planned = [files for files in plan(layout) if files.header is files.image]
    missing, broken, other = planned[0], planned[1], planned[2]
    (tree / missing.image.path).unlink()
    (tree / broken.image.path).write_bytes(b"no DICOM file")
    data = pydicom.dcmread(tree / other.image.path)
    data.Modality = "MR"
    data.save_as(tree / other.image.path)
    last = planned[-1].regions[0]
    (tree / last.mask.path).unlink()
    calls = []
    tables = index(SourceConfig(root=str(tree)), progress=lambda *call: calls.append(call))
    images = tables.rejects[tables.rejects["kind"] == "image"].set_index("item")["reason"]
    assert "missing" in images[missing.image.table_path]
    assert "not a DICOM file" in images[broken.image.path]
    assert "modality MR" in images[other.image.path]
    lesions = tables.rejects[tables.rejects["kind"] == "lesion"]
    assert len(lesions) == 1 + sum(len(files.regions) for files in (missing, broken, other))
    assert lesions["reason"].str.contains("No file of the lesion is a mask").sum() == 1
    assert set(tables.rejects["step"]) == {"index"}
    assert str(tree) not in tables.rejects["reason"].str.cat()
    assert {what for what, _, _ in calls} == {"images", "masks"}
    assert all(done <= total for _, done, total in calls)


@pytest.mark.parametrize("fault", ["empty", "other aspect", "gray"])
def test_masks_that_do_not_fit(tree, phantom, fault):
    region = plan(phantom[1])[0].regions[0]
    data = pydicom.dcmread(tree / region.mask.path)
    pixels = data.pixel_array.copy()
    if fault == "empty":
        pixels[:] = 0
    elif fault == "gray":
        pixels[:] = np.arange(pixels.size).reshape(pixels.shape) % 200
    else:
        pixels = pixels[:-20]
    data.Rows, data.PixelData = pixels.shape[0], pixels.tobytes()
    data.save_as(tree / region.mask.path)
    rejects = index(SourceConfig(root=str(tree))).rejects
    assert len(rejects) == 1
    expected = {"empty": "without a lesion", "gray": "gray levels", "other aspect": "pixels"}
    assert expected[fault] in rejects["reason"].iloc[0]
    assert rejects["item"].iloc[0].startswith(plan(phantom[1])[0].view.view_id)


def test_files_of_a_view_in_two_splits_share_one_label(phantom):
    """One view stays one view, malignant if any of its files is, also in another split's table."""
    from mammo_core.sources.adapters.cbis_ddsm.case_tables import read_case_rows
    from mammo_core.sources.adapters.cbis_ddsm.index import image_cases
    from mammo_core.sources.adapters.cbis_ddsm.layout import CellFiles
    from mammo_core.sources.tables.source_tables import Rejects

    first = read_case_rows(str(phantom[0]))[0]
    other = {**first, "image_path": "a/b/c/d", "official_split": "test", "row": 99}
    rows = [
        {**first, "official_split": "train", "malignant": 0},
        {**other, "malignant": 1, "abnormality_id": 2},
    ]
    cells = {row[name]: [] for row in rows for name in ("image_path", "mask_path", "crop_path")}
    cases = image_cases(rows, CellFiles(cells, {}, 0), Rejects())
    assert len({case.view_id for case in cases}) == 1
    assert sorted((case.split, case.malignant) for case in cases) == [("test", 1), ("train", 1)]


def test_one_image_for_two_views_is_a_reject(tree, phantom):
    planned = plan(phantom[1])
    first = planned[0]
    shown = (first.view.laterality, first.view.view)
    second = next(
        files
        for files in planned
        if files.view.patient_key != first.view.patient_key
        and (files.view.laterality, files.view.view) == shown
    )
    shutil.copy(tree / first.image.path, tree / second.image.path)
    rejects = index(SourceConfig(root=str(tree))).rejects
    assert rejects["reason"].str.contains("belongs to several views").sum() >= 2


def test_the_wrong_folder(phantom, tmp_path):
    root, _ = phantom
    with pytest.raises(SourceError, match="No image of the case tables"):
        index(SourceConfig(root=str(tmp_path), tables=str(root)))
    with pytest.raises(SourceError, match="cannot be opened"):
        index(SourceConfig(root=str(tmp_path / "none"), tables=str(root)))
    with pytest.raises(SourceError, match="no case table"):
        index(SourceConfig(root=str(tmp_path)))
