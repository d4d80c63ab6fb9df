import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.evaluation.averaging import average_variants, shift_pixels, variants

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)


def test_flips_are_those_of_the_original():
    flipped = list(variants(PIXELS, flips=True))
    expected = [PIXELS, PIXELS[:, :, ::-1], PIXELS[:, ::-1], PIXELS[:, ::-1, ::-1]]
    assert len(flipped) == 4
    for variant, pixels in zip(flipped, expected, strict=True):
        assert (variant == pixels).all() and variant.flags.c_contiguous


def test_shifts_fill_with_background():
    image = np.ones((1, 3, 4), np.uint16)
    assert shift_pixels(image, 1, -1)[0].tolist() == [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert shift_pixels(image, -2, 0)[0].tolist() == [[1] * 4, [0] * 4, [0] * 4]
    expected = [[0, 0, 12, 13], [0, 0, 16, 17], [0, 0, 20, 21]]
    assert shift_pixels(PIXELS, 0, 2)[1].tolist() == expected


@pytest.mark.parametrize(
    ("flips", "translation", "count"), [(False, 0, 1), (True, 0, 4), (False, 1, 9), (True, 1, 36)]
)
def test_the_variants_all_differ(flips, translation, count):
    images = list(variants(PIXELS, flips=flips, translation=translation))
    assert (images[0] == PIXELS).all()
    assert len({image.tobytes() for image in images}) == len(images) == count


def test_the_mean_over_all_variants():
    # The upper left pixel: under flips it is each of the four corners in turn.
    corner = average_variants(lambda p: p[:, 0, 0].astype(np.float32), PIXELS, flips=True)
    assert corner.tolist() == [(0 + 3 + 8 + 11) / 4, (12 + 15 + 20 + 23) / 4]
    assert corner.dtype == np.float32
    several = average_variants(lambda p: np.zeros((len(p), 5), np.float32), PIXELS, translation=1)
    assert several.shape == (2, 5)


@pytest.mark.parametrize("translation", [-1, 3])
def test_a_shift_out_of_the_image_is_an_error(translation):
    with pytest.raises(RecipeError, match="shifted by this much"):
        list(variants(PIXELS, translation=translation))
