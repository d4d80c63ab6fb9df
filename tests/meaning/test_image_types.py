"""What kind of picture a file is, by Image Type, descriptions and storage class."""

import numpy as np
import pytest
from drawn_files import (
    MAMMOGRAM,
    PICTURE,
    PLANTED,
    SECONDARY_CAPTURE,
    TOMOSYNTHESIS,
    code,
    data_set,
    save,
)

from mammo_core.dicom import read_image
from mammo_core.errors import DicomError

ORIGINAL = ["ORIGINAL", "PRIMARY"]
DERIVED = ["DERIVED", "PRIMARY"]
OTHER = {"image_type": "other"}

#: Name → fields of the header, expected facts, expected codes of warnings.
FILES = {
    "ffdm": ({"ImageType": ORIGINAL}, {"image_type": "ffdm"}, []),
    "synthetic": (
        {"ImageType": [*DERIVED, "TOMOSYNTHESIS", "GENERATED_2D"]}, {"image_type": "synthetic"}, [],
    ),
    "synthetic of the tomosynthesis class": (
        {
            "ImageType": [*DERIVED, "TOMOSYNTHESIS", "GENERATED_2D"],
            "SOPClassUID": TOMOSYNTHESIS,
            "NumberOfFrames": 1,
        },
        {"image_type": "synthetic"}, [],
    ),
    **{
        f"synthetic by {text}": (
            {"SeriesDescription": text}, {"image_type": "synthetic"}, [],
        )
        for text in (
            "L CC C-View", "RMLO Intelligent 2D", "V-Preview L CC", "Insight2D RCC",
            "INSIGHT_2D_L_MLO", "S_VIEW RCC", "R MLO S-View", "LCC G-View", "C VIEW L CC",
        )
    },
    # PS3.3 tables C.8-74a to C.8-74e and C.8.21.6-1a: values 3 to 5 of Image Type.
    **{
        f"a biopsy, {value}": ({"ImageType": [*ORIGINAL, value]}, OTHER, [])
        for value in (
            "STEREO_SCOUT", "STEREO_MINUS", "STEREO_PLUS", "PREFIRE_MINUS", "PREFIRE_PLUS",
            "POSTFIRE_MINUS", "POSTBIOPSY_PLUS", "POSTMARKER_MINUS", "TOMO_SCOUT",
        )
    },
    "a biopsy of low energy": (
        {"ImageType": [*ORIGINAL, "STEREO_PLUS", "", "LOW_ENERGY"]}, OTHER, [],
    ),
    "contrast of low energy": (
        {"ImageType": [*ORIGINAL, "POST_CONTRAST", "", "LOW_ENERGY"]},
        {"image_type": "contrast low-energy"}, [],
    ),
    "contrast of high energy": (
        {"ImageType": [*ORIGINAL, "POST_CONTRAST", "", "HIGH_ENERGY"]}, OTHER, [],
    ),
    "contrast subtracted": (
        {"ImageType": [*DERIVED, "POST_CONTRAST", "SUBTRACTION", "", "", "50000"]},
        {"image_type": "contrast recombined"}, [],
    ),
    "contrast added": (
        {"ImageType": [*DERIVED, "POST_CONTRAST", "ADDITION"]},
        {"image_type": "contrast recombined"}, [],
    ),
    "contrast of unknown energy": (
        {"ImageType": [*ORIGINAL, "POST_CONTRAST"]}, OTHER, [],
    ),
    **{
        f"no mammogram, {text}": ({"SeriesDescription": text}, OTHER, [])
        for text in (
            "Stereo L CC", "STEREOTACTIC BIOPSY R", "L MLO Pre-Fire", "Post fire", "R CC scout",
            "Needle localization L CC", "WIRE LOC", "Galactogram R CC", "Ductography", "CESM R CC",
            "ACR Phantom", "Flat field",
        )
    },
    **{
        f"a mammogram, {text}": ({"SeriesDescription": text}, {"image_type": "ffdm"}, [])
        for text in ("Post biopsy L CC", "Stereoscopic", "Scouting", "CEMENT", "R CC views")
    },
    "contrast by its agent": (
        {"ContrastBolusAgent": PLANTED}, OTHER, ["implied_type"],
    ),
    "contrast by the code of its agent": (
        {"ContrastBolusAgentSequence": code("C-B0322", PLANTED, "SRT")}, OTHER, ["implied_type"],
    ),
    "contrast of low energy with its agent": (
        {"ContrastBolusAgent": PLANTED, "ImageType": [*ORIGINAL, "", "", "LOW_ENERGY"]},
        {"image_type": "contrast low-energy"}, [],
    ),
    "no contrast": ({"ContrastBolusAgent": "NONE"}, {"image_type": "ffdm"}, []),
    **{
        f"paddle {text}": ({"PaddleDescription": text}, OTHER, ["implied_type"])
        for text in ("BIOPSY 5X5", "10CM PERFORATED", "Stereotactic")
    },
    "contrast low-energy by series": (
        {"SeriesDescription": "CESM L CC low energy"}, {"image_type": "contrast low-energy"}, [],
    ),
    "contrast type and series": (
        {"ImageType": [*ORIGINAL, "", "LOW_ENERGY"], "SeriesDescription": "CESM R CC"},
        {"image_type": "contrast low-energy"}, [],
    ),
    "synthetic by its conversion": (
        {"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "SYN"},
        {"image_type": "synthetic"}, [],
    ),
    "film": (
        {"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "DF"}, {"image_type": "film"}, [],
    ),
    "film by its detector": ({"DetectorType": "FILM"}, {"image_type": "film"}, []),
    "contrast low-energy": (
        {"ImageType": [*ORIGINAL, "", "LOW_ENERGY"]},
        {"image_type": "contrast low-energy"}, [],
    ),
    "contrast recombined": (
        {"ImageType": [*DERIVED, "", "RECOMBINED"]}, {"image_type": "contrast recombined"}, [],
    ),
    "a capture of unknown kind": (
        {"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "WSD"}, {"image_type": None}, [],
    ),
    "type and text": (
        {"ImageType": [*DERIVED, "", "LOW_ENERGY"], "SeriesDescription": "CC recombined"},
        {"image_type": "contrast low-energy"}, ["conflict"],
    ),
    "a mammogram beside a tomosynthesis": (
        {"SeriesDescription": "L CC Tomo Combo"}, {"image_type": "ffdm"}, [],
    ),
}  # fmt: skip

#: Name → fields of the header, and why the file is rejected.
REJECTED = {
    "a volume": ({"SOPClassUID": TOMOSYNTHESIS, "NumberOfFrames": 9}, "is a tomosynthesis volume"),
    "a slice": ({"SOPClassUID": TOMOSYNTHESIS}, "is a tomosynthesis slice"),
    "a projection": (
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.4"}, "is a tomosynthesis slice",
    ),
    "a slice of the mammography class": (
        {"ImageType": [*DERIVED, "TOMOSYNTHESIS"]}, "is a tomosynthesis slice",
    ),
    "a slice by series": ({"SeriesDescription": "L CC Tomo"}, "is a tomosynthesis slice"),
    "several mammograms": ({"NumberOfFrames": 2, "SOPClassUID": MAMMOGRAM}, "is multi-frame"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_type_and_pixels(tmp_path, name):
    fields, expected, codes = FILES[name]
    image = read_image(save(data_set(**fields), tmp_path / "a.dcm"), "a.dcm")
    facts = image.facts
    assert {key: getattr(facts, key) for key in expected} == expected
    assert [warning.code for warning in facts.warnings] == codes
    assert PLANTED not in facts.model_dump_json()
    assert np.array_equal(image.pixels, PICTURE)


@pytest.mark.parametrize("name", REJECTED)
def test_what_is_out_of_scope_is_rejected_by_its_name(tmp_path, name):
    fields, reason = REJECTED[name]
    path = save(data_set(**fields), tmp_path / "a.dcm")
    with pytest.raises(DicomError, match=reason):
        read_image(path, "a.dcm")
