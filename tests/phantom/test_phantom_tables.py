"""The case tables have the quirks of the official ones (docs/original-system.md, "Data sets")."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

LESION_TYPES = ("mass", "calc")
SPLITS = ("train", "test")
IMAGE, CROP, MASK = "image file path", "cropped image file path", "ROI mask file path"


def name(lesion_type: str, split: str) -> str:
    return f"{lesion_type}_case_description_{split}_set.csv"


def read(root: Path, lesion_type: str, split: str) -> pd.DataFrame:
    return pd.read_csv(root / name(lesion_type, split), keep_default_na=False)


def every_row(root: Path) -> pd.DataFrame:
    tables = []
    for lesion_type in LESION_TYPES:
        for split in SPLITS:
            table = read(root, lesion_type, split)
            tables.append(table.assign(lesion_type=lesion_type, split=split))
    return pd.concat(tables)


@pytest.mark.real
@pytest.mark.parametrize("lesion_type", LESION_TYPES)
@pytest.mark.parametrize("split", SPLITS)
def test_header_and_line_ends_are_the_official_ones(
    original_tree: Path, lesion_type: str, split: str
) -> None:
    real = os.environ.get("MAMMO_REAL_DATA") or Path(__file__).parents[3] / "shared" / "data"
    official = Path(real) / "cbis_ddsm_csv" / name(lesion_type, split)
    if not official.is_file():
        pytest.skip(f"no official case tables in {official.parent}")
    ours, theirs = (
        (root / name(lesion_type, split)).read_bytes() for root in (original_tree, official.parent)
    )
    assert ours.split(b"\n")[0] == theirs.split(b"\n")[0]
    assert ours.endswith(b"\r\n")
    their_newlines = pd.read_csv(official, keep_default_na=False)
    table = read(original_tree, lesion_type, split)
    for column in (IMAGE, CROP, MASK):
        expected = their_newlines[column].str.endswith("\n").unique()
        assert list(table[column].str.endswith("\n").unique()) == list(expected)


def test_columns_spell_density_in_two_ways(original_tree: Path) -> None:
    assert "breast_density" in read(original_tree, "mass", "train").columns
    assert "breast density" in read(original_tree, "calc", "train").columns


def test_rows_are_sorted(original_tree: Path) -> None:
    columns = ["patient_id", "left or right breast", "image view", "abnormality id"]
    for lesion_type in LESION_TYPES:
        for split in SPLITS:
            keys = read(original_tree, lesion_type, split)[columns].apply(tuple, axis=1).tolist()
            assert keys == sorted(keys) and len(set(keys)) == len(keys)


def test_quirks_are_present(original_tree: Path) -> None:
    rows = every_row(original_tree)
    crop, mask = rows[CROP].str.strip(), rows[MASK].str.strip()
    crop_name, mask_name = crop.str[-10:], mask.str[-10:]
    assert {
        ("000001.dcm", "000000.dcm"),
        ("000000.dcm", "000001.dcm"),
        ("000000.dcm", "000000.dcm"),
    } == set(zip(crop_name, mask_name, strict=True))
    twice = crop_name == mask_name
    same_series = [
        a.rsplit("/", 1)[0] == b.rsplit("/", 1)[0] for a, b in zip(crop, mask, strict=True)
    ]
    assert (np.array(same_series) == ~twice).all()
    assert (rows["calc distribution"] == "N/A").any()
    assert (rows["assessment"] == 0).any()
    densities = pd.concat([rows["breast_density"], rows["breast density"]])
    assert (densities == 0).any()
    views = rows.groupby(["patient_id", "left or right breast", "image view"])
    assert (views["lesion_type"].nunique() == 2).any()
    assert (rows.groupby(IMAGE).size() > 1).any()
    assert rows.groupby("patient_id")["split"].nunique().max() == 2
    assert set(rows["pathology"]) == {"MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK"}


def test_every_path_has_a_file_and_every_file_a_path(original_tree: Path) -> None:
    rows = every_row(original_tree)
    named = {path.strip() for column in (IMAGE, CROP, MASK) for path in rows[column]}
    existing = {path.relative_to(original_tree).as_posix() for path in original_tree.rglob("*.dcm")}
    assert named == existing


def test_some_cells_are_mistaken_but_the_content_is_clear(original_tree: Path) -> None:
    mistaken = 0
    rows = every_row(original_tree)
    for crop, mask, image in zip(rows[CROP], rows[MASK], rows[IMAGE], strict=True):
        named_mask = pydicom.dcmread(original_tree / mask.strip())
        named_crop = pydicom.dcmread(original_tree / crop.strip())
        mistaken += named_mask.SeriesDescription == "cropped images"
        true_mask, true_crop = (
            (named_mask, named_crop)
            if named_mask.SeriesDescription == "ROI mask images"
            else (named_crop, named_mask)
        )
        full = pydicom.dcmread(original_tree / image)
        assert set(np.unique(true_mask.pixel_array)) == {0, 255}
        assert true_mask.BitsAllocated == 8
        assert true_crop.BitsStored == full.BitsStored
        assert true_crop.Rows < full.Rows and true_crop.Columns < full.Columns
    assert 0 < mistaken < len(rows) / 2


def test_a_mask_of_another_size_has_the_same_aspect_ratio(original_tree: Path) -> None:
    shapes = {
        (header.Rows, header.Columns)
        for path in original_tree.rglob("*.dcm")
        if (header := pydicom.dcmread(path)).SeriesDescription == "ROI mask images"
    }
    assert shapes == {(96, 72), (84, 63)}


def test_nbia_folders_follow_from_the_uids_of_the_tables(nbia_tree: Path) -> None:
    rows = every_row(nbia_tree)
    named = {path.strip() for column in (IMAGE, CROP, MASK) for path in rows[column]}
    existing = set()
    for path in named:
        folder, study, series, _ = path.split("/")
        study_folders = list((nbia_tree / folder).glob(f"07-20-2016-DDSM-{study[-5:]}"))
        assert len(study_folders) == 1
        series_folders = list(study_folders[0].glob(f"1-*-{series[-5:]}"))
        assert len(series_folders) == 1
        files = sorted(series_folders[0].iterdir())
        assert [file.name for file in files] in (["1-1.dcm"], ["1-1.dcm", "1-2.dcm"])
        for file in files:
            header = pydicom.dcmread(file, stop_before_pixels=True)
            assert (header.StudyInstanceUID, header.SeriesInstanceUID) in {(study, series)} or (
                header.SeriesDescription == "full mammogram images"  # a byte-identical copy
            )
            existing.add(file)
    assert existing == set(nbia_tree.rglob("*.dcm"))


def test_both_layouts_contain_the_same_images(original_tree: Path, nbia_tree: Path) -> None:
    for lesion_type in LESION_TYPES:
        for split in SPLITS:
            assert (original_tree / name(lesion_type, split)).read_bytes() == (
                nbia_tree / name(lesion_type, split)
            ).read_bytes()

    def images(root: Path) -> dict[str, bytes]:
        return {
            header.SOPInstanceUID: header.PixelData
            for path in root.rglob("*.dcm")
            for header in [pydicom.dcmread(path)]
        }

    assert images(original_tree) == images(nbia_tree)
