"""INbreast: labels by BI-RADS category, lesions by contours."""

import plistlib

import numpy as np
import pydicom
import pytest
from pydantic import ValidationError

from mammo_core.errors import DicomError, SourceError
from mammo_core.sources import SourceConfig, SourceFiles, index
from mammo_core.sources.adapters.inbreast import FILE_NAME
from mammo_core.sources.adapters.inbreast.contours import group_calcifications
from mammo_core.sources.lesions.masks import Region, load_mask
from tests.support.inbreast_tree import COLUMNS, ROWS, build


def config_of(root, **options):
    return SourceConfig(adapter="inbreast", root=str(root), inbreast=options)


@pytest.fixture(scope="module")
def inbreast(tmp_path_factory):
    return build(tmp_path_factory.mktemp("inbreast") / "INbreast Release 1.0")


@pytest.fixture(scope="module")
def tables(inbreast):
    return index(config_of(inbreast))


def test_images_are_labeled_by_their_birads_category(tables):
    assert tables.rejects.empty
    assert set(tables.images["label_origin"]) == {"birads"}
    assert set(tables.images.loc[tables.images["malignant"] == 1, "birads"]) <= {4, 5, 6}
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
    text = " ".join(
        table.to_csv(header=False) for table in (tables.images, tables.lesions, tables.rejects)
    ) + str(tables.facts)
    assert not any(word in text for word in ("Secret", "201001", "20100102", "removed"))


def test_lesions_are_what_their_image_is(tables):
    lesions = tables.lesions.set_index("lesion_id")
    assert lesions.loc["6c613a14b80a8591_RIGHT_CC_mass_1", "pathology"] == "MALIGNANT"
    mass = lesions.loc["036aff49b8ac84f0_RIGHT_MLO_mass_1"]
    assert (mass["mass_margins"], mass["assessment"]) == ("SPICULATED", 4)
    # The cluster contains its single calcification; the three others are one lesion.
    assert list(lesions["mask_path"]) == [
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
    tables = index(config_of(inbreast, **settings))
    assert tables.facts["excluded"] == {"4a": 1}
    labels = dict(zip(tables.images["view_id"], tables.images["malignant"], strict=True))
    assert labels["fe7d005dcbbfb46d_LEFT_CC"] == 0
    with pytest.raises(ValidationError, match="only one of these"):
        config_of(inbreast, negative=["1", "3"])


def test_each_calcification_can_be_a_lesion(inbreast):
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


def test_months_of_acquisition_tell_exams_apart(tmp_path):
    """A benign image of 2008 and a malignant one of 2010 of one view are no contradiction."""
    patient = "6c613a14b80a8591"
    cases = [
        ("20586908", patient, "R", "CC", "CC", "4", "5", []),
        ("20586909", patient, "R", "CC", "CC", "4", "2", []),
        ("20586910", "036aff49b8ac84f0", "R", "CC", "CC", "4", "2", []),
    ]
    build(tmp_path, cases)
    contours = {"contours": False}
    tables = index(config_of(tmp_path, **contours))
    assert sorted(tables.rejects["item"]) == ["INbreast.csv line 2", "INbreast.csv line 3"]
    table = tmp_path / "INbreast.csv"
    table.write_text(table.read_text().replace("201001;20586909", "200801;20586909"))
    images = index(config_of(tmp_path, **contours)).images.set_index("path")
    rows = {
        path.split("/")[1][:8]: (row.exam_key, row.malignant) for path, row in images.iterrows()
    }
    assert rows == {"20586908": ("2", 1), "20586909": ("1", 0), "20586910": ("", 0)}


def test_headers_are_compared_in_the_words_of_the_collection(tmp_path):
    build(tmp_path)
    for path in sorted((tmp_path / "AllDICOMs").iterdir()):
        data = pydicom.dcmread(path)
        data.ViewPosition = "CC" if "_CC_" in path.name else "ML"
        data.ImageLaterality = "L" if path.name.startswith("20586908") else path.name.split("_")[3]
        data.save_as(path)
    tables = index(config_of(tmp_path, contours=False))
    assert set(tables.images["view"]) == {"CC", "MLO"}  # ML means MLO
    assert list(tables.rejects["item"]) == ["INbreast.csv line 2"]
    assert "Received LEFT" in tables.rejects["reason"][0]


def test_wrong_rows_are_rejects_with_their_line(tmp_path):
    build(tmp_path)
    table = tmp_path / "INbreast.csv"
    text = table.read_text()
    text = text.replace("20586908;4 ;5", "20586908;9;5").replace(
        "L;CC;201001;20586986", "R;CC;201001;20586986"
    )
    text += "removed;removed;L;CC;201001;999;1;2\nremoved;removed;L;CC;201001;998;1;7\n"
    table.write_text(text)
    (tmp_path / "AllXML/20586960.xml").write_text("<plist><dict>")
    tables = index(config_of(tmp_path))
    reasons = tables.rejects.set_index("item")["reason"]
    assert "density" in reasons["INbreast.csv line 2"]
    assert "contradicts the file name" in reasons["INbreast.csv line 5"]
    assert "no such file" in reasons["INbreast.csv line 8"]
    assert "BI-RADS" in reasons["INbreast.csv line 9"]
    assert "cannot be parsed" in reasons["AllXML/20586960.xml"]
    assert tables.lesions.empty


@pytest.mark.parametrize(
    ("missing", "message"),
    [("INbreast.csv", "table of INbreast"), ("AllXML", "contour"), ("AllDICOMs", "No image")],
)
def test_missing_parts_are_named(tmp_path, missing, message):
    build(tmp_path)
    (tmp_path / missing).rename(tmp_path / ".missing")
    with pytest.raises(SourceError, match=message):
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
def test_files_that_are_not_contours(tmp_path, text):
    (tmp_path / "a.xml").write_bytes(text)
    with pytest.raises(DicomError, match=r"a\.xml"):
        load_mask(SourceFiles.open(str(tmp_path)), "a.xml#0", 100, 100)


def test_a_region_outside_its_image_is_refused(inbreast):
    with pytest.raises(DicomError, match="outside"):
        load_mask(SourceFiles.open(str(inbreast)), "AllXML/20586908.xml#0", 20, 20)
    with pytest.raises(DicomError, match="no region #7"):
        load_mask(SourceFiles.open(str(inbreast)), "AllXML/20586908.xml#7", ROWS, COLUMNS)


def test_converted_images_are_read_too(tmp_path):
    import cv2

    build(tmp_path)
    for path in sorted((tmp_path / "AllDICOMs").iterdir()):
        pixels = pydicom.dcmread(path).pixel_array
        cv2.imwrite(str(path.with_suffix(".png")), pixels)
        path.unlink()
    tables = index(config_of(tmp_path))
    assert len(tables.images) == 5 and tables.rejects.empty


@pytest.mark.parametrize("suffix", ["dcm", "png", "tif", "tiff", "pgm", "PGM"])
def test_the_name_of_an_image_may_have_the_suffix_of_any_format_that_is_read(suffix):
    match = FILE_NAME.fullmatch(f"20586908_6c613a14b80a8591_MG_R_CC_ANON.{suffix}")
    assert match is not None and match["kind"] == suffix
