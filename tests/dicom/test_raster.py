import cv2
import numpy as np
import pytest
from PIL import Image

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError

PIXELS = np.random.default_rng(5).integers(0, 65536, (90, 70), dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_gray_files_are_recognized_by_content(tmp_path, suffix, bits):
    pixels = PIXELS if bits == 16 else (PIXELS >> 8).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), pixels)
    renamed = path.rename(tmp_path / "a.dcm")  # the name does not matter
    image = read_image(renamed, mammogram=True)
    assert image.pixels.dtype == np.uint16
    assert np.array_equal(image.pixels, pixels)
    assert image.facts == read_facts(renamed)
    assert (image.facts.bits_stored, image.facts.rows, image.facts.columns) == (bits, 90, 70)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_color_is_rejected(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.zeros((80, 80, 3), np.uint8))
    with pytest.raises(DicomError, match="not a gray image"):
        read_image(path)


@pytest.mark.parametrize("kept", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_truncated_files_are_rejected(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), PIXELS)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(DicomError):
        read_image(path)


def test_a_png_header_with_too_many_pixels_is_rejected(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), PIXELS)
    raw = bytearray(path.read_bytes())
    raw[16:24] = (200_000).to_bytes(4, "big") * 2
    path.write_bytes(raw)
    with pytest.raises(DicomError, match="too many pixels"):
        read_image(path)


@pytest.mark.parametrize(
    ("codec", "kind"),
    [("bmp", "BMP"), ("gif", "GIF"), ("webp", "WebP"), ("jpeg2000", "JPEG 2000")],
)
def test_other_kinds_of_pictures_are_refused_by_their_names(tmp_path, codec, kind):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS.astype(np.uint8)).save(path, codec)
    with pytest.raises(DicomError, match=f"Received a {kind} picture.*Export the original"):
        read_image(path)
