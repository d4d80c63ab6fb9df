"""The small files of ../shared/cases: each as its README says. They are not part of the project."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mammo_core.cli.dicom import app
from mammo_core.dicom import read_image
from mammo_core.errors import DicomError
from mammo_core.imaging import find_faults, measure_gray_levels
from mammo_core.preprocessing import Conversion
from mammo_core.sources.auditing.gray_levels import chest_wall_warnings

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs ../shared/cases")

#: File → bits of its range, codes of warnings. The background is 0 in all of them.
DARK = {
    "baseline_honest": (8, []),
    "header12_baseline8": (8, ["precision"]),
    "j2k_header12_stream16": (16, ["precision"]),
    "highbit15_left_justified": (12, []),
    "highbit15_right_justified": (12, ["high_bit"]),
    "signed16_no_negative": (15, ["unused_range"]),
    "bits16_values12": (16, ["unused_range"]),
    "j2k_jp2_header": (12, []),
    "left_chest_left": (12, []),
}


@pytest.mark.parametrize("name", DARK)
def test_gray_levels(name):
    bits, codes = DARK[name]
    image = read_image(CASES / f"{name}.dcm")
    assert image.facts.bits_stored == bits
    assert [warning.code for warning in image.facts.warnings] == codes
    assert np.count_nonzero(image.pixels == 0) > image.pixels.size / 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("header12_baseline8", "baseline_honest"),
        ("highbit15_right_justified", "highbit15_left_justified"),
        ("j2k_jp2_header", "highbit15_left_justified"),
        ("bits16_values12", "signed16_no_negative"),
    ],
)
def test_files_of_one_picture_agree(one, other):
    first, second = (read_image(CASES / f"{name}.dcm").pixels for name in (one, other))
    assert np.array_equal(first, second)


def test_white_is_zero_at_both_depths():
    images = [read_image(CASES / f"miniswhite{bits}.tif") for bits in (8, 16)]
    eight, sixteen = (image.pixels / (2**image.facts.bits_stored - 1) for image in images)
    assert np.abs(eight - sixteen).max() < 1 / 255
    assert np.count_nonzero(sixteen == 0) > sixteen.size / 4


def test_an_inverted_picture_is_reported():
    codes = [
        warning.code for warning in read_image(CASES / "mono2_but_inverted.dcm").facts.warnings
    ]
    assert codes == ["bright_background"]


def test_a_mirrored_picture_is_reported():
    codes = [warning.code for warning in read_image(CASES / "left_chest_right.dcm").facts.warnings]
    assert codes == ["orientation"]


def test_a_png_of_12_bits_in_16_is_reported():
    full, raw = (
        read_image(CASES / f"P_00001_LEFT_CC_{name}.png").facts.warnings
        for name in ("full16", "raw12in16")
    )
    assert full == ()
    assert [warning.code for warning in raw] == ["unused_range"]


def test_several_pages_are_refused():
    with pytest.raises(DicomError, match="pixels of several images"):
        read_image(CASES / "three_pages_no_frames.dcm")


@pytest.mark.parametrize(
    ("name", "view", "view_class", "image_type"),
    [
        ("exam_cc", "CC", "CC", "ffdm"),
        ("exam_mlo", "MLO", "MLO", "ffdm"),
        ("exam_ml", "ML", None, "ffdm"),
        ("cview_one_frame", "CC", "CC", "synthetic"),
    ],
)
def test_facts(name, view, view_class, image_type):
    result = CliRunner().invoke(app, ["inspect", "--json", str(CASES / f"{name}.dcm")])
    facts = json.loads(result.stdout)
    assert facts["readable"]
    assert (facts["view"], facts["view_class"], facts["image_type"]) == (
        view,
        view_class,
        image_type,
    )


#: Files whose gray levels no mammogram has → the fault; all others are plausible.
IMPLAUSIBLE = {
    "mono2_but_inverted.dcm": "inverted",
    "bits16_values12.dcm": "dark",
    "signed16_no_negative.dcm": "dark",
    "P_00001_LEFT_CC_raw12in16.png": "dark",
}


def test_gray_levels_are_plausible_or_flagged():
    flagged = {}
    for path in sorted(CASES.rglob("*")):
        if path.suffix in (".dcm", ".png", ".tif") and path.name != "three_pages_no_frames.dcm":
            image = read_image(path)
            faults = find_faults(measure_gray_levels(image.pixels, image.facts.bits_stored))
            if faults:
                flagged[path.name] = faults[0].code
    assert flagged == IMPLAUSIBLE


def test_a_mirrored_picture_is_turned_by_its_tissue():
    conversion = Conversion(orientation="chest_left")
    for name in ("left_chest_left", "left_chest_right"):
        image = read_image(CASES / f"{name}.dcm")
        pixels, placement = conversion.apply(image.pixels, image.facts.bits_stored, "LEFT")
        assert measure_gray_levels(pixels, 16).chest_wall == "left"
        assert placement.flipped is (name == "left_chest_right")
        measures = measure_gray_levels(image.pixels, image.facts.bits_stored)
        codes = [w.code for w in chest_wall_warnings(image.facts, measures, "LEFT", conversion)]
        assert codes == (["chest_wall"] if placement.flipped else [])
