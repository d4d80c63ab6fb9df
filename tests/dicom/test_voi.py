"""Windows and VOI look-up tables: the formulas and examples of PS3.3 C.11.2."""

import numpy as np
import pytest
from dicom_files import mammogram, random_words, save
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammo_core.dicom import read_facts, read_image
from mammo_core.errors import DicomError

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def window(tmp_path, words=RAMP, voi=True, **fields):
    path = save(mammogram(words, **fields), tmp_path / "a.dcm")
    return read_image(path, voi=voi)


def test_a_window_is_applied_only_on_request(tmp_path):
    image = window(tmp_path, voi=False, WindowCenter="2048", WindowWidth="100")
    assert np.array_equal(image.pixels, RAMP)
    assert (image.facts.voi, image.facts.voi_function) == ("available", "LINEAR")
    assert read_facts(tmp_path / "a.dcm") == image.facts


def test_a_header_without_a_window(tmp_path):
    image = window(tmp_path)
    assert np.array_equal(image.pixels, RAMP)
    assert (image.facts.voi, image.facts.voi_function) == ("none", None)


# C.11.2.1.2.1 notes: c=2048, w=4096 is the identity on 12 bits; c=2048, w=1 a threshold;
# c=0.5, w=1 too. C.11.2.1.3.2: LINEAR_EXACT with c=2048, w=4096 divides by 4096, not 4095.
@pytest.mark.parametrize(
    ("center", "width", "function", "expected"),
    [
        (2048, 4096, None, RAMP),
        (2048, 4096, "LINEAR", RAMP),
        (2048, 1, "LINEAR", np.where(RAMP > 2047.5, 4095, 0)),
        (1000, 101, "LINEAR", np.clip((RAMP - 999.5) / 100 + 0.5, 0, 1) * 4095),
        (2048, 4096, "LINEAR_EXACT", RAMP / 4096 * 4095),
        (1000, 0.5, "LINEAR_EXACT", np.clip((RAMP - 1000.0) / 0.5 + 0.5, 0, 1) * 4095),
        (2048, 1000, "SIGMOID", 4095 / (1 + np.exp(-4 * (RAMP - 2048.0) / 1000))),
        (2048, 1, "SIGMOID", np.where(RAMP < 2048, 0, np.where(RAMP > 2048, 4095, 2047.5))),
    ],
)
def test_window_functions(tmp_path, center, width, function, expected):
    image = window(tmp_path, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    assert (image.facts.voi, image.facts.voi_function) == ("applied", function or "LINEAR")
    assert image.facts.bits_stored == 12
    tolerance = 80 if (function, width) == ("SIGMOID", 1) else 0.51
    assert np.abs(image.pixels - expected).max() <= tolerance


def test_the_first_of_several_windows_is_applied(tmp_path):
    image = window(tmp_path, WindowCenter=[2048, 100], WindowWidth=[4096, 10])
    assert np.array_equal(image.pixels, RAMP)


def test_a_window_is_in_units_of_the_modality(tmp_path):
    fields = {"RescaleSlope": "2", "RescaleIntercept": "-1000"}
    image = window(tmp_path, WindowCenter="3096", WindowWidth="8192", **fields)
    # Values run from -1000 to 7190; the window from -1000 to 7191.
    assert np.abs(image.pixels.astype(int) - RAMP).max() <= 1


def test_a_window_on_signed_values(tmp_path):
    signed = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    image = window(
        tmp_path, signed.view(np.uint16), PixelRepresentation=1, WindowCenter=0, WindowWidth=4096
    )
    assert np.array_equal(image.pixels, RAMP)


def test_monochrome1_is_inverted_after_the_window(tmp_path):
    fields = {"PhotometricInterpretation": "MONOCHROME1"}
    image = window(tmp_path, WindowCenter=2048, WindowWidth=1, **fields)
    assert np.array_equal(image.pixels, np.where(RAMP > 2047, 0, 4095))


def test_a_negative_slope_is_part_of_the_modality_values(tmp_path):
    fields = {"RescaleSlope": "-1", "RescaleIntercept": "4095"}
    image = window(tmp_path, WindowCenter=2048, WindowWidth=4096, **fields)
    assert np.array_equal(image.pixels, 4095 - RAMP)


def test_padding_stays_black(tmp_path):
    words = random_words() % 3000
    words[:, :20] = 3000
    data = mammogram(words, WindowCenter=100, WindowWidth=50)
    data.add_new("PixelPaddingValue", "US", 3000)
    pixels = read_image(save(data, tmp_path / "a.dcm"), voi=True).pixels
    assert (pixels[:, :20] == 0).all()
    assert (pixels[:, 20:] == 4095).any()


def table(entries, first, bits, levels, kind="OW"):
    item = Dataset()
    item.add_new(0x00283002, "US", [entries, first, bits])
    item.add_new(0x00283006, kind, levels)
    return Sequence([item])


@pytest.mark.parametrize("kind", ["OW", "US"])
def test_a_voi_table_takes_precedence_over_a_window(tmp_path, kind):
    levels = (np.arange(1024) // 4).astype("<u2")
    item = table(1024, 512, 8, levels.tobytes() if kind == "OW" else levels.tolist(), kind)
    image = window(tmp_path, VOILUTSequence=item, WindowCenter=5, WindowWidth=5)
    assert (image.facts.voi, image.facts.voi_function) == ("applied", "TABLE")
    # Values outside the table take its first or last entry. Scaled to the stored range.
    expected = np.rint(levels[np.clip(RAMP.astype(int) - 512, 0, 1023)] / 255 * 4095)
    assert np.array_equal(image.pixels, expected)
    assert image.facts.bits_stored == 12


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"WindowCenter": 5, "WindowWidth": 0}, "invalid window"),
        ({"WindowCenter": 5, "WindowWidth": 0.5}, "invalid window"),
        ({"WindowCenter": 5, "WindowWidth": -1, "VOILUTFunction": "SIGMOID"}, "invalid window"),
        ({"VOILUTSequence": table(99, 0, 12, b"\0\0")}, "invalid VOI look-up table"),
    ],
)
def test_invalid_transforms_are_rejected_only_on_request(tmp_path, fields, reason):
    with pytest.raises(DicomError, match=reason):
        window(tmp_path, **fields)
    assert window(tmp_path, voi=False, **fields).facts.voi == "available"


def test_a_window_with_an_unknown_function_is_ignored(tmp_path):
    image = window(tmp_path, WindowCenter=5, WindowWidth=5, VOILUTFunction="CUBIC")
    assert image.facts.voi == "none"
    assert np.array_equal(image.pixels, RAMP)
