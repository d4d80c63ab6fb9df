"""Small DICOM files of a drawn picture, as vendors and sites write them."""

import gdcm
import numpy as np
import openjpeg.utils
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
JPEG = "1.2.840.10008.1.2.4."
JPEG_2000 = f"{JPEG}90"
#: Text that no output may contain.
PLANTED = "PLANTED"


def draw(rows=96, columns=80, seed=1):
    """Return a half ellipse with texture and a blob on black: `(h, w) uint16, [0, 4095]`."""
    axes = np.linspace(-1, 1, rows), np.linspace(0, 1, columns)
    y, x = np.meshgrid(*axes, indexing="ij")
    inside = (y**2 + (x / 0.8) ** 2) < 0.9
    texture = np.random.default_rng(seed).normal(0, 60, (rows, columns))
    tissue = 2100 + 700 * np.cos(3 * y) * (1 - x) + texture
    tissue += 1200 * (((y - 0.2) ** 2 + (x - 0.3) ** 2) < 0.02)
    picture = np.where(inside, tissue, 0).round().clip(0, 4095).astype(np.uint16)
    picture[rows // 2, 5], picture[0, -1] = 4095, 0  # the whole range is used
    return picture


PICTURE = draw()
WORDS = PICTURE.astype(np.int32)
#: The picture with padding right of column 70, as it is read: padding is 0.
PADDED = np.where(np.arange(PICTURE.shape[1]) < 70, WORDS, 0)
SIGNED = {"PixelRepresentation": 1}


def data_set(words=PICTURE, bits=12, allocated=16, **fields):
    """Return a data set; fields with the value None are left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = fields.get("SOPClassUID", MAMMOGRAM)
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = words.astype("<u2" if allocated == 16 else "u1").tobytes()
    values = {
        "PatientName": f"{PLANTED}^NAME",
        "PatientID": PLANTED,
        "SOPClassUID": MAMMOGRAM,
        "SOPInstanceUID": "1.2.3.4",
        "Modality": "MG",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": words.shape[0],
        "Columns": words.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PixelData": pixels + b"\0" * (len(pixels) % 2),
        **fields,
    }
    for name, value in values.items():
        if value is not None:
            setattr(data, name, value)
    if "PixelData" in data:
        data["PixelData"].VR = "OW" if allocated == 16 else "OB"
    return data


def save(data, path, *, implicit=False):
    """Write a data set uncompressed."""
    if implicit:
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def code(value="", meaning="", scheme="SCT", **more):
    """Return a code sequence of one item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    for name, nested in more.items():
        setattr(item, name, nested)
    return Sequence([item])


def view(value="", meaning="", scheme="SCT", modifiers=()):
    """Return a View Code Sequence whose view has modifiers: pairs of value and meaning."""
    nested = Sequence([code(*modifier)[0] for modifier in modifiers])
    return code(value, meaning, scheme, ViewModifierCodeSequence=nested)


def table(keyword, entries, bits, first=0):
    """Return a modality or VOI look-up table as fields of a data set."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    return {keyword: Sequence([item])}


def encode_2000(words, bits, *, signed=False, boxes=False):
    """Return a JPEG 2000 codestream, or a JP2 file, whose samples have some bits and sign."""
    return openjpeg.utils.encode_buffer(
        words.astype("u1" if bits <= 8 else "<i2" if signed else "<u2").tobytes(),
        words.shape[1],
        words.shape[0],
        1,
        bits,
        signed,
        photometric_interpretation=2,
        codec_format=int(boxes),
    )


def encapsulated(frame, syntax, bits=12, allocated=16, pixel_data=None, **fields):
    """Return a data set with a compressed frame, or with other bytes as the pixel element."""
    data = data_set(PICTURE, bits, allocated, **{**fields, "PixelData": None})
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([frame]) if pixel_data is None else pixel_data
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return data


def items(*pieces, end=True):
    """Return the bytes of fragments, the Basic Offset Table first."""
    joined = b"".join(
        b"\xfe\xff\x00\xe0" + len(piece).to_bytes(4, "little") + piece for piece in pieces
    )
    return joined + (b"\xfe\xff\xdd\xe0\0\0\0\0" if end else b"")


def even(piece):
    """Return a fragment of even length."""
    return piece + b"\0" * (len(piece) % 2)


def by_gdcm(words, path, syntax, bits, allocated=16, codec=None):
    """Return the frame of words that gdcm compressed."""
    raw = save(data_set(words, bits, allocated), path)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(raw))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    if codec is not None:
        change.SetUserCodec(codec)
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(raw))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    pixels = pydicom.dcmread(raw).PixelData
    return pydicom.encaps.get_frame(pixels, 0, number_of_frames=1)


def native(words, bits=12, allocated=16, **fields):
    return data_set(np.asarray(words).astype(np.int32) & 0xFFFF, bits, allocated, **fields)


def in_2000(words, stated, precision, *, signed=False, **fields):
    frame = encode_2000(np.asarray(words), precision, signed=signed)
    return encapsulated(frame, JPEG_2000, stated, **fields)


def padded(value, **fields):
    """Return the picture with padding right of column 70, written as value."""
    words = np.where(np.arange(PICTURE.shape[1]) < 70, WORDS, value)
    vr = fields.pop("vr")
    data = native(words, **fields)
    data.add_new("PixelPaddingValue", vr, value & 0xFFFF if vr == "US" else value)
    return data
