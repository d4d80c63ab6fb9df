"""Comprehensive SR documents with TID 1500."""

import hashlib
import io
import logging
import shutil
import subprocess

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from mammo_core.dicom.headers.study_header import read_study_header
from mammo_core.errors import RecordError
from mammo_core.results import measurement_report
from tests.support.exam_results import (
    BEGAN,
    CHARACTER_SETS,
    MODEL,
    PATIENT,
    SCORE,
    TRIANGLE,
    exam,
)

#: Recorded when TID 1500 was added. For another one, exam_record.REVISION is raised.
GOLDEN = "a33a335f349196ee23e3350fe73efc2c93d174d307ed9acec7e47b4e9d29072a"


def content_of(document):
    file = io.BytesIO()
    document.save_as(file, enforce_file_format=True)
    return file.getvalue()


def walk(item, depth=0):
    """Yield (depth, relationship, value type, concept, item) of a tree."""
    name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
    yield depth, item.get("RelationshipType", ""), item.ValueType, name, item
    for child in item.get("ContentSequence", []):
        yield from walk(child, depth + 1)


def several_models():
    score = SCORE.model_copy(update={"lowest": 0.1, "highest": 0.2})
    record = exam(models=(MODEL, MODEL.model_copy(update={"name": "b", "version": ""})), exam=score)
    return record


def both_views():
    """A model of both views: the breast has the score, and one image was not used."""
    record = exam(images=("LEFT CC", "LEFT MLO"), unit="breast", breasts={"LEFT": SCORE})
    first, second = record.images
    unused = second.model_copy(update={"is_used": False, "warnings": (("not_used", "why"),)})
    return record.model_copy(update={"images": (first, unused)})


