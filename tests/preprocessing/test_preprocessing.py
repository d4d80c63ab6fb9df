import numpy as np
import pytest
from pydantic import ValidationError

from mammo_core.errors import RecipeError
from mammo_core.imaging import equalize_hist, statistics, to_eight_bit, to_full_range
from mammo_core.preprocessing import (
    RESCALE_FACTOR,
    Conversion,
    CropPlacement,
    Geometry,
    IntensityConfig,
    Preprocessing,
)

GEOMETRY = Geometry(height=48, width=32)
BATCH = np.random.default_rng(1).integers(0, 65536, (3, 48, 32), dtype=np.uint16)


def test_json_round_trip():
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=52.18, equalize=True, channels=3)
    assert Preprocessing.model_validate_json(preprocessing.model_dump_json()) == preprocessing


def test_default_rescale_factor():
    # 255 / 65535; the original rounds it to 0.003891.
    assert abs(RESCALE_FACTOR - 0.003891) < 1e-7
    assert Preprocessing(geometry=GEOMETRY, mean=0).rescale_factor == RESCALE_FACTOR


def test_the_config_is_frozen_and_rejects_unknown_keys():
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=1)
    with pytest.raises(ValidationError):
        preprocessing.mean = 2
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
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=0)
    image = np.random.default_rng(2).integers(0, 65536, (96, 64), dtype=np.uint16)
    resized = preprocessing.to_geometry(image)
    assert (resized.shape, resized.dtype) == ((48, 32), np.uint16)
    assert np.array_equal(resized, GEOMETRY.apply(image))
    assert np.array_equal(preprocessing.to_geometry(BATCH[0]), BATCH[0])
    eight = Preprocessing(geometry=GEOMETRY, mean=0, bit_depth=8).to_geometry(image)
    assert (eight % 257 == 0).all()
    assert np.abs(eight.astype(int) - resized).max() <= 129


@pytest.mark.parametrize("channels", [1, 3])
def test_to_network(channels):
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=44.33, channels=channels)
    x = preprocessing.to_network(BATCH)
    assert (x.shape, x.dtype) == ((3, 48, 32, channels), np.float32)
    expected = BATCH.astype(np.float64) * RESCALE_FACTOR - 44.33
    assert np.allclose(x[..., 0], expected, atol=1e-4)
    assert (x == x[..., :1]).all()
    assert preprocessing.to_network(BATCH[:0]).shape == (0, 48, 32, channels)


def test_white_is_255():
    white = np.full((1, 48, 32), 65535, np.uint16)
    x = Preprocessing(geometry=GEOMETRY, mean=0).to_network(white)
    assert x.max() == pytest.approx(255, abs=1e-4)


def test_each_image_is_equalized_first():
    x = Preprocessing(geometry=GEOMETRY, mean=10, equalize=True).to_network(BATCH)
    for image, result in zip(BATCH, x, strict=True):
        assert np.allclose(result[..., 0], equalize_hist(image).astype(float) - 10, atol=1e-3)


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
def test_other_arrays_are_rejected(pixels):
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=0)
    for call in (preprocessing.to_geometry, preprocessing.to_network):
        with pytest.raises(RecipeError, match="cannot be preprocessed"):
            call(pixels)


