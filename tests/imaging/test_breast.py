import json
import os
from pathlib import Path

import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.imaging import breast_mask, breast_share, segment_breast

REAL = Path(
    os.environ.get("MAMMO_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
GOLDEN = REAL / "original_golden"


def golden_cases():
    file = GOLDEN / "preprocess_segment_breast.json"
    return json.loads(file.read_text())["cases"] if file.exists() else []


@pytest.mark.real
@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case["out"])
def test_the_result_equals_that_of_the_original(case):
    # Recorded by running the original (OpenCV 3.4): shared/data/original_golden.
    vectors = np.load(GOLDEN / "preprocess_segment_breast.npz")
    image, box = segment_breast(vectors[case["inp"]], case["low_int_threshold"], case["crop"])
    expected = vectors[case["out"]]
    assert list(box) == case["bbox_xywh"]
    assert image.dtype == expected.dtype
    assert image.shape == expected.shape
    assert np.abs(image.astype(np.float64) - expected.astype(np.float64)).max() <= 1


@pytest.mark.real
def test_the_golden_vectors_are_complete():
    if not GOLDEN.exists():
        pytest.skip(f"no real data in {REAL}")
    assert len(golden_cases()) == 48  # 8 inputs x 3 thresholds x crop


def test_the_largest_object_is_kept_and_the_label_removed():
    image = np.zeros((60, 40), np.uint16)
    image[10:50, 0:20] = 30000  # the breast
    image[2:6, 30:38] = 65535  # a film label, brighter but smaller
    breast, box = segment_breast(image)
    assert box == (0, 10, 20, 40)
    assert breast.shape == (40, 20)
    assert (breast == 30000).all()
    whole, _ = segment_breast(image, crop=False)
    assert whole.shape == image.shape
    assert whole[3, 33] == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 20), np.uint16),
        np.zeros((0, 20), np.uint16),
        np.zeros((4, 4, 3), np.uint16),
    ],
)
def test_an_image_without_a_breast_is_an_error(image):
    with pytest.raises(RecipeError, match="No breast was found"):
        breast_mask(image)


def test_breast_share():
    patch = np.zeros((10, 10), np.uint16)
    patch[:, :4] = 20000
    patch[:, 4:] = 3000  # below 5 % of the full range
    assert breast_share(patch) == pytest.approx(0.4)
    assert breast_share(patch > 0) == 1.0
    assert breast_share(patch[:0]) == 0.0


def test_a_background_that_is_not_black_is_left_out():
    from mammo_core.imaging import background_level, suppress_artifacts

    y, x = np.meshgrid(np.linspace(-1, 1, 120), np.linspace(0, 1, 90), indexing="ij")
    inside = y**2 + (x / 0.7) ** 2 < 0.7
    random = np.random.default_rng(1)
    film = np.where(inside, 30000, 9000) + random.integers(-400, 400, inside.shape)
    film = film.astype(np.uint16)
    level = background_level(film)
    assert level == pytest.approx(9000, abs=300)
    # Without the level, the background is above the threshold, and everything is the breast.
    assert breast_mask(film)[0].all()
    mask, (left, top, width, height) = breast_mask(film, background=level)
    assert np.mean(mask == inside) > 0.98
    breast, box = segment_breast(film, background=level)
    assert box == (left, top, width, height) and breast.shape == (height, width) != film.shape
    assert breast[height // 2, 0] == film[top + height // 2, left]  # gray levels are kept
    kept, _ = suppress_artifacts(film, background=level)
    assert (kept[:10, 80:] == 0).all() and (kept[60, :20] == film[60, :20]).all()


def test_a_dark_background_needs_no_attention():
    from mammo_core.imaging import background_level

    y, x = np.meshgrid(np.linspace(-1, 1, 120), np.linspace(0, 1, 90), indexing="ij")
    for level in (0, 1500):
        film = np.where(y**2 + (x / 0.7) ** 2 < 0.7, 40000 + 9000 * y, level).astype(np.uint16)
        assert background_level(film) == 0
