import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.imaging import equalize_hist, to_full_range


@pytest.mark.parametrize("bits", [1, 8, 10, 12, 14, 16])
def test_full_range(bits):
    top = 2**bits - 1
    levels = np.arange(top + 1, dtype=np.uint16).reshape(1, -1)
    full = to_full_range(levels, bits)
    assert full.dtype == np.uint16
    assert (full[0, 0], full[0, -1]) == (0, 65535)
    assert np.array_equal(full, np.rint(levels * 65535.0 / top).astype(np.uint16))


def test_the_scale_does_not_depend_on_the_image():
    assert to_full_range(np.array([[100]], np.uint16), 12)[0, 0] == 1600  # 100 * 65535 / 4095


@pytest.mark.parametrize(
    ("pixels", "bits"),
    [
        (np.array([[4096]], np.uint16), 12),
        (np.array([[1]], np.uint16), 0),
        (np.array([[1]], np.uint16), 17),
        (np.array([[0.5]], np.float32), 8),
    ],
)
def test_outside_the_stored_range(pixels, bits):
    with pytest.raises(RecipeError):
        to_full_range(pixels, bits)


def test_equalisation_is_that_of_eight_bits():
    pixels = np.random.default_rng(0).integers(0, 20000, (64, 64), dtype=np.uint16)
    result = equalize_hist(pixels)
    assert result.dtype == np.uint8
    assert (result.min(), result.max()) == (0, 255)
    small = (pixels // 257).astype(np.uint8)
    assert np.array_equal(result, equalize_hist(small))
    assert np.array_equal(result, equalize_hist(small.astype(np.float32) + 0.4))
