"""Synthetic mammograms as DICOM files, for the tests in this folder."""

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
PLANTED = "PLANTED^NAME"


def random_words(bits=12, shape=(80, 70)):
    return np.random.default_rng(7).integers(0, 2**bits, shape, dtype=np.uint16)


def mammogram(words, bits=12, **fields):
    """Return a data set with 16-bit words; fields with the value None are omitted."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName = PLANTED
    data.PatientID = PLANTED
    data.PatientBirthDate = "19010203"
    values = {
        "SOPClassUID": FOR_PRESENTATION,
        "SOPInstanceUID": "1.2.3.4",
        "Modality": "MG",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": words.shape[0],
        "Columns": words.shape[1],
        "BitsAllocated": 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PixelData": words.astype("<u2").tobytes(),
        **fields,
    }
    for name, value in values.items():
        if value is not None:
            setattr(data, name, value)
    if "PixelData" in data:
        data["PixelData"].VR = "OW"
    return data


def save(data, path, syntax=ExplicitVRLittleEndian):
    data.file_meta.TransferSyntaxUID = syntax
    implicit = syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(
        path,
        data,
        implicit_vr=implicit,
        little_endian=syntax != ExplicitVRBigEndian,
        force_encoding=syntax == ExplicitVRBigEndian,
        enforce_file_format=syntax != ExplicitVRBigEndian,
    )
    return path


def save_frame(data, path, syntax, frame):
    """Write a data set with one encoded frame."""
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path, enforce_file_format=True)
    return path


def recode(source, target, syntax, codec=None):
    """Rewrite an uncompressed file in another transfer syntax with gdcm."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    if codec is not None:
        change.SetUserCodec(codec)
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target
