"""INbreast trees made here: table, 14-bit DICOM, plist contours."""

import plistlib

import numpy as np
import pydicom
import pytest
from pydantic import ValidationError
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from mammo_core.errors import DicomError, SourceError
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.sources.adapters.inbreast.contours import group_calcifications
from mammo_core.sources.masks import Region, load_mask

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
ROWS, COLUMNS = 160, 120
SQUARE = [(30, 40), (60, 40), (60, 80), (30, 80)]
# File name, patient, side, view in the file name, view in the table, ACR, BI-RADS, regions.
CASES = [
    ("20586908", "6c613a14b80a8591", "R", "CC", "CC", "4 ", "5", [("Mass", SQUARE)]),
    ("20586934", "6c613a14b80a8591", "L", "ML", "MLO", "4", "2", []),
    ("20586960", "036aff49b8ac84f0", "R", "ML", "ML", "1", "4a", [
        ("Spiculated Region", SQUARE),
        ("Asymmetry", SQUARE),
        ("", SQUARE),
        ("Cluster", [(70, 100), (100, 100), (100, 130), (70, 130)]),
        ("Calcification", [(80, 110)]),  # within the cluster
        ("Calcification", [(10, 10)]),
        ("Calcification", [(14, 10), (14, 11)]),
        ("Calcification", [(12, 14), (14, 14), (13, 15)]),  # 0.14 mm wide: a single one
    ]),
    ("20586986", "036aff49b8ac84f0", "L", "CC", "CC", "", "1", []),
    ("20587054", "fe7d005dcbbfb46d", "L", "CC", "CC", "2", "3", [("Mass", SQUARE)]),
    ("20587080", "b231a8ba4dd4214f", "L", "CC", "CC", "3", "6", [("Distortion", SQUARE)]),
]  # fmt: skip


def write_dicom(path, seed):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{seed}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, f"1.2.3.{seed}"
    data.PatientName, data.StudyDate = "Secret^Name", "20100102"
    data.Modality, data.SamplesPerPixel, data.PhotometricInterpretation = "MG", 1, "MONOCHROME2"
    data.Rows, data.Columns = ROWS, COLUMNS
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 14, 13, 0
    pixels = np.random.default_rng(seed).integers(0, 2**14, (ROWS, COLUMNS), dtype=np.uint16)
    data.PixelData = pixels.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def write_xml(path, regions):
    rois = [
        {
            "Name": name,
            "NumberOfPoints": len(points),
            "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
        }
        for name, points in regions
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]})
    )


def build(root, cases=CASES):
    """Write a tree; the release's own folder has blanks in its name."""
    lines = [HEADER]
    for seed, (number, patient, side, name_view, view, density, category, regions) in enumerate(
        cases
    ):
        write_dicom(root / f"AllDICOMs/{number}_{patient}_MG_{side}_{name_view}_ANON.dcm", seed)
        if regions:
            write_xml(root / f"AllXML/{number}.xml", regions)
        lines.append(f"removed;removed;{side};{view};201001;{number};{density};{category}")
    (root / "INbreast.csv").write_text("\r\n".join(lines) + "\r\n")
    return root


def config_of(root, **options):
    return SourceConfig(adapter="inbreast", root=str(root), inbreast=options)


@pytest.fixture(scope="module")
def inbreast(tmp_path_factory):
    return build(tmp_path_factory.mktemp("inbreast") / "INbreast Release 1.0")


@pytest.fixture(scope="module")
def tables(inbreast):
    return index(config_of(inbreast))


def test_images_are_labelled_by_their_birads_category(tables):
    assert tables.rejects.empty
    columns = ["view_id", "malignant", "breast_density", "lesion_types", "bits_stored"]
    assert sorted(map(tuple, tables.images[columns].to_numpy().tolist())) == [
        ("036aff49b8ac84f0_LEFT_CC", 0, 0, "", 14),
        ("036aff49b8ac84f0_RIGHT_MLO", 1, 1, "calc+mass", 14),
        ("6c613a14b80a8591_LEFT_MLO", 0, 4, "", 14),
        ("6c613a14b80a8591_RIGHT_CC", 1, 4, "mass", 14),
        ("b231a8ba4dd4214f_LEFT_CC", 1, 3, "", 14),
    ]
    assert tables.facts["excluded"] == {"3": 1}
    assert tables.facts["other_regions"] == {"Asymmetry": 1, "Distortion": 1, "unnamed": 1}
    assert set(tables.images["official_splits"]) == {""}
    assert set(tables.images["source"]) == {"inbreast"}


def test_no_date_no_age_no_name_is_kept(tables):
    told = " ".join(
        table.to_csv() for table in (tables.images, tables.lesions, tables.rejects)
    ) + str(tables.facts)
    assert not any(word in told for word in ("Secret", "201001", "20100102", "removed"))


def test_lesions_are_what_their_image_is(tables):
    own = tables.lesions.set_index("lesion_id")
    assert own.loc["6c613a14b80a8591_RIGHT_CC_mass_1", "pathology"] == "MALIGNANT"
    mass = own.loc["036aff49b8ac84f0_RIGHT_MLO_mass_1"]
    assert (mass["mass_margins"], mass["assessment"]) == ("SPICULATED", 4)
    # The cluster holds its single calcification; the three others are one lesion.
    assert list(own["mask_path"]) == [
        "AllXML/20586960.xml#3",
        "AllXML/20586960.xml#5+6+7",
        "AllXML/20586960.xml#0",
        "AllXML/20586908.xml#0",
    ]


