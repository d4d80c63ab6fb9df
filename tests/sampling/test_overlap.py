"""Overlap of patches and lesions, against plain counting and the original's records."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_core.datasets import ImageRecord, LesionMask
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.sampling.overlap import OverlapTable


def _counted(mask, side, row, column):
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
def test_covered_pixels_are_those_one_counts(height, width, side, seed, share):
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < share
    table = OverlapTable(mask, side)
    centres = random.integers(-30, 70, (50, 2))
    expected = [_counted(mask, side, row, column) for row, column in centres]
    assert table.covered(centres).tolist() == expected
    assert table.area == mask.sum()
    inside = (centres >= 0).all(axis=1) & (centres < mask.shape).all(axis=1)
    smaller = max(min(mask.sum(), side**2), 1)  # a patch with its centre in the image is whole
    shares = table.share(centres)
    assert np.allclose(shares[inside], np.array(expected)[inside] / smaller)


def test_a_patch_ends_where_the_padded_image_does():
    mask = np.zeros((20, 20), bool)
    mask[:5, :5] = True  # 25 pixels
    corner = np.array([[0, 0]])  # covers 5 x 5 of the mask, with 10 x 10 pixels in all
    assert OverlapTable(mask, 10).share(corner)[0] == 1.0
    mask[:] = True
    # Without padding, 25 pixels of the patch are left, and all of them are lesion.
    assert OverlapTable(mask, 10, margin=0).share(corner)[0] == 1.0
    assert OverlapTable(mask, 10).share(corner)[0] == 0.25


def test_the_larger_of_both_shares_counts():
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True  # 400 pixels
    centre = np.array([[30, 20]])  # of which a patch of 10 x 10 covers 5 columns of 10
    assert OverlapTable(mask, 10).share(centre)[0] == 0.5
    small = np.zeros((64, 64), bool)
    small[28:32, 18:22] = True  # wholly inside
    assert OverlapTable(small, 10).share(centre)[0] == 1.0


def test_an_empty_mask_is_covered_by_nothing():
    table = OverlapTable(np.zeros((9, 9), bool), 8)
    assert table.area == 0 and table.share(np.array([[4, 4]])).tolist() == [0.0]


@pytest.fixture(scope="module")
def golden(real_data):
    folder = real_data / "original_golden"
    return json.loads((folder / "sampling.json").read_text()), np.load(folder / "sampling.npz")


@pytest.mark.real
@pytest.mark.parametrize("cutoff", [0.35, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("side", [56, 57, 20])
def test_the_overlap_test_is_the_originals(golden, side, cutoff):
    # Recorded on a mask that was zero-padded by 28; centres are (x, y) of the padded image.
    _, arrays = golden
    # The original cuts `centre - side / 2 : centre + side / 2` in whole numbers: of an odd
    # side it leaves one row and one column away. Ours cuts the whole patch.
    table = OverlapTable(arrays["mask"] > 0, side - side % 2, margin=0)
    accepted = table.share(arrays["centers_xy"][:, ::-1]) > cutoff
    assert accepted.tolist() == arrays[f"overlap_c{cutoff}_p{side}"].tolist()


def _view(arrays, number):
    image = arrays[f"sp_img_{number}"].astype(np.uint16)
    lesion = LesionMask("x", arrays[f"sp_mask_{number}"] > 0)
    return ImageRecord(f"{number:064}", image, (lesion,), *image.shape)


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_a_single_patch_lies_where_the_original_puts_it(golden, number):
    facts, arrays = golden
    config = SamplingConfig(preset="S1", patch_size=56, background_patches=0)
    (patch,) = sample_view(_view(arrays, number), config, 1).patches
    # "centroid= (x, y)" of the image padded by half a patch.
    assert facts[f"sp_{number}"]["centroid"][0] == (
        f"centroid= ({patch.column + 28}, {patch.row + 28})"
    )


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_patches_and_their_tests_are_the_originals(golden, number):
    """Every centre the original drew passes our test; our cut there is its file."""
    from mammo_core.sampling.parts import largest_part
    from mammo_core.sampling.view import _Sampler

    facts, arrays = golden
    record, told = _view(arrays, number), facts[f"sp_{number}"]
    config = SamplingConfig(patch_size=56)
    sampler = _Sampler(record, config, 1)
    table = OverlapTable(record.lesions[0].mask, 56)
    part = largest_part(record.lesions[0].mask)
    stored = {
        int(name[-8:-4]): arrays[name]
        for name in arrays
        if name.startswith(f"sp_{number}__") and "background" not in name
    }
    for index, (x, y) in enumerate(told["centers"]["abn"]):
        row, column = y - 28, x - 28
        assert part.top <= row < part.top + part.height
        assert part.left <= column < part.left + part.width
        assert np.array_equal(sampler.canvas.patch(row, column), stored[index])
        assert table.share(np.array([[row, column]]))[0] > 0.75
    for x, y in told["centers"]["bkg"]:
        assert sampler._share(np.array([[y - 28, x - 28]]))[0] <= 0.35


def test_a_contour_without_area_has_the_middle_of_its_box():
    from mammo_core.sampling.parts import largest_part

    mask = np.zeros((30, 30), bool)
    cv2.line(mask.view(np.uint8), (10, 5), (10, 14), 1)
    part = largest_part(mask)
    assert (part.top, part.left, part.height, part.width) == (5, 10, 10, 1)
    assert part.centroid == (10, 10)
