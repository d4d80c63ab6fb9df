"""Values of headers are those that pydicom reads, whatever their VR is and however it is stated."""

import io

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mammo_core.dicom.headers.fields import read_fields

#: Keyword → value: every kind of value, several ones, none, and repaired ones.
VALUES = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["DERIVED", "PRIMARY"],
    "StudyDate": "20200101",
    "StudyTime": "",
    "PatientAge": "060Y",
    "SeriesDescription": "Médio lateral",
    "PatientName": "Müller^X",
    "KVP": "29.5",
    "InstanceNumber": "7",
    "ImagerPixelSpacing": ["0.07", "0.08"],
    "FrameIncrementPointer": 0x00181063,
    "Rows": 12,
    "SmallestImagePixelValue": 3,
    "PixelPaddingValue": 65000,
    "ReconstructionDiameter": None,
    "PixelRepresentation": 0,
    "LUTDescriptor": [40000, 0, 16],
    "LargestImagePixelValue": 40000,
    "ImageComments": "long text " * 20,
    "RedPaletteColorLookupTableDescriptor": [256, 0, 16],
    "TableOfYBreakPoints": [1, 2],
}


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("signed", [0, 1])
def test_values_are_those_of_pydicom(syntax, signed):
    dataset, inner = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "R-10242", "crânio-caudal"
    for keyword, value in (VALUES | {"PixelRepresentation": signed}).items():
        if signed and isinstance(value, int) and value > 32767:
            value -= 65536
        setattr(dataset, keyword, value)
    dataset.ViewCodeSequence = [inner]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.SOPInstanceUID = "1.2.3"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    fields = {name: None for name in VALUES if name in dataset}
    inner_fields = {"CodeValue": None, "CodeMeaning": None}
    read = read_fields(file, "x", {**fields, "ViewCodeSequence": inner_fields}).data
    file.seek(0)
    expected = pydicom.dcmread(file)
    assert len(fields) >= 20
    for name in fields:
        assert read[name] == expected[name].value, name
        assert type(read[name]) is type(expected[name].value), name
    assert read.ViewCodeSequence == [{"CodeValue": "R-10242", "CodeMeaning": "crânio-caudal"}]
