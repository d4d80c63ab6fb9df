import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.imaging import equalize_hist, statistics, stretch, to_eight_bit, to_full_range


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
def test_levels_outside_the_stored_range_are_rejected(pixels, bits):
    with pytest.raises(RecipeError):
        to_full_range(pixels, bits)


def test_equalization_uses_eight_bits():
    pixels = np.random.default_rng(0).integers(0, 20000, (64, 64), dtype=np.uint16)
    result = equalize_hist(pixels)
    assert result.dtype == np.uint8
    assert (result.min(), result.max()) == (0, 255)
    small = (pixels // 257).astype(np.uint8)
    assert np.array_equal(result, equalize_hist(small))
    assert np.array_equal(result, equalize_hist(small.astype(np.float32) + 0.4))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_min_max_stretches_the_range_of_the_image(bits):
    top = 2**bits - 1
    image = np.linspace(top // 4, top // 2, 150 * 90).astype(np.uint16).reshape(150, 90)
    stretched = stretch(image, bits, "min_max")
    low, high = int(image.min()), int(image.max())
    expected = np.floor((image.astype(np.int64) - low) * 65535 / (high - low) + 0.5)
    assert np.abs(stretched - expected).max() <= 1 and (stretched.min(), stretched.max()) == (
        0,
        65535,
    )
    assert (stretch(np.full((3, 3), top, np.uint16), bits, "min_max") == 0).all()


def test_the_other_policies():
    image = np.array([[0, 4095]], np.uint16)
    assert stretch(image, 12).tolist() == [[0, 65535]]
    assert stretch(image, 12, "none").tolist() == [[0, 4095]]
    with pytest.raises(RecipeError, match="Unknown stretch policy"):
        stretch(image, 12, "auto")
    with pytest.raises(RecipeError, match="cannot be stretched"):
        stretch(image, 8, "none")


@pytest.mark.parametrize("top", [65535, 5000, 200, 0])
def test_statistics_are_those_of_the_pixels(top):
    image = np.random.default_rng(3).integers(0, top + 1, (80, 70), dtype=np.uint16)
    result = statistics(image)
    assert result["mean"] == pytest.approx(image.mean(dtype=float))
    assert result["standard_deviation"] == pytest.approx(image.std(dtype=float))
    assert (result["minimum"], result["maximum"]) == (image.min(), image.max())
    # Compared with OpenCV's equalization.
    assert result["equalized_mean"] == pytest.approx(equalize_hist(image).mean(), abs=0.01)
    equalized = equalize_hist(to_eight_bit(image))
    assert result["equalized_image_max_mean"] == pytest.approx(equalized.mean(), abs=0.01)


def test_eight_bit_levels_are_truncated():
    # read_img_for_pred of the original: img * 255 / max, then a uint8 cast.
    assert to_eight_bit(np.array([[0, 999, 500, 1000]], np.uint16)).tolist() == [[0, 254, 127, 255]]