@pytest.mark.parametrize(
    ("region", "box", "pixels"),
    [
        ("0", (40, 80, 30, 60), 41 * 31),  # a filled polygon, its edge included
        ("4", (110, 110, 80, 80), 1),
        ("6", (10, 11, 14, 14), 2),  # two points are two pixels
        ("5+6+7", (10, 15, 10, 14), None),  # the hull around several
    ],
)
def test_masks_of_contours(inbreast, region, box, pixels):
    files = SourceFiles.open(str(inbreast))
    mask = load_mask(files, f"AllXML/20586960.xml#{region}", ROWS, COLUMNS)
    assert mask.shape == (ROWS, COLUMNS) and mask.dtype == bool
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == box
    if pixels is not None:
        assert mask.sum() == pixels


def test_every_category_is_a_setting(inbreast):
    settings = {"negative": ["1", "2", "3"], "positive": ["5", "6"], "excluded": ["4a"]}
    told = index(config_of(inbreast, **settings))
    assert told.facts["excluded"] == {"4a": 1}
    labels = dict(zip(told.images["view_id"], told.images["malignant"], strict=True))
    assert labels["fe7d005dcbbfb46d_LEFT_CC"] == 0
    with pytest.raises(ValidationError, match="not two of it"):
        config_of(inbreast, negative=["1", "3"])


def test_each_calcification_a_lesion_when_asked(inbreast):
    lesions = index(config_of(inbreast, group_mm=0)).lesions
    assert (lesions["lesion_type"] == "calc").sum() == 5


def test_calcifications_group_by_distance():
    # 0.07 mm a pixel: 10 mm are 142.9 pixels.
    at = [0, 100, 200, 400, 543]
    regions = [Region("Calcification", np.array([[float(x), 5.0]])) for x in at]
    assert group_calcifications(regions, list(range(5)), 10.0) == [[0, 1, 2], [3], [4]]
    assert group_calcifications(regions, list(range(5)), 10.1) == [[0, 1, 2], [3, 4]]


def test_without_contours(inbreast):
    tables = index(config_of(inbreast, contours=False))
    assert tables.lesions.empty and len(tables.images) == 5


def test_wrong_rows_are_rejects_with_their_line(tmp_path):
    build(tmp_path)
    table = tmp_path / "INbreast.csv"
    told = table.read_text()
    told = told.replace("20586908;4 ;5", "20586908;9;5").replace(
        "L;CC;201001;20586986", "R;CC;201001;20586986"
    )
    told += "removed;removed;L;CC;201001;999;1;2\nremoved;removed;L;CC;201001;998;1;7\n"
    table.write_text(told)
    (tmp_path / "AllXML/20586960.xml").write_text("<plist><dict>")
    tables = index(config_of(tmp_path))
    reasons = tables.rejects.set_index("item")["reason"]
    assert "density" in reasons["INbreast.csv line 2"]
    assert "different things" in reasons["INbreast.csv line 5"]
    assert "no such file" in reasons["INbreast.csv line 8"]
    assert "BI-RADS" in reasons["INbreast.csv line 9"]
    assert "cannot be parsed" in reasons["AllXML/20586960.xml"]
    assert tables.lesions.empty


@pytest.mark.parametrize(
    ("gone", "told"),
    [("INbreast.csv", "table of INbreast"), ("AllXML", "contour"), ("AllDICOMs", "No image")],
)
def test_what_is_missing_is_said(tmp_path, gone, told):
    build(tmp_path)
    (tmp_path / gone).rename(tmp_path / ".gone")
    with pytest.raises(SourceError, match=told):
        index(config_of(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<?xml version='1.0'?><plist version='1.0'><array/></plist>",
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["1, 2"]}]}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": []}]}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(nan, 2)"]}]}]}),
        b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><plist><string>&d;</string></plist>',
    ],
)
def test_contours_that_are_none(tmp_path, text):
    (tmp_path / "a.xml").write_bytes(text)
    with pytest.raises(DicomError, match=r"a\.xml"):
        load_mask(SourceFiles.open(str(tmp_path)), "a.xml#0", 100, 100)


def test_a_region_outside_its_image_is_refused(inbreast):
    with pytest.raises(DicomError, match="outside"):
        load_mask(SourceFiles.open(str(inbreast)), "AllXML/20586908.xml#0", 20, 20)
    with pytest.raises(DicomError, match="no region #7"):
        load_mask(SourceFiles.open(str(inbreast)), "AllXML/20586908.xml#7", ROWS, COLUMNS)


def test_pictures_made_of_it_are_read_too(tmp_path):
    import cv2

    build(tmp_path)
    for path in sorted((tmp_path / "AllDICOMs").iterdir()):
        pixels = pydicom.dcmread(path).pixel_array
        cv2.imwrite(str(path.with_suffix(".png")), pixels)
        path.unlink()
    tables = index(config_of(tmp_path))
    assert len(tables.images) == 5 and tables.rejects.empty
