"""The compiled codecs: from a compressed frame to its words.

This file runs in the process of `worker.py`, which loads it by path. It imports nothing of the
library, and each codec only when a frame needs it.
"""

import io
import logging
import os
import re
import struct
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
    "TIFF": "tiff",
    "PNM": "pnm",
    "JPEG": "jpeg",
}

#: Compressions of TIFF that tifffile decodes without other packages: none, deflate. OpenCV fills
#: the rest of a short strip of 8 bits with zeros, and refuses some tiles.
_TIFFFILE = (1, 8, 32946)
_NETPBM = re.compile(rb"P([1-6])" + 2 * rb"(?:\s|#[^\n]*\n)+(\d{1,9})")
_MAXVAL = re.compile(rb"(?:\s|#[^\n]*\n)+(\d{1,9})")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")


def decode(request: dict[str, Any], frame: bytes) -> Words:
    """Decode one frame.

    Args:
        request: `syntax` (a key of `CODECS`), `rows`, `columns`, `bits_allocated`, and
            `precision`: the bits per sample in the codestream, or else in the header. For a TIFF
            file, `bits`: the bits per sample.
        frame: The codestream, its fragments joined.

    Returns:
        Words of 8 or 16 bits, little endian, in the shape that the codec gives (`(h, w)`,
        `(h * w,)`, or `(h, w, samples)` of a color file); their number is not checked. Of a TIFF
        file, the samples as they are stored: not inverted, not turned.

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
    if codec == "tiff":
        return _decode_tiff(frame, request["bits"])
    if codec == "pnm":
        return _decode_pnm(frame)
    if codec == "jpeg":
        return _decode_jpeg(frame)
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


def _decode_jpeg(file: bytes) -> Words:
    """Decode a JPEG picture; libjpeg fills what is missing and only prints that it did."""
    messages = os.memfd_create("messages")
    standard_error = os.dup(2)
    os.dup2(messages, 2)
    try:
        pixels = _decode_opencv(file)
        is_damaged = os.fstat(messages).st_size > 0
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(messages)
    if is_damaged:
        raise ValueError("truncated or damaged pixels")
    return pixels


def _decode_tiff(file: bytes, bits: int) -> Words:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        page = tiff.pages.first
        if len(tiff.pages) != 1 or (tiff.imagej_metadata or {}).get("images", 1) != 1:
            raise ValueError("several pages")
        segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        if not segments or not all(
            size > 0 and 0 < offset <= len(file) - size for offset, size in segments
        ):
            raise ValueError("strips or tiles outside the file")
        packed = bits not in (1, 8, 16)
        if page.compression in _TIFFFILE and not packed:
            samples = _read_page(page)
        else:
            samples = _decode_libtiff(file, page, bits)
        if samples.ndim == 3 and page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, -1)
        if page.photometric == 3:  # a palette
            samples = np.moveaxis(np.asarray(page.colormap)[:, samples.astype(np.intp)], 0, -1)
        return samples


def _read_page(page: Any) -> Words:
    """Read the samples with tifffile, which only warns of a strip that ends too early."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        samples = page.asarray(maxworkers=1)
    finally:
        logger.removeHandler(handler)
    if messages:
        raise ValueError("truncated or damaged pixels")
    if samples.dtype == np.bool_:
        samples = samples.view(np.uint8)
    return np.asarray(samples.astype(samples.dtype.newbyteorder("<"), copy=False))


def _decode_libtiff(file: bytes, page: Any, bits: int) -> Words:
    """Decode strips and tiles with libtiff, without what its callers make of the samples."""
    content, order = bytearray(file), page.parent.byteorder
    for name, value in (("PhotometricInterpretation", 1), ("Orientation", 1)):
        tag = page.tags.get(name)
        if tag is not None and (tag.value in (0, 3) or name == "Orientation"):
            content[tag.valueoffset : tag.valueoffset + 2] = struct.pack(f"{order}H", value)
    if bits == 16 or bits not in (1, 8):
        words = _decode_opencv(bytes(content))  # packed bits are in the high ones
        return words if bits == 16 else words >> (16 - bits)
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=["TIFF"]) as picture:
        return np.asarray(picture).view(np.uint8)


def _decode_pnm(file: bytes) -> Words:
    """Decode a Netpbm file: black is 0, and the maximum value is that of its bits."""
    start = _NETPBM.match(file)
    if start is None:
        raise ValueError("no Netpbm header")
    kind, columns, rows = (int(number) for number in start.groups())
    end, maximum = start.end(), 1
    if kind not in (1, 4):
        last = _MAXVAL.match(file, end)
        if last is None or not 0 < int(last[1]) < 65536:
            raise ValueError("no Netpbm header")
        end, maximum = last.end(), int(last[1])
    shape = (rows, columns, 3) if kind in (3, 6) else (rows, columns)
    if kind < 4:
        values = _plain_values(file[end:], kind)
    else:
        values = _raw_values(file, end + 1, kind, shape, maximum)
    if values.size != np.prod(shape) or (values.size and values.max() > maximum):
        raise ValueError("truncated or damaged pixels")
    values = values.reshape(shape)
    if kind in (1, 4):
        return 1 - values.astype(np.uint8)  # 1 is black
    top = 2 ** maximum.bit_length() - 1
    if top != maximum:
        values = (values.astype(np.uint32) * top + maximum // 2) // maximum
    return values.astype("<u2" if top > 255 else np.uint8)


def _plain_values(text: bytes, kind: int) -> Words:
    text = re.sub(rb"#[^\n]*", b"", text)
    if re.search(rb"[^\s\d]", text) or (kind != 1 and re.search(rb"\d{6}", text)):
        raise ValueError("a sample that is not a whole number from 0 to 65535")
    if kind == 1:  # the digits of a bitmap need no blanks between them
        return np.frombuffer(re.sub(rb"\s", b"", text), np.uint8) - ord("0")
    return np.fromstring(text.decode("ascii"), np.int32, sep=" ")


def _raw_values(file: bytes, start: int, kind: int, shape: tuple[int, ...], maximum: int) -> Words:
    dtype = np.dtype(np.uint8 if maximum < 256 else ">u2")
    line = (shape[1] + 7) // 8 if kind == 4 else int(np.prod(shape[1:])) * dtype.itemsize
    size = shape[0] * line
    if file[start + size :].strip():
        raise ValueError("several pictures, or more pixels than the header states")
    values: Words = np.frombuffer(file[start : start + size], dtype)
    if kind != 4:
        return values
    if values.size != size:
        raise ValueError("truncated or damaged pixels")
    rows = values.view(np.uint8).reshape(shape[0], line)
    return np.unpackbits(rows, axis=1)[:, : shape[1]]


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
