import numpy as np
import pytest
from pydantic import ValidationError

from mammo_core.errors import RecipeError
from mammo_core.imaging import equalize_hist
from mammo_core.preprocessing import RESCALE_FACTOR, Geometry, Preprocessing

GEOMETRY = Geometry(height=48, width=32)
BATCH = np.random.default_rng(1).integers(0, 65536, (3, 48, 32), dtype=np.uint16)


def test_json_round_trip():
    made = Preprocessing(geometry=GEOMETRY, mean=52.18, equalize=True, channels=3)
    assert Preprocessing.model_validate_json(made.model_dump_json()) == made


def test_default_rescale_factor():
    # 255 / 65535; the original system writes 0.003891.
    assert abs(RESCALE_FACTOR - 0.003891) < 1e-7
    assert Preprocessing(geometry=GEOMETRY, mean=0).rescale_factor == RESCALE_FACTOR


def test_frozen_and_closed():
    made = Preprocessing(geometry=GEOMETRY, mean=1)
    with pytest.raises(ValidationError):
        made.mean = 2
    for wrong in (
        {"mean": float("nan")},
        {"mean": 1, "channels": 2},
        {"mean": 1, "bit_depth": 12},
        {"mean": 1, "rescale_factor": 0},
        {"mean": 1, "extra": 1},
        {},
    ):
        with pytest.raises(ValidationError):
            Preprocessing(geometry=GEOMETRY, **wrong)
    with pytest.raises(ValidationError):
        Geometry(height=0, width=3)


def test_to_geometry():
    made = Preprocessing(geometry=GEOMETRY, mean=0)
    image = np.random.default_rng(2).integers(0, 65536, (96, 64), dtype=np.uint16)
    sized = made.to_geometry(image)
    assert (sized.shape, sized.dtype) == ((48, 32), np.uint16)
    assert np.array_equal(sized, GEOMETRY.apply(image))
    assert np.array_equal(made.to_geometry(BATCH[0]), BATCH[0])
    eight = Preprocessing(geometry=GEOMETRY, mean=0, bit_depth=8).to_geometry(image)
    assert (eight % 257 == 0).all()
    assert np.abs(eight.astype(int) - sized).max() <= 129


@pytest.mark.parametrize("channels", [1, 3])
def test_to_network(channels):
    made = Preprocessing(geometry=GEOMETRY, mean=44.33, channels=channels)
    x = made.to_network(BATCH)
    assert (x.shape, x.dtype) == ((3, 48, 32, channels), np.float32)
    expected = BATCH.astype(np.float64) * RESCALE_FACTOR - 44.33
    assert np.allclose(x[..., 0], expected, atol=1e-4)
    assert (x == x[..., :1]).all()
    assert made.to_network(BATCH[:0]).shape == (0, 48, 32, channels)


def test_white_is_255():
    white = np.full((1, 48, 32), 65535, np.uint16)
    x = Preprocessing(geometry=GEOMETRY, mean=0).to_network(white)
    assert x.max() == pytest.approx(255, abs=1e-4)


def test_equalisation_comes_first_and_goes_image_by_image():
    x = Preprocessing(geometry=GEOMETRY, mean=10, equalize=True).to_network(BATCH)
    for image, got in zip(BATCH, x, strict=True):
        assert np.allclose(got[..., 0], equalize_hist(image).astype(float) - 10, atol=1e-3)


def test_geometry_scale_and_mask():
    padded = Geometry(height=100, width=100, resize="pad")
    assert padded.scale(200, 100) == (0.5, 0.5)
    mask = np.zeros((200, 100), bool)
    mask[100:, 50:] = True
    sized = padded.apply_mask(mask)
    assert sized.shape == (100, 100)
    assert sized[50:, 25:50].all()
    assert sized.sum() == 50 * 25
    assert Geometry(height=50, width=9, resize="height").apply(BATCH[0]).shape == (50, 33)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4, 4), np.uint16)])
def test_other_arrays_are_refused(pixels):
    made = Preprocessing(geometry=GEOMETRY, mean=0)
    for call in (made.to_geometry, made.to_network):
        with pytest.raises(RecipeError, match="cannot be preprocessed"):
            call(pixels)
