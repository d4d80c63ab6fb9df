import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.evaluation.averaging import averaged, shifted, variants

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)


def test_flips_are_the_originals():
    found = list(variants(PIXELS, flips=True))
    expected = [PIXELS, PIXELS[:, :, ::-1], PIXELS[:, ::-1], PIXELS[:, ::-1, ::-1]]
    assert len(found) == 4
    for one, other in zip(found, expected, strict=True):
        assert (one == other).all() and one.flags.c_contiguous


def test_shifts_bring_in_background():
    one = np.ones((1, 3, 4), np.uint16)
    assert shifted(one, 1, -1)[0].tolist() == [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert shifted(one, -2, 0)[0].tolist() == [[1] * 4, [0] * 4, [0] * 4]
    assert shifted(PIXELS, 0, 2)[1].tolist() == [[0, 0, 12, 13], [0, 0, 16, 17], [0, 0, 20, 21]]


@pytest.mark.parametrize(
    ("flips", "translation", "count"), [(False, 0, 1), (True, 0, 4), (False, 1, 9), (True, 1, 36)]
)
def test_counts_and_that_all_differ(flips, translation, count):
    found = list(variants(PIXELS, flips=flips, translation=translation))
    assert (found[0] == PIXELS).all()
    assert len({one.tobytes() for one in found}) == len(found) == count


def test_the_mean_over_all():
    # The upper left pixel: under flips it is each of the four corners in turn.
    corner = averaged(lambda p: p[:, 0, 0].astype(np.float32), PIXELS, flips=True)
    assert corner.tolist() == [(0 + 3 + 8 + 11) / 4, (12 + 15 + 20 + 23) / 4]
    assert corner.dtype == np.float32
    shape = averaged(lambda p: np.zeros((len(p), 5), np.float32), PIXELS, translation=1).shape
    assert shape == (2, 5)


@pytest.mark.parametrize("translation", [-1, 3])
def test_a_shift_out_of_the_image_is_told(translation):
    with pytest.raises(RecipeError, match="shifted by this much"):
        list(variants(PIXELS, translation=translation))
