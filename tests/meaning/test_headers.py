"""What an image is, by the header of a drawn picture: expected facts, and its pixels."""

import numpy as np
import pytest
from drawn_files import (
    FOR_PROCESSING,
    PICTURE,
    PLANTED,
    TOMOSYNTHESIS,
    code,
    data_set,
    save,
    view,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammo_core.dicom import read_image

# PS3.16 CID 4014: short name → SNOMED CT, SNOMED RT, meaning.
VIEWS = {
    "CC": ("399162004", "R-10242", "cranio-caudal"),
    "MLO": ("399368009", "R-10226", "medio-lateral oblique"),
    "ML": ("399260004", "R-10224", "medio-lateral"),
    "LM": ("399352003", "R-10228", "latero-medial"),
    "LMO": ("399099002", "R-10230", "latero-medial oblique"),
    "FB": ("399196006", "R-10244", "caudo-cranial (from below)"),
    "SIO": ("399188001", "R-102D0", "superolateral to inferomedial oblique"),
    "ISO": ("441555000", "R-40AAA", "inferomedial to superolateral oblique"),
    "XCCL": ("399192008", "R-1024A", "cranio-caudal exaggerated laterally"),
    "XCCM": ("399101009", "R-1024B", "cranio-caudal exaggerated medially"),
}
UMLS_VIEWS = {
    "CC": "C0442215", "MLO": "C1302345", "ML": "C1302283", "LM": "C1302336", "LMO": "C1302201",
    "FB": "C1302249", "SIO": "C1302245", "ISO": "C2711617", "XCCL": "C1302247", "XCCM": "C1302202",
}  # fmt: skip
CLASSES = {"CC": "CC", "XCCL": "CC", "XCCM": "CC", "FB": "CC", "MLO": "MLO", "LMO": "MLO"}
# PS3.16 CID 4015: meaning → SNOMED CT, SNOMED RT.
MODIFIERS = {
    "Cleavage": ("399161006", "R-102D2"),
    "Axillary Tail": ("399011000", "R-102D1"),
    "Rolled Lateral": ("399197002", "R-102D3"),
    "Rolled Medial": ("399226006", "R-102D4"),
    "Rolled Inferior": ("414493004", "R-102CA"),
    "Rolled Superior": ("415670009", "R-102C9"),
    "Implant Displaced": ("399209000", "R-102D5"),
    "Magnification": ("399163009", "R-102D6"),
    "Spot Compression": ("399055006", "R-102D7"),
    "Tangential": ("399110001", "R-102C2"),
    "Nipple in profile": ("442581004", "R-40AB3"),
    "Anterior compression": ("441752004", "P2-00161"),
    "Infra-mammary fold": ("442593008", "R-40ABE"),
    "Axillary tissue": ("442580003", "R-40AB2"),
}
CC = {"view": "CC", "view_class": "CC"}


def facts_of(view_name, *modifiers):
    return {
        "view": view_name,
        "view_class": CLASSES.get(view_name),
        "view_modifiers": tuple(modifiers),
    }


def top_level(value, meaning, scheme):
    return {"ViewModifierCodeSequence": code(value, meaning, scheme)}


#: Name → fields of the header, expected facts, expected codes of warnings.
FILES = {
    # View Code Sequence: current and retired codes, and meanings with codes of another scheme.
    **{
        f"{name} SCT": ({"ViewCodeSequence": view(sct, meaning)}, facts_of(name), [])
        for name, (sct, _, meaning) in VIEWS.items()
    },
    **{
        f"{name} SNM3": ({"ViewCodeSequence": view(srt, "", "SNM3")}, facts_of(name), [])
        for name, (_, srt, _) in VIEWS.items()
    },
    **{
        f"{name} by its meaning": (
            {"ViewCodeSequence": view("4711", meaning.upper(), "99SITE")}, facts_of(name), [],
        )
        for name, (_, _, meaning) in VIEWS.items()
    },
    # Concept Unique Identifiers of UMLS, listed in PS3.16 beside the codes.
    **{
        f"{name} UMLS": ({"ViewCodeSequence": view(umls, "", "UMLS")}, facts_of(name), [])
        for name, umls in UMLS_VIEWS.items()
    },
    "a modifier of UMLS": (
        {"ViewPosition": "CC", **top_level("C1302233", "", "UMLS")},
        facts_of("CC", "magnification"), [],
    ),
    "a specimen of UMLS": (
        {"ViewCodeSequence": view("C0444070", "", "UMLS")}, {"specimen": True}, [],
    ),
    "XCCL retired": ({"ViewCodeSequence": view("Y-X1770", "", "SRT")}, facts_of("XCCL"), []),
    "XCCM retired": ({"ViewCodeSequence": view("Y-X1771", "", "SRT")}, facts_of("XCCM"), []),
    "XCC retired": ({"ViewCodeSequence": view("R-102CF", "", "SRT")}, facts_of("XCC"), []),
    # Modifiers, in the view (PS3.3 C.8.11.7) or beside it.
    **{
        f"{meaning} in the view": (
            {"ViewCodeSequence": view(*VIEWS["MLO"][::2], modifiers=[(sct, meaning)])},
            facts_of("MLO", meaning.lower()), [],
        )
        for meaning, (sct, _) in MODIFIERS.items()
    },
    **{
        f"{meaning} beside the view": (
            {"ViewPosition": "CC", **top_level(srt, "", "SRT")},
            facts_of("CC", meaning.lower()), [],
        )
        for meaning, (_, srt) in MODIFIERS.items()
    },
    "two modifiers": (
        {"ViewCodeSequence": view("R-10242", "", "SRT", [("R-102D6", ""), ("R-102D7", "")])},
        facts_of("CC", "magnification", "spot compression"), [],
    ),
    "a modifier as a view": (
        {"ViewCodeSequence": view("R-102D1", "Axillary Tail", "SRT")},
        facts_of(None, "axillary tail"), [],
    ),
    "a modifier in other words": (
        {"ViewPosition": "CC", **top_level("4711", "Mag view 1.8x", "99SITE")},
        facts_of("CC", "magnification"), [],
    ),
    "a modifier by its short name": (
        {"ViewPosition": "MLO", **top_level("4711", "ID", "99SITE")},
        facts_of("MLO", "implant displaced"), [],
    ),
    "an unknown modifier": (
        {"ViewPosition": "CC", **top_level("4711", PLANTED, "99SITE")}, CC, ["unknown_modifier"],
    ),
    # The text fields of vendors.
    "by series": ({"SeriesDescription": "R MLO"}, {**facts_of("MLO"), "laterality": "RIGHT"}, []),
    "by protocol": ({"ProtocolName": "L XCCL"}, facts_of("XCCL"), []),
    "by processing": (
        {"AcquisitionDeviceProcessingDescription": "LMLO", "SeriesDescription": PLANTED},
        facts_of("MLO"), [],
    ),
    "a modifier by series": (
        {"SeriesDescription": "Mag view"}, facts_of(None, "magnification"), [],
    ),
    "a modifier by position": ({"ViewPosition": "CV"}, facts_of(None, "cleavage"), []),
    "a modifier in the text of a view": (
        {"ViewPosition": "CC", "SeriesDescription": "R CC ID"},
        {**facts_of("CC", "implant displaced"), "implant": True}, [],
    ),
    # Disagreements: the first source counts.
    "code and position": (
        {"ViewCodeSequence": view("R-10226", "", "SRT"), "ViewPosition": "CC"},
        facts_of("MLO"), ["conflict"],
    ),
    "code and meaning": (
        {"ViewCodeSequence": view("R-10242", "medio-lateral", "SRT")}, CC, ["conflict"],
    ),
    "position and series": (
        {"ViewPosition": "CC", "SeriesDescription": "R XCCL"}, CC, ["conflict"],
    ),
    "two views": (
        {"ViewCodeSequence": Sequence([view("R-10242")[0], view("R-10226")[0]])},
        CC, ["conflict"],
    ),
    "two sides": (
        {"ImageLaterality": "R", "SeriesDescription": "L CC"},
        {**CC, "laterality": "RIGHT"}, ["conflict"],
    ),
    "both breasts": (
        {"ImageLaterality": "B", "ViewPosition": "CC"},
        {**CC, "laterality": None}, ["unknown_laterality"],
    ),
    "a side in words": ({"ImageLaterality": "RIGHT"}, {"laterality": "RIGHT"}, []),
    "another view": ({"ViewPosition": "AP"}, {"view": None}, ["unknown_view"]),
    "no view": ({}, {"view": None, "view_class": None, "view_modifiers": ()}, []),
    # Circumstances.
    "implant": ({"BreastImplantPresent": "YES"}, {"implant": True}, []),
    "no implant": ({"BreastImplantPresent": "NO"}, {"implant": False}, []),
    "implant unknown": ({}, {"implant": None}, []),
    "implant by series": ({"SeriesDescription": "R CC Implant"}, {**CC, "implant": True}, []),
    "implant by protocol, not here": (
        {"BreastImplantPresent": "NO", "ProtocolName": "Screening with implants"},
        {"implant": False}, ["conflict"],
    ),
    "no implant by series": ({"SeriesDescription": "R CC no implants"}, {"implant": None}, []),
    "implant pushed back": (
        {"SeriesDescription": "R CC implant pushed back"},
        {**facts_of("CC", "implant displaced"), "implant": True}, [],
    ),
    "push back": (
        {"SeriesDescription": "L MLO PUSH-BACK"}, facts_of("MLO", "implant displaced"), [],
    ),
    "displaced without implant": (
        {"BreastImplantPresent": "NO", "ViewPosition": "MLOID"},
        {**facts_of("MLO", "implant displaced"), "implant": True}, ["conflict"],
    ),
    "partial": ({"PartialView": "YES"}, {"partial_view": True}, []),
    "partial by its part": (
        {"PartialViewCodeSequence": code("255561001", "Medial")}, {"partial_view": True}, [],
    ),
    "specimen": (
        {"ViewCodeSequence": view("G-8310", "", "SRT")}, {"specimen": True, "view": None}, [],
    ),
    "specimen SCT": ({"ViewCodeSequence": view("127457009", "")}, {"specimen": True}, []),
    "specimen by body part": (
        {"BodyPartExamined": "SPECIMEN"}, {"specimen": True}, ["unknown_body_part"],
    ),
    "specimen by series": ({"SeriesDescription": "Specimen"}, {"specimen": True}, []),
    "breast": ({"BodyPartExamined": "BREAST"}, {"body_part": "breast"}, []),
    "breast by code": (
        {"AnatomicRegionSequence": code("T-04000", "", "SRT")}, {"body_part": "breast"}, [],
    ),
    "the right breast by code": (
        {"AnatomicRegionSequence": code("73056007", "")},
        {"body_part": "breast", "laterality": "RIGHT"}, [],
    ),
    "another body part": ({"BodyPartExamined": "CHEST"}, {"body_part": "chest"}, []),
    "an unknown body part": (
        {"BodyPartExamined": PLANTED, "Modality": "DX"}, {"body_part": "other"}, [],
    ),
    "unknown words of a mammography device": (
        {"BodyPartExamined": PLANTED}, {"body_part": None}, ["unknown_body_part"],
    ),
    "breast in Spanish": ({"BodyPartExamined": "MAMA IZQ"}, {"body_part": "breast"}, []),
    "two body parts": (
        {"BodyPartExamined": "CHEST", "AnatomicRegionSequence": code("76752008", "Breast")},
        {"body_part": "chest"}, ["conflict"],
    ),
    "for processing": (
        {"SOPClassUID": FOR_PROCESSING}, {"for_processing": True, "image_type": "ffdm"}, [],
    ),
    "compressed with a loss": ({"LossyImageCompression": "01"}, {}, ["lossy"]),
    "burned in": ({"BurnedInAnnotation": "YES"}, {"burned_in": True}, []),
    "not burned in": ({"BurnedInAnnotation": "NO"}, {"burned_in": False}, []),
    "de-identified": (
        {"PatientIdentityRemoved": "YES"}, {"patient_identity_removed": True}, [],
    ),
    "orientation": ({"PatientOrientation": ["A", "FR"]}, {"patient_orientation": "A/FR"}, []),
    "a left breast": (
        {"PatientOrientation": ["A", "R"], "ImageLaterality": "L"}, {"laterality": "LEFT"}, [],
    ),
    "a mirrored left breast": (
        {"PatientOrientation": ["P", "L"], "ImageLaterality": "L"},
        {"laterality": "LEFT", "patient_orientation": "P/L"}, ["orientation"],
    ),
    "a mirrored right breast": (
        {"PatientOrientation": ["A", "R"], "ImageLaterality": "R"},
        {"laterality": "RIGHT"}, ["orientation"],
    ),
    "a picture turned by a quarter": (
        {"PatientOrientation": ["F", "A"], "ImageLaterality": "L"},
        {"patient_orientation": "F/A"}, ["orientation"],
    ),
    "a picture upside down": (
        {"PatientOrientation": ["A", "HL"], "ImageLaterality": "L", "ViewPosition": "MLO"},
        {"patient_orientation": "A/HL"}, ["orientation"],
    ),
    "a picture turned by half": (
        {"PatientOrientation": ["P", "H"], "ImageLaterality": "L", "ViewPosition": "MLO"},
        {"patient_orientation": "P/H"}, ["orientation", "orientation"],
    ),
    "no orientation": ({"PatientOrientation": [PLANTED, "F"]}, {"patient_orientation": None}, []),
    # Paddle and magnification.
    "paddle": (
        {"PaddleDescription": f"18X24CM FLEX {PLANTED}"}, {"paddle": "18x24 flexible"}, [],
    ),
    "spot paddle": (
        {"ViewPosition": "CC", "PaddleDescription": "10CM SPOT"},
        {**facts_of("CC", "spot compression"), "paddle": "10cm spot"}, ["implied_modifier"],
    ),
    "magnified": (
        {"ViewPosition": "CC", "EstimatedRadiographicMagnificationFactor": "1.8"},
        {**facts_of("CC", "magnification"), "magnification_factor": 1.8}, ["implied_modifier"],
    ),
    "magnified by distances": (
        {"ViewPosition": "CC", "DistanceSourceToDetector": 650, "DistanceSourceToPatient": 361},
        {**facts_of("CC", "magnification"), "magnification_factor": 1.801}, ["implied_modifier"],
    ),
    "contact by distances": (
        {"ViewPosition": "CC", "DistanceSourceToDetector": 700, "DistanceSourceToPatient": 535},
        {**CC, "view_modifiers": (), "magnification_factor": 1.308}, [],
    ),
    "distances that are none": (
        {"DistanceSourceToDetector": 650, "DistanceSourceToPatient": 0},
        {"magnification_factor": None}, [],
    ),
    "contact": (
        {"ViewPosition": "CC", "EstimatedRadiographicMagnificationFactor": "1.07"},
        {**CC, "view_modifiers": (), "magnification_factor": 1.07}, [],
    ),
    "area": (
        {"ImagerPixelSpacing": [0.1, 0.1]}, {"area_mm2": pytest.approx(96 * 80 * 0.01)}, [],
    ),
}  # fmt: skip


def test_there_are_enough_files():
    assert len(FILES) > 100


@pytest.mark.parametrize("name", FILES)
def test_facts_and_pixels(tmp_path, name):
    fields, expected, codes = FILES[name]
    path = save(data_set(**fields), tmp_path / "a.dcm")
    image = read_image(path, "a.dcm", for_processing=True)
    facts = image.facts
    assert {key: getattr(facts, key) for key in expected} == expected
    assert [warning.code for warning in facts.warnings] == codes
    assert PLANTED not in facts.model_dump_json()
    assert np.array_equal(image.pixels, PICTURE)


def test_a_specimen_by_its_module(tmp_path):
    item = Dataset()
    item.SpecimenIdentifier = PLANTED
    data = data_set(SpecimenDescriptionSequence=Sequence([item]))
    image = read_image(save(data, tmp_path / "a.dcm"))
    assert image.facts.specimen
    assert PLANTED not in image.facts.model_dump_json()


def group(**fields):
    item = Dataset()
    for name, value in fields.items():
        setattr(item, name, value)
    return Sequence([item])


def test_a_synthetic_image_states_side_spacing_and_rescale_in_its_groups(tmp_path):
    # PS3.3 A.55: the tomosynthesis class has them in functional groups.
    groups = group(
        FrameAnatomySequence=group(FrameLaterality="R"),
        PixelMeasuresSequence=group(PixelSpacing=[0.1, 0.1]),
        PixelValueTransformationSequence=group(RescaleSlope="-1", RescaleIntercept="4095"),
    )
    data = data_set(
        4095 - PICTURE,
        SOPClassUID=TOMOSYNTHESIS,
        NumberOfFrames=1,
        SeriesDescription="R CC C-View",
        ViewCodeSequence=view("R-10242", "", "SRT"),
        SharedFunctionalGroupsSequence=groups,
    )
    image = read_image(save(data, tmp_path / "a.dcm"))
    facts = image.facts
    assert (facts.view, facts.laterality, facts.spacing_mm) == ("CC", "RIGHT", 0.1)
    assert (facts.image_type, facts.warnings) == ("synthetic", ())
    assert np.array_equal(image.pixels, PICTURE)
