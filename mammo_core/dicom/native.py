"""The compiled codecs: from a compressed frame to its words.

This file runs in the process of `worker.py`, which loads it by path. It imports nothing of the
library, and each codec only when a frame needs it.
"""

from typing import Any

import numpy as np

Words = np.ndarray[Any, np.dtype[Any]]

#: Transfer syntax UID → codec: the fastest for each that is not under the GPL. Measured on one
#: thread: gdcm takes half the time of libjpeg for JPEG lossless and JPEG-LS, OpenJPEG two thirds
#: of the time of gdcm for JPEG 2000, pylibjpeg-rle a tenth of the time of pydicom for RLE.
CODECS = {
    "1.2.840.10008.1.2.4.50": "gdcm",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51": "gdcm",  # JPEG Extended, 8 and 12 bit
    "1.2.840.10008.1.2.4.57": "gdcm",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70": "gdcm",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": "gdcm",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81": "gdcm",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90": "openjpeg",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91": "openjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.201": "openjpeg",  # High-Throughput JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.202": "openjpeg",  # High-Throughput JPEG 2000 Lossless, RPCL
    "1.2.840.10008.1.2.4.203": "openjpeg",  # High-Throughput JPEG 2000
    "1.2.840.10008.1.2.5": "rle",  # RLE Lossless
    "PNG": "opencv",
    "TIFF": "opencv",
}

_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")


def decode(request: dict[str, Any], frame: bytes) -> Words:
    """Decode one frame.

    Args:
        request: `syntax` (a key of `CODECS`), `rows`, `columns`, `bits_allocated`, and
            `precision`: the bits per sample in the codestream, or else in the header.
        frame: The codestream, its fragments joined.

    Returns:
        Words of 8 or 16 bits, little endian, in the shape that the codec gives (`(h, w)` or
        `(h * w,)`); their number is not checked.

    Raises:
        ValueError: The codec cannot decode the frame.
    """
    codec = CODECS[request["syntax"]]
    if codec == "openjpeg":
        from openjpeg.utils import decode as decode_2000

        return _require_16_bits(decode_2000(frame, j2k_format=0))
    if codec == "rle":
        from rle.utils import decode_pixel_data

        bits = request["bits_allocated"]
        data = decode_pixel_data(
            frame, None, 2, rows=request["rows"], columns=request["columns"], bits_allocated=bits
        )
        return np.frombuffer(data, np.uint8 if bits == 8 else "<u2")
    return _decode_opencv(frame) if codec == "opencv" else _decode_gdcm(request, frame)


def _require_16_bits(words: Words) -> Words:
    """Reject samples of more than 16 bits; signed 8-bit samples are sign-extended."""
    if words.dtype.itemsize > 2:
        raise ValueError("samples of more than 16 bits")
    return words.astype("<i2") if words.dtype == np.int8 else words


def _decode_opencv(file: bytes) -> Words:
    import cv2

    cv2.setNumThreads(1)
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("truncated or damaged pixels")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError("samples that are not integers of 8 or 16 bits")
    return np.asarray(pixels)


def _decode_gdcm(request: dict[str, Any], frame: bytes) -> Words:
    import gdcm

    for stream in ("Debug", "Warning", "Error"):
        getattr(gdcm.Trace, f"{stream}Off")()
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((request["columns"], request["rows"], 1))
    image.SetDataElement(element)
    gray = gdcm.PhotometricInterpretation.MONOCHROME2
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gray))
    syntax = gdcm.TransferSyntax.GetTSType(request["syntax"])
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    # gdcm selects its 8, 12 or 16-bit JPEG library by the bits stored, so these must be the
    # precision of the codestream, which a header may misstate. Signs are handled elsewhere.
    precision = request["precision"]
    if precision < 8 and request["syntax"] not in _JPEG_LS:
        raise ValueError("gdcm does not decode JPEG of fewer than 8 bits")  # it would abort
    image.SetPixelFormat(
        gdcm.PixelFormat(1, 8 if precision <= 8 else 16, precision, precision - 1, 0)
    )
    # gdcm returns bytes as text.
    text = image.GetBuffer()
    if not text:
        raise ValueError("gdcm returns no pixels")
    data = text.encode("utf-8", "surrogateescape")
    return np.frombuffer(data, np.uint8 if precision <= 8 else "<u2")
