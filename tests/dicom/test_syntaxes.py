"""The same image in every transfer syntax gives the same pixels."""

import base64
import json
import zlib
from pathlib import Path

import gdcm
import numpy as np
import pytest
from dicom_files import mammogram, recode, save, save_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from mammo_core.dicom import read_facts, read_image

JPEG = "1.2.840.10008.1.2.4."
STREAMS = json.loads((Path(__file__).parent / "codestreams.json").read_text())["streams"]
Y, X = np.mgrid[0:20, 0:24]
IMAGES = {
    "busy": ((3 * X * X + 5 * Y * Y + 17 * X * Y) % 4096).astype(np.uint16),
    "smooth": (40 * X + 90 * Y + ((X * Y) % 7) * 20).astype(np.uint16),
}


def by_gdcm(syntax):
    return lambda data, raw, path: recode(raw, path, syntax)


def by_pydicom(syntax, plugin):
    def write(data, raw, path):
        data.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        data.save_as(path, enforce_file_format=True)

    return write


def uncompressed(syntax):
    def write(data, raw, path):
        if syntax == ExplicitVRBigEndian:
            words = np.frombuffer(data.PixelData, "<u2" if data.BitsAllocated == 16 else "u1")
            data.PixelData = words.astype(">u2" if data.BitsAllocated == 16 else "u1").tobytes()
            data["PixelData"].VR = "OB" if data.BitsAllocated == 8 else "OW"
        save(data, path, syntax)

    return write


WRITERS = {
    "implicit": uncompressed(ImplicitVRLittleEndian),
    "big endian": uncompressed(ExplicitVRBigEndian),
    "deflated": uncompressed(DeflatedExplicitVRLittleEndian),
    "RLE, pylibjpeg": by_pydicom(RLELossless, "pylibjpeg"),
    "RLE, pydicom": by_pydicom(RLELossless, "pydicom"),
    "RLE, gdcm": by_gdcm(RLELossless),
    "JPEG lossless": by_gdcm(JPEG + "57"),
    "JPEG lossless SV1": by_gdcm(JPEG + "70"),
    "JPEG-LS": by_gdcm(JPEGLSLossless),
    "JPEG-LS near-lossless, error 0": by_gdcm(JPEG + "81"),
    "JPEG 2000, openjpeg": by_pydicom(JPEG2000Lossless, "pylibjpeg"),
    "JPEG 2000, gdcm": by_gdcm(JPEG2000Lossless),
}


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("writer", WRITERS)
def test_all_lossless_syntaxes_give_the_same_pixels(tmp_path, writer, bits):
    words = np.random.default_rng(7).integers(0, 2**bits, (80, 71), dtype=np.uint16)

    def data():
        pixels = words.astype(np.uint8).tobytes() if bits == 8 else words.astype("<u2").tobytes()
        return mammogram(words, bits, BitsAllocated=8 if bits == 8 else 16, PixelData=pixels)

    raw = save(data(), tmp_path / "raw.dcm")
    WRITERS[writer](data(), raw, tmp_path / "a.dcm")
    image = read_image(tmp_path / "a.dcm")
    assert image.facts.transfer_syntax != ExplicitVRLittleEndian
    assert np.array_equal(image.pixels, words)
    assert np.array_equal(image.pixels, read_image(raw).pixels)


@pytest.mark.parametrize(
    "writer", ["implicit", "big endian", "deflated", "RLE, pylibjpeg", "JPEG lossless SV1",
               "JPEG 2000, openjpeg", "JPEG 2000, gdcm"]
)  # fmt: skip
def test_signed_pixels_in_every_syntax(tmp_path, writer):
    signed = np.random.default_rng(7).integers(-2048, 2048, (80, 70)).astype(np.int16)

    def data():
        # gdcm requires signed values within the stored bits.
        return mammogram(signed.view(np.uint16), 16, PixelRepresentation=1)

    raw = save(data(), tmp_path / "raw.dcm")
    WRITERS[writer](data(), raw, tmp_path / "a.dcm")
    pixels = read_image(tmp_path / "a.dcm").pixels
    assert np.array_equal(pixels.astype(np.int32) - 2**15, signed)


