"""Headers are read in one place, by one list of fields."""

import ast
from pathlib import Path

import pytest
from dicom_files import mammogram, random_words, save

from mammo_core.dicom import read_facts, read_identity
from mammo_core.dicom.headers.header import ALLOWED, COPIED, IDENTIFYING, REFERENCE

LIBRARY = Path(__file__).resolve().parents[2] / "mammo_core"
#: What only the DICOM room may use.
HEADER_READERS = ("mammo_core.dicom.headers.fields", "mammo_core.dicom.headers.walk", "pydicom")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_other_room_reads_a_header():
    # The phantom and DICOM results write headers.
    others = {
        str(path.relative_to(LIBRARY)): name
        for path in LIBRARY.rglob("*.py")
        if path.relative_to(LIBRARY).parts[0] not in ("dicom", "phantom", "results")
        for name in imports(path)
        if name.startswith(HEADER_READERS)
    }
    assert others == {}


def test_only_results_take_patient_and_study_from_a_header():
    users = {
        path.relative_to(LIBRARY).parts[0]
        for path in LIBRARY.rglob("*.py")
        if "mammo_core.dicom.headers.study_header" in imports(path)
    }
    assert users == {"results"}
    assert not (set(COPIED) | set(REFERENCE)) & (
        set(ALLOWED) - {"SOPClassUID", "PatientIdentityRemoved"}
    )
    assert not [p for p in (LIBRARY / "results").rglob("*.py") if "dcmread" in p.read_text()]


def test_no_field_of_the_patient_is_allowed_for_facts():
    patient = {name for name in ALLOWED if name.startswith(("Patient", "Study", "Institution"))}
    assert patient == {"PatientOrientation", "PatientIdentityRemoved"}
    assert not set(ALLOWED) & set(IDENTIFYING)


@pytest.mark.parametrize("text", ["20100102", "2010.01.02"])
def test_identifying_fields_are_read_and_do_not_show(tmp_path, text):
    fields = {
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.4",
        "StudyDate": text,
        "AcquisitionDate": "20100102",
        "AcquisitionTime": "101112.5",
        "AcquisitionNumber": 7,
    }
    path = save(mammogram(random_words(), **fields), tmp_path / "a.dcm")
    identity = read_identity(path)
    assert (identity.patient_id, identity.study_uid) == ("PLANTED^NAME", "1.2.3")
    assert identity.exam_date is not None
    assert identity.exam_date.isoformat() == "2010-01-02"
    assert identity.acquired == ("201001021011125", 7)
    assert repr(identity) == "Identity()"
    shown = read_facts(path).model_dump_json()
    assert "2010" not in shown
    assert "PLANTED" not in shown


@pytest.mark.parametrize("text", ["19000101", "20101301", "yesterday", ""])
def test_placeholders_and_wrong_dates_are_no_date(tmp_path, text):
    data = mammogram(random_words())
    data.add_new("StudyDate", "LO", text)
    assert read_identity(save(data, tmp_path / "a.dcm")).exam_date is None


def test_a_file_that_is_not_dicom_has_no_identity(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    assert read_identity(tmp_path / "a.dcm").patient_id == ""