def test_image_max_scales_each_maximum_to_the_target():
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=59.6, intensity="image_max")
    batch = np.stack([BATCH[0] // 4, BATCH[1], np.zeros_like(BATCH[0])])
    scaled = preprocessing.to_network(batch)[..., 0] + 59.6
    for image, values in zip(batch, scaled, strict=True):
        # read_resize_img of the original: img * target_scale / max, a maximum of 0 is kept.
        expected = image * (255 / max(int(image.max()), 1))
        assert np.allclose(values, expected, atol=1e-3)
    assert preprocessing.to_network(batch[:0]).shape == (0, 48, 32, 1)


def test_image_max_with_equalization():
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=0, intensity="image_max", equalize=True)
    dark = BATCH[:1] // 16
    assert np.array_equal(
        preprocessing.to_network(dark)[0, ..., 0], equalize_hist(to_eight_bit(dark[0]))
    )
    half = preprocessing.model_copy(update={"target_scale": 127.5})
    assert np.allclose(half.to_network(dark), preprocessing.to_network(dark) / 2)


@pytest.mark.parametrize(
    "parameters",
    [
        {"intensity": "image_max", "rescale_factor": 0.5},
        {"intensity": "rescale", "target_scale": 1.0},
    ],
)
def test_the_two_regimes_exclude_each_other(parameters):
    with pytest.raises(ValidationError, match="uses"):
        Preprocessing(geometry=GEOMETRY, mean=0, **parameters)


@pytest.mark.parametrize("equalize", [False, True])
@pytest.mark.parametrize("regime", ["rescale", "image_max"])
def test_the_mean_of_a_frame_is_the_mean_of_network_inputs(regime, equalize):
    images = np.stack([BATCH[0] // 5, BATCH[1], BATCH[2] // 2])
    config = IntensityConfig(regime=regime, equalize=equalize)
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=0, intensity=regime, equalize=equalize)
    rows = [statistics(image) for image in images]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert config.mean(columns) == pytest.approx(
        float(preprocessing.to_network(images).mean()), rel=1e-3
    )


def test_a_target_scale_needs_its_regime():
    with pytest.raises(ValidationError, match="image_max"):
        IntensityConfig(target_scale=1)
    assert IntensityConfig(regime="image_max", target_scale=1).target_scale == 1


def breast(side: str = "right") -> np.ndarray:
    """A 12-bit breast of 100 x 60 pixels in an image of 160 x 120, and a label."""
    image = np.zeros((160, 120), np.uint16)
    image[30:130, 60:] = 2000 + np.arange(60)
    image[5:12, 5:25] = 4095
    return image if side == "right" else image[:, ::-1]


def test_the_default_conversion_only_stretches():
    converted, placement = Conversion().apply(breast(), 12, "RIGHT")
    assert np.array_equal(converted, to_full_range(breast(), 12))
    assert placement == CropPlacement()


def test_masks_follow_crop_and_orientation():
    conversion = Conversion(crop_to_breast=True, orientation="chest_left")
    converted, placement = conversion.apply(breast(), 12, "RIGHT")
    assert placement == CropPlacement(box=(60, 30, 60, 100), flipped=True)
    assert converted.shape == (100, 60)
    assert np.array_equal(converted, to_full_range(breast()[30:130, 60:][:, ::-1], 12))
    mask = np.zeros((160, 120), bool)
    mask[40:50, 110:] = True  # at the chest wall
    assert placement.apply(mask)[10:20, :10].all() and placement.apply(mask).sum() == 100


def test_the_tissue_decides_if_the_laterality_is_unknown():
    for side in ("left", "right"):
        _, placement = Conversion(orientation="chest_right").apply(breast(side), 12)
        assert placement.flipped == (side == "left")


def test_artifacts_are_suppressed_and_the_median_filter_keeps_the_breast():
    converted, _ = Conversion(suppress_artifacts=True, median_filter=3).apply(breast(), 12)
    assert converted[5:12, 5:25].max() == 0 and converted[80, 100] > 0


def test_an_image_without_a_breast_is_an_error():
    with pytest.raises(RecipeError, match="No breast"):
        Conversion(crop_to_breast=True).apply(np.zeros((99, 99), np.uint16), 12)


def test_from_source_converts_and_then_resizes():
    conversion = Conversion(stretch="min_max", orientation="chest_left")
    preprocessing = Preprocessing(geometry=GEOMETRY, mean=0, conversion=conversion)
    converted, _ = conversion.apply(breast(), 12, "RIGHT")
    assert np.array_equal(
        preprocessing.from_source(breast(), 12, "RIGHT"), preprocessing.to_geometry(converted)
    )
    # The defaults only stretch and resize.
    plain = Preprocessing(geometry=GEOMETRY, mean=0)
    assert np.array_equal(
        plain.from_source(breast(), 12), plain.to_geometry(to_full_range(breast(), 12))
    )


@pytest.mark.parametrize(
    ("option", "code"),
    [("crop_to_breast", "not_cropped"), ("suppress_artifacts", "artifacts_kept")],
)
def test_a_breast_without_background_is_noted(option, code):
    conversion = Conversion(**{option: True})
    y, x = np.mgrid[:120, :90]
    film = np.where((y - 60) ** 2 + x**2 < 50**2, 3000 + 10 * y, 800).astype(np.uint16)
    converted, placement = conversion.apply(film, 12)
    assert placement.notes == () and np.count_nonzero(converted) < 0.6 * film.size
    whole = (2000 + 10 * y + 5 * x).astype(np.uint16)
    converted, placement = conversion.apply(whole, 12)
    assert [name for name, _ in placement.notes] == [code]
    assert converted.shape == whole.shape