RECORDS = {
    "plain": exam,
    "several models": several_models,
    "both views": both_views,
    "a site": lambda: exam(exam=SCORE.model_copy(update={"triage": "unsure"})),
    "unknown side": lambda: exam(images=("? CC",), breasts={}, exam=None),
    "no calibration": lambda: exam(exam=SCORE.model_copy(update={"calibrated": None})),
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    "fields",
    [{}, {"SpecificCharacterSet": None, "PatientName": "", "StudyDate": None, "StudyID": None}],
    ids=["whole", "sparse"],
)
def test_dciodvfy_finds_no_error(name, fields, headers, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy (Debian's package dicom3tools)")
    record = RECORDS[name]()
    path = tmp_path / "result.dcm"
    path.write_bytes(content_of(measurement_report(record, headers(record, **fields))))
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    # Private designators are no terms that it knows, and what an image lacks a result lacks, too.
    known = ("99MAMMO", "DICOMDIR", "ComprehensiveSR")
    assert [line for line in lines if not any(word in line for word in known)] == []
    assert "Error" not in done.stdout + done.stderr and done.returncode == 0


# Rows of TID 1500, 1001-1004, 1204, 1501, 1410, 300, 310, 4019 and 4108 (PS3.16 2024) that the
# document has: (relationship, value type, concept) → the concepts that it may be in.
GROUP, ROOT = "Measurement Group", "Imaging Measurement Report"
ROWS = {
    ("", "CONTAINER", ROOT): [""],
    ("HAS CONCEPT MOD", "CODE", "Language of Content Item and Descendants"): [ROOT],
    ("HAS OBS CONTEXT", "CODE", "Observer Type"): [ROOT],
    ("HAS OBS CONTEXT", "UIDREF", "Device Observer UID"): [ROOT],
    ("HAS OBS CONTEXT", "TEXT", "Device Observer Name"): [ROOT],
    ("HAS OBS CONTEXT", "TEXT", "Device Observer Manufacturer"): [ROOT],
    ("HAS OBS CONTEXT", "TEXT", "Device Observer Model Name"): [ROOT],
    ("HAS CONCEPT MOD", "CODE", "Procedure reported"): [ROOT],
    ("CONTAINS", "CONTAINER", "Imaging Measurements"): [ROOT],
    ("CONTAINS", "CONTAINER", GROUP): ["Imaging Measurements"],
    ("HAS OBS CONTEXT", "TEXT", "Tracking Identifier"): [GROUP],
    ("HAS OBS CONTEXT", "UIDREF", "Tracking Unique Identifier"): [GROUP],
    ("CONTAINS", "CODE", "Finding"): [GROUP],
    ("CONTAINS", "CODE", "Measurement Method"): [GROUP],
    ("HAS CONCEPT MOD", "CODE", "Finding Site"): [GROUP],
    ("HAS CONCEPT MOD", "CODE", "Laterality"): ["Finding Site"],
    ("HAS CONCEPT MOD", "TEXT", "Algorithm Name"): [GROUP],
    ("HAS CONCEPT MOD", "TEXT", "Algorithm Version"): [GROUP],
    ("HAS CONCEPT MOD", "TEXT", "Algorithm Manufacturer"): [GROUP],
    ("HAS CONCEPT MOD", "TEXT", "Algorithm Parameters"): [GROUP],
    ("CONTAINS", "NUM", "Malignant probability, uncalibrated"): [GROUP],
    ("CONTAINS", "NUM", "Probability of cancer"): [GROUP],
    ("HAS PROPERTIES", "NUM", "+, range of upper measurement uncertainty"): [
        "Probability of cancer"
    ],
    ("HAS PROPERTIES", "NUM", "-, range of lower measurement uncertainty"): [
        "Probability of cancer"
    ],
    ("CONTAINS", "CODE", "Decision at the operating point"): [GROUP],
    ("CONTAINS", "CODE", "Why there is no decision"): [GROUP],
    ("CONTAINS", "CODE", "Gray levels compared with those of training images"): [GROUP],
    ("CONTAINS", "CODE", "Group of the triage of the site"): [GROUP],
    ("CONTAINS", "CODE", "Warning about an image"): [GROUP],
    ("CONTAINS", "NUM", "Highest heat of a region"): [GROUP],
    ("CONTAINS", "NUM", "Mean heat of a region"): [GROUP],
    ("CONTAINS", "NUM", "Area"): [GROUP],
    ("CONTAINS", "IMAGE", "Source of Measurement"): [GROUP],
    ("CONTAINS", "SCOORD", "Image Region"): [GROUP],
    ("SELECTED FROM", "IMAGE", "Source"): ["Image Region"],
}
#: What every group has (requirement type M of TID 1501 and 1410, and what this product promises).
IN_EVERY_GROUP = {
    "Tracking Identifier", "Tracking Unique Identifier", "Finding Site", "Algorithm Name",
    "Algorithm Version",
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_the_tree_has_rows_of_the_templates_only(name, headers):
    record = RECORDS[name]()
    document = measurement_report(record, headers(record))
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    parents = [""]
    for depth, relationship, kind, concept, item in walk(document):
        del parents[depth + 1 :]
        assert parents[-1] in ROWS[relationship, kind, concept], (parents, concept)
        parents.append(concept)
        if concept == GROUP:
            names = [one[3] for one in walk(item) if one[0] == 1]
            assert set(names) >= IN_EVERY_GROUP
            assert ("Image Region" in names) != ("Source of Measurement" in names)
            assert names.count("Image Region") <= 1


def test_highdicom_reads_its_own_back(headers):
    from highdicom.sr import ComprehensiveSR
    from pydicom.sr.codedict import codes

    record = several_models()
    document = measurement_report(record, headers(record))
    read = ComprehensiveSR.from_dataset(dcmread(io.BytesIO(content_of(document))))
    [finding] = read.content.get_planar_roi_measurement_groups(
        referenced_sop_instance_uid="2.25.31"
    )
    # Column and row, 0 at the corner of the first pixel (PS3.3 C.18.6.1).
    expected = np.array(TRIANGLE)[:, ::-1] + 0.5
    np.testing.assert_array_equal(finding.roi.value, expected)
    assert finding.finding_type == codes.DCM.SelectedRegion
    # Half of 20 by 40 pixels of 0.1 mm: 400 * 0.01 mm2.
    assert {one.name.meaning: one.value for one in finding.get_measurements()} == {
        "Highest heat of a region": 0.9,
        "Mean heat of a region": 0.7,
        "Area": 4.0,
    }
    groups = read.content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in groups] == [
        "exam", "LEFT breast", "RIGHT breast", "image 1 RIGHT CC", "image 2 LEFT CC",
    ]  # fmt: skip
    [probability] = groups[0].get_measurements(name=codes.DCM.ProbabilityOfCancer)
    assert probability.value == 12.3456 and probability.unit == codes.UCUM.Percent
    ends = {one.ConceptNameCodeSequence[0].CodeValue: one for one in probability[0].ContentSequence}
    # 20 % and 10 % by the models, 12.3456 % by their mean.
    assert ends["371886008"].MeasuredValueSequence[0].NumericValue == 7.6544
    assert ends["371885007"].MeasuredValueSequence[0].NumericValue == 2.3456
    assert [
        one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in groups[0].source_images
    ] == ["2.25.31", "2.25.32"]
    assert [
        one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in groups[1].source_images
    ] == ["2.25.32"]
    evidence = [tuple(one) for one in read.get_evidence()]
    assert [one[:3] for one in evidence] == [
        ("2.25.1000", "2.25.21", "2.25.31"),
        ("2.25.1000", "2.25.22", "2.25.32"),
    ]


def test_an_image_that_was_not_used_is_no_source(headers):
    record = both_views()
    document = measurement_report(record, headers(record))
    groups = [one[4] for one in walk(document) if one[3] == GROUP]
    sources = [
        [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for *_, item in walk(group)
         if item.ValueType == "IMAGE"]
        for group in groups
    ]  # fmt: skip
    # The exam, the breast, and the finding; no group of an image.
    assert sources == [["2.25.31"]] * 3


def test_research_use_is_in_what_readers_see(headers):
    record = exam()
    document = measurement_report(record, headers(record))
    assert document.SeriesDescription == "RESEARCH USE ONLY: whole-image"
    names = {item.TextValue for *_, concept, item in walk(document) if concept == "Algorithm Name"}
    assert names == {"whole-image, RESEARCH USE ONLY"}
    assert document.VerificationFlag == "UNVERIFIED" and document.PreliminaryFlag == "PRELIMINARY"
    parameters = {
        item.TextValue for *_, concept, item in walk(document) if concept == "Algorithm Parameters"
    }
    assert f"whole-image: model id {MODEL.model_id}" in parameters


def test_the_same_record_gives_the_same_bytes(headers):
    record = exam()
    document = measurement_report(record, headers(record))
    first = content_of(document)
    assert content_of(measurement_report(exam(), headers(record))) == first
    others = [
        exam(began="2026-11-30T09:30:16+01:00"),
        exam(models=(MODEL.model_copy(update={"model_id": "cd" * 32}),)),
        exam(images=("RIGHT CC", "LEFT MLO")),
    ]
    uids = {document.SOPInstanceUID, document.SeriesInstanceUID}
    for other in others:
        changed = measurement_report(other, headers(other))
        uids |= {changed.SOPInstanceUID, changed.SeriesInstanceUID}
    assert len(uids) == 8


def test_golden_bytes(headers):
    # Versions of libraries are no part of it.
    record = exam()
    document = measurement_report(record, headers(record))
    document.SoftwareVersions = "0"
    document.file_meta.ImplementationVersionName = "highdicom"
    document.ContributingEquipmentSequence[0].SoftwareVersions = "0"
    content = content_of(document)
    assert hashlib.sha256(content).hexdigest() == GOLDEN, len(content)


def test_patient_and_study_are_those_of_the_image(headers):
    record = exam()
    read = headers(record)
    result = dcmread(io.BytesIO(content_of(measurement_report(record, read))))
    assert list(result.SpecificCharacterSet) == CHARACTER_SETS
    for keyword, element in read[record.images[0].id].elements.items():
        if keyword != "SpecificCharacterSet":
            assert result.get_item(keyword).value == element.value, keyword
    assert str(result.PatientName) == PATIENT
    assert (result.StudyInstanceUID, result.AccessionNumber) == ("2.25.1000", "A1")
    for keyword in read[record.images[0].id].elements:
        del result[keyword]
    # Nothing else has them.
    content = content_of(result)
    for planted in ("Yamada", "P-1", "19600101", "Referrer", "20250102", "Screening"):
        assert planted.encode() not in content


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_transfer_syntaxes_give_the_same_text(syntax, headers, tmp_path):
    record = exam()
    expected = content_of(measurement_report(record, headers(record)))
    read = {}
    for number, image in enumerate(record.images, start=1):
        data = dcmread(tmp_path / f"{number}.dcm")
        data.file_meta.TransferSyntaxUID = syntax
        data["PixelData"].VR = "OW"
        path = tmp_path / "other.dcm"
        dcmwrite(
            path,
            data,
            implicit_vr=syntax.is_implicit_VR,
            little_endian=syntax.is_little_endian,
            force_encoding=True,
        )
        read[image.id] = read_study_header(path, path.name)
    assert content_of(measurement_report(record, read)) == expected


@pytest.mark.parametrize(
    ("offset", "moment"),
    [
        (None, ("20261130", "093015")),  # that of the machine that scored
        ("-0500", ("20261130", "033015")),
        ("+1400", ("20261130", "223015")),
        ("nonsense", ("20261130", "093015")),
    ],
)
def test_times_are_in_the_time_zone_of_the_image(offset, moment, headers):
    record = exam()
    assert record.began == BEGAN
    fields = {} if offset is None else {"TimezoneOffsetFromUTC": offset}
    document = measurement_report(record, headers(record, **fields))
    for name in ("Content", "InstanceCreation", "Series"):
        assert (document[f"{name}Date"].value, document[f"{name}Time"].value) == moment


def test_odd_values_are_carried_on_and_not_logged(headers, caplog, capfd):
    record = exam()
    fields = {"PatientSex": "?", "PatientBirthDate": "19xx", "PatientName": "O=d=d=name"}
    with caplog.at_level(logging.DEBUG):
        document = measurement_report(record, headers(record, **fields))
    result = dcmread(io.BytesIO(content_of(document)))
    assert result.get_item("PatientSex").value.strip() == b"?"
    assert result.get_item("PatientBirthDate").value.strip() == b"19xx"
    assert "name" not in caplog.text and "19xx" not in caplog.text
    assert capfd.readouterr().err == ""


def test_images_of_two_patients_make_no_result(headers):
    record = exam()
    read = headers(record)
    other = headers(record, patient="P-2")
    mixed = {record.images[0].id: read[record.images[0].id],
             record.images[1].id: other[record.images[1].id]}  # fmt: skip
    with pytest.raises(RecordError, match="one study of one patient") as error:
        measurement_report(record, mixed)
    assert "P-1" not in str(error.value)
    with pytest.raises(RecordError, match="header of every image"):
        measurement_report(record, {})


def test_an_instance_of_an_unknown_class_has_no_result_and_ends_nothing(headers):
    record = exam()
    with pytest.raises(RecordError, match="cannot be written") as error:
        measurement_report(record, headers(record, SOPClassUID="1.2.3.4"))
    assert "1.2.3.4" not in str(error.value) and "KeyError" in str(error.value)
