"""Overlap of patches and lesions, compared with counted pixels and recordings of the original."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_core.datasets import ImageRecord, LesionMask
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.sampling.overlap import OverlapTable


def _count_pixels(mask, side, row, column):
    top, left = row - side // 2, column - side // 2
    rows = slice(max(top, 0), max(top + side, 0))
    return int(mask[rows, max(left, 0) : max(left + side, 0)].sum())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(8, 25),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
)
def test_covered_pixels_equal_a_plain_count(height, width, side, seed, density):
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < density
    table = OverlapTable(mask, side)
    centers = random.integers(-30, 70, (50, 2))
    expected = [_count_pixels(mask, side, row, column) for row, column in centers]
    assert table.covered(centers).tolist() == expected
    assert table.area == mask.sum()
    inside = (centers >= 0).all(axis=1) & (centers < mask.shape).all(axis=1)
    smaller = max(
        min(mask.sum(), side**2), 1
    )  # a patch with its center in the image has its full area
    overlaps = table.overlap(centers)
    assert np.allclose(overlaps[inside], np.array(expected)[inside] / smaller)


def test_a_patch_ends_at_the_edge_of_the_padded_image():
    mask = np.zeros((20, 20), bool)
    mask[:5, :5] = True  # 25 pixels
    corner = np.array([[0, 0]])  # covers 5 x 5 pixels of the mask; its area is 10 x 10
    assert OverlapTable(mask, 10).overlap(corner)[0] == 1.0
    mask[:] = True
    # Without padding, the patch has 25 pixels, all of them lesion.
    assert OverlapTable(mask, 10, margin=0).overlap(corner)[0] == 1.0
    assert OverlapTable(mask, 10).overlap(corner)[0] == 0.25


def test_the_smaller_area_is_the_divisor():
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True  # 400 pixels
    center = np.array([[30, 20]])  # a patch of 10 x 10 covers 5 columns of 10 pixels
    assert OverlapTable(mask, 10).overlap(center)[0] == 0.5
    small = np.zeros((64, 64), bool)
    small[28:32, 18:22] = True  # completely inside
    assert OverlapTable(small, 10).overlap(center)[0] == 1.0


def test_an_empty_mask_has_no_overlap():
    table = OverlapTable(np.zeros((9, 9), bool), 8)
    assert table.area == 0 and table.overlap(np.array([[4, 4]])).tolist() == [0.0]


@pytest.fixture(scope="module")
def golden(real_data):
    folder = real_data / "original_golden"
    return json.loads((folder / "sampling.json").read_text()), np.load(folder / "sampling.npz")


@pytest.mark.real
@pytest.mark.parametrize("cutoff", [0.35, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("side", [56, 57, 20])
def test_the_overlap_test_equals_the_originals(golden, side, cutoff):
    # Recorded on a mask that was zero-padded by 28; centers are (x, y) of the padded image.
    _, arrays = golden
    # The original cuts `center - side / 2 : center + side / 2` with integer division, so a
    # patch of an odd side lacks one row and one column. Ours is complete.
    table = OverlapTable(arrays["mask"] > 0, side - side % 2, margin=0)
    accepted = table.overlap(arrays["centers_xy"][:, ::-1]) > cutoff
    assert accepted.tolist() == arrays[f"overlap_c{cutoff}_p{side}"].tolist()


def _view(arrays, number):
    image = arrays[f"sp_img_{number}"].astype(np.uint16)
    lesion = LesionMask("x", arrays[f"sp_mask_{number}"] > 0)
    return ImageRecord(f"{number:064}", image, (lesion,), *image.shape)


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_a_single_patch_is_at_the_originals_centroid(golden, number):
    facts, arrays = golden
    config = SamplingConfig(preset="S1", patch_size=56, background_patches=0)
    (patch,) = sample_view(_view(arrays, number), config, 1).patches
    # "centroid= (x, y)" of the image padded by half a patch.
    assert facts[f"sp_{number}"]["centroid"][0] == (
        f"centroid= ({patch.column + 28}, {patch.row + 28})"
    )


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_the_originals_patches_pass_our_tests(golden, number):
    """Every center of the original passes our test, and our patch there equals its file."""
    from mammo_core.sampling.contour import largest_contour
    from mammo_core.sampling.view import _Sampler

    facts, arrays = golden
    record, recorded = _view(arrays, number), facts[f"sp_{number}"]
    config = SamplingConfig(patch_size=56)
    sampler = _Sampler(record, config, 1)
    table = OverlapTable(record.lesions[0].mask, 56)
    contour = largest_contour(record.lesions[0].mask)
    stored = {
        int(name[-8:-4]): arrays[name]
        for name in arrays
        if name.startswith(f"sp_{number}__") and "background" not in name
    }
    for index, (x, y) in enumerate(recorded["centers"]["abn"]):
        row, column = y - 28, x - 28
        assert contour.top <= row < contour.top + contour.height
        assert contour.left <= column < contour.left + contour.width
        assert np.array_equal(sampler.canvas.patch(row, column), stored[index])
        assert table.overlap(np.array([[row, column]]))[0] > 0.75
    for x, y in recorded["centers"]["bkg"]:
        assert sampler._largest_overlap(np.array([[y - 28, x - 28]]))[0] <= 0.35


def test_the_centroid_of_a_contour_without_area_is_the_center_of_its_box():
    from mammo_core.sampling.contour import largest_contour

    mask = np.zeros((30, 30), bool)
    cv2.line(mask.view(np.uint8), (10, 5), (10, 14), 1)
    contour = largest_contour(mask)
    assert (contour.top, contour.left, contour.height, contour.width) == (5, 10, 10, 1)
    assert contour.centroid == (10, 10)