def lossy(codec, quality):
    codec.SetLossless(False)
    if isinstance(codec, gdcm.JPEGCodec):
        codec.SetQuality(quality)
    elif isinstance(codec, gdcm.JPEGLSCodec):
        codec.SetLossyError(quality)
    return codec


@pytest.mark.parametrize(
    ("syntax", "bits", "codec", "quality", "error"),
    [
        ("50", 8, gdcm.JPEGCodec, 100, 2),  # baseline
        ("51", 8, gdcm.JPEGCodec, 100, 2),  # extended
        ("51", 12, gdcm.JPEGCodec, 100, 2),
        ("81", 12, gdcm.JPEGLSCodec, 2, 2),  # near-lossless: the bound is the parameter
    ],
)
def test_lossy_syntaxes_are_close_to_the_original(tmp_path, syntax, bits, codec, quality, error):
    y, x = np.mgrid[0:80, 0:72]
    words = ((x * 20 + y * 15) % 2**bits // 4).astype(np.uint16)
    pixels = words.astype(np.uint8).tobytes() if bits == 8 else words.tobytes()
    data = mammogram(words, bits, BitsAllocated=8 if bits == 8 else 16, PixelData=pixels)
    raw = save(data, tmp_path / "raw.dcm")
    recode(raw, tmp_path / "a.dcm", JPEG + syntax, lossy(codec(), quality))
    image = read_image(tmp_path / "a.dcm")
    assert image.facts.transfer_syntax == JPEG + syntax
    assert np.abs(image.pixels.astype(int) - words).max() <= error


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream["what"])
def test_codestreams_of_other_encoders(tmp_path, stream):
    image = IMAGES[stream["picture"]]
    path = tmp_path / "a.dcm"
    save_frame(mammogram(image), path, stream["syntax"], base64.b64decode(stream["frame"]))
    pixels = read_image(path).pixels
    if "decoded" not in stream:
        assert np.array_equal(pixels, image)
        return
    # The result of the decoder of the same vendor; JPEG allows rounding differences.
    decoded = np.frombuffer(zlib.decompress(base64.b64decode(stream["decoded"])), "<u2")
    assert np.abs(pixels.astype(int).ravel() - decoded).max() <= 1


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream["what"])
def test_a_header_with_the_wrong_precision(tmp_path, stream):
    # The codestreams of 12 bits with a header of 16. Three encoders coded whole words.
    whole_words = "OpenJPH" in stream["what"] or "near-lossless by CharLS" in stream["what"]
    path = tmp_path / "a.dcm"
    frame = base64.b64decode(stream["frame"])
    for bits in (12, 16):
        save_frame(mammogram(IMAGES[stream["picture"]], bits), path, stream["syntax"], frame)
        image = read_image(path)
        codes = [warning.code for warning in image.facts.warnings]
        if whole_words:
            assert (image.facts.bits_stored, "unused_range" in codes) == (bits, bits == 16)
        else:
            assert image.facts.bits_stored == 12
            assert ("precision" in codes) == (bits == 16)
        if bits == 12:
            right = image.pixels
    assert np.array_equal(image.pixels, right)


def test_swapped_bytes_of_eight_bit_pixels_in_big_endian_words(tmp_path):
    words = np.random.default_rng(7).integers(0, 256, (81, 71), dtype=np.uint8)
    swapped = np.append(words.ravel(), np.uint8(0)).reshape(-1, 2)[:, ::-1].tobytes()
    data = mammogram(words.astype(np.uint16), 8, BitsAllocated=8, PixelData=swapped)
    data["PixelData"].VR = "OW"
    assert np.array_equal(
        read_image(save(data, tmp_path / "a.dcm", ExplicitVRBigEndian)).pixels, words
    )


def test_a_frame_in_several_fragments(tmp_path):
    from pydicom.encaps import encapsulate, get_frame

    words = np.random.default_rng(7).integers(0, 4096, (80, 71), dtype=np.uint16)
    data = mammogram(words)
    data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    frame = get_frame(data.PixelData, 0, number_of_frames=1)
    data.PixelData = encapsulate([frame], fragments_per_frame=3)
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(read_image(tmp_path / "a.dcm").pixels, words)
    assert read_facts(tmp_path / "a.dcm").transfer_syntax == JPEG2000Lossless
