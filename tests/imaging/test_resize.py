import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.imaging import output_size, resize, resize_mask

RAMP = np.tile(np.linspace(0, 65535, 60).astype(np.uint16), (90, 1))


@pytest.mark.parametrize(
    ("size", "height", "width", "mode", "expected"),
    [
        ((5000, 3000), 1152, 896, "forced", ((1152, 896), (1152, 896))),
        # int(4096 / 5041 * 2056) = 1670: read_resize_img of the original.
        ((5041, 2056), 4096, 896, "height", ((4096, 1670), (4096, 1670))),
        ((1000, 100), 500, 500, "pad", ((500, 50), (500, 500))),
        ((100, 1000), 500, 400, "pad", ((40, 400), (500, 400))),
        ((3, 1000), 2, 2, "pad", ((1, 2), (2, 2))),
    ],
)
def test_sizes(size, height, width, mode, expected):
    assert output_size(size, height, width, mode) == expected


@pytest.mark.parametrize("mode", ["forced", "height", "pad"])
@pytest.mark.parametrize("interpolation", ["area", "cubic", "linear"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("target", [(45, 30), (180, 120), (45, 120)])
def test_dtype_and_shape(mode, interpolation, dtype, target):
    image = RAMP.astype(dtype) if dtype != np.uint8 else (RAMP >> 8).astype(np.uint8)
    result = resize(image, *target, mode, interpolation)
    assert result.dtype == dtype
    assert result.shape == output_size(image.shape, *target, mode)[1]


def test_area_averages():
    image = np.array([[0, 100], [200, 300]], np.uint16)
    assert resize(image, 1, 1).tolist() == [[150]]


def test_enlarging_by_area_is_smooth():
    step = np.zeros((4, 4), np.uint16)
    step[:, 2:] = 60000
    row = resize(step, 4, 16)[0]
    assert len(np.unique(row)) > 2


def test_cubic_is_clipped_to_the_dtype():
    edge = np.zeros((8, 8), np.uint16)
    edge[:, 4:] = 65535
    result = resize(edge, 16, 16, interpolation="cubic")
    assert result[0, 0] == 0
    assert result[0, -1] == 65535
    assert (np.diff(result[0].astype(int)) >= 0).all()  # no wrap-around


def test_an_image_of_the_right_size_is_returned_unchanged():
    assert resize(RAMP, *RAMP.shape) is RAMP


def test_padding_is_black_at_the_bottom_and_right():
    image = np.full((10, 20), 7, np.uint16)
    result = resize(image, 40, 40, "pad")
    assert (result[:20] == 7).all()
    assert (result[20:] == 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.uint16])
def test_masks_get_no_new_values_and_do_not_move(dtype):
    mask = np.zeros((100, 80), dtype)
    mask[20:60, 10:50] = 1 if dtype == np.bool_ else 255
    small = resize_mask(mask, 50, 40)
    assert small.dtype == dtype
    assert set(np.unique(small)) <= set(np.unique(mask))
    assert np.array_equal(small, mask[::2, ::2])
    assert np.array_equal(resize_mask(small, 100, 80), mask)


def test_other_arrays_sizes_and_modes_are_rejected():
    for call in (
        lambda: resize(np.zeros((3, 3, 3), np.uint8), 2, 2),
        lambda: resize(np.zeros((0, 3), np.uint8), 2, 2),
        lambda: resize(RAMP, 0, 2),
        lambda: resize(RAMP, 2, 2, "longest"),
        lambda: resize(RAMP, 2, 2, "forced", "nearest"),
    ):
        with pytest.raises(RecipeError):
            call()


def test_cubic_masks_include_every_value_above_0_as_in_the_original():
    import cv2

    mask = np.zeros((90, 60), np.uint8)
    mask[30:50, 20:41] = 255
    expected = cv2.resize(mask, (23, 37), interpolation=cv2.INTER_CUBIC) > 0
    resized = resize_mask(mask > 0, 37, 23, interpolation="cubic")
    assert resized.dtype == np.bool_ and np.array_equal(resized, expected)
    assert resized.sum() > resize_mask(mask > 0, 37, 23).sum()
