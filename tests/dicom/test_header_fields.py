"""The fields of a header equal those that pydicom reads."""

from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_files

from mammo_core.dicom.headers.fields import read_fields
from mammo_core.dicom.headers.header import ALLOWED
from mammo_core.errors import DicomError


def fields_of(data, fields):
    """Return the requested fields of pydicom's data set by name."""
    values = {}
    for name, inner in fields.items():
        tag = int(name, 16) if name[:1].isdigit() else name
        if tag in data:
            value = data[tag].value
            values[name] = [fields_of(item, inner) for item in value] if inner else value
    return values


def by_name(values):
    """Return our fields in the order of their names, because a file may have another order."""
    if isinstance(values, dict):
        return {name: by_name(values[name]) for name in sorted(values)}
    return [by_name(item) for item in values] if type(values) is list else values


@pytest.mark.filterwarnings("ignore:Expected explicit VR:UserWarning")
@pytest.mark.parametrize("path", get_testdata_files("*.dcm"), ids=lambda path: Path(path).name)
def test_fields_equal_those_that_pydicom_reads(path):
    # pydicom's test files: irregular encodings of every kind, from many vendors.
    with Path(path).open("rb") as file:
        try:
            ours = by_name(read_fields(file, "it", ALLOWED).data)
        except DicomError as error:
            ours = str(error)
    try:
        data = pydicom.dcmread(path, stop_before_pixels=True)
        theirs = by_name(fields_of(data, ALLOWED))
        syntax = data.file_meta.get("TransferSyntaxUID")
    except Exception:
        assert "not a DICOM file" in ours or "cannot be parsed" in ours
        return
    if isinstance(ours, str):
        assert "has no transfer syntax" in ours and not syntax
    else:
        assert str(ours) == str(theirs)
