import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.imaging import (
    largest_object,
    median_filter,
    remove_pectoral,
    suppress_artifacts,
)


def film() -> np.ndarray:
    """A breast on the left with a bright muscle in its upper corner, and a film label."""
    row, column = np.mgrid[:300, :200]
    image = np.where((row - 150) ** 2 + column**2 < 140**2, 20000 + 20 * row, 0)
    image = np.where((row + 1.5 * column < 110) & (image > 0), 60000, image)
    image[20:40, 170:195] = 65535  # the label
    return image.astype(np.uint16)


def test_largest_object_counts_pixels_and_joins_diagonals():
    binary = np.zeros((12, 12), bool)
    binary[0:3, 0:3] = True  # 9 pixels
    binary[range(3, 12), range(3, 12)] = True  # a diagonal, 8-connected to it: one object of 18
    binary[0:3, 8:12] = True  # 12 pixels
    largest = largest_object(binary)
    assert largest[11, 11] and largest[0, 0] and not largest[0, 9]
    assert not largest_object(np.zeros((3, 3), bool)).any()


def test_holes_are_filled_and_bays_are_not():
    binary = np.zeros((40, 40), bool)
    binary[5:35, 0:30] = True  # touches the border, as a breast does
    binary[10:15, 10:15] = False
    binary[20:22, 20:30] = False  # open to the right
    filled = largest_object(binary, fill_holes=True)
    assert filled[10:15, 10:15].all()
    assert not filled[20:22, 25].any()
    assert filled.sum() == binary.sum() + 25


def test_opening_removes_thin_structures():
    binary = np.zeros((60, 60), bool)
    binary[10:50, 0:40] = True
    binary[30, 40:60] = True  # a scratch
    smooth = largest_object(binary, smooth_boundary=True, kernel_size=5)
    assert not smooth[30, 45:].any()
    assert smooth[20:40, 10:30].all()


def test_suppress_artifacts_removes_the_label_and_keeps_the_breast():
    image = film()
    kept, breast = suppress_artifacts(image)
    assert kept.dtype == np.uint16 and breast.dtype == np.bool_
    assert kept[20:40, 170:195].max() == 0
    assert (kept[100:200, 5:100] == image[100:200, 5:100]).all()
    assert ((kept == image) | ~breast).all()


def test_a_threshold_may_be_absolute():
    image = np.zeros((60, 60), np.uint16)
    image[10:50, 10:50] = 100
    image[0:5, 0:5] = 65535
    assert suppress_artifacts(image, global_threshold=50, kernel_size=3)[1][30, 30]
    # 5 % of 65535: only the small bright square exceeds it.
    assert not suppress_artifacts(image, kernel_size=3)[1][30, 30]


def test_an_image_without_a_breast_is_an_error():
    with pytest.raises(RecipeError, match="No breast was found"):
        suppress_artifacts(np.zeros((50, 50), np.uint16))


def test_remove_pectoral_removes_the_muscle_and_keeps_most_of_the_breast():
    image = film()
    _, breast = suppress_artifacts(image)
    kept, mask = remove_pectoral(image, breast, high_int_threshold=0.97)
    muscle = (image == 60000) & breast
    assert mask[muscle].mean() < 0.2
    rest = breast & ~muscle
    assert mask[rest].mean() > 0.8
    assert ((kept == image) | ~mask).all() and (kept[~mask] == 0).all()


@pytest.mark.parametrize("size", [3, 5])
def test_median_filter(size):
    image = np.full((20, 20), 1000, np.uint16)
    image[10, 10] = 65535
    assert (median_filter(image, size) == 1000).all()


def test_other_filter_sizes_are_rejected():
    with pytest.raises(RecipeError, match="median filter"):
        median_filter(film(), 7)
