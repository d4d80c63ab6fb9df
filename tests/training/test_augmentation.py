"""Augmentation: the original's pixels, and parameters that depend on the record only."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from pydantic import ValidationError

from mammo_core.training import AugmentationConfig
from mammo_core.training.augmentation import AugmentationParameters, augment, draw_parameters

REAL = Path(
    os.environ.get("MAMMO_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
STILL = {"rotation_degrees": 0, "shear": 0, "zoom": (1, 1), "intensity_shift": 0}


def images(count: int = 3, height: int = 24, width: int = 20, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-50, 200, (count, height, width, channels)).astype(np.float32)


def parameters(count: int, **values: object) -> AugmentationParameters:
    plain = {
        "rotation": np.zeros(count),
        "shear": np.zeros(count),
        "zoom_rows": np.ones(count),
        "zoom_columns": np.ones(count),
        "shift": np.zeros((count, 1)),
        "flip_rows": np.zeros(count, bool),
        "flip_columns": np.zeros(count, bool),
    }
    return AugmentationParameters(**{**plain, **values})  # type: ignore[arg-type]


def run(x: np.ndarray, drawn: AugmentationParameters, config: AugmentationConfig) -> np.ndarray:
    return np.array(ops.convert_to_numpy(augment(x, drawn, config)))


@pytest.mark.real
@pytest.mark.parametrize("number", range(8))
def test_the_originals_pixels(number: int) -> None:
    """original_golden/generators: Keras 2.0.8 with its recorded parameters."""
    folder = REAL / "original_golden"
    if not (folder / "generators.npz").is_file():
        pytest.skip(f"no {folder}")
    vectors = np.load(folder / "generators.npz")
    drawn = json.loads((folder / "generators.json").read_text())["aug_params"][number]
    changes = parameters(
        1,
        rotation=np.array([drawn["theta_deg"]]),
        shear=np.array([drawn["shear_rad"]]),
        zoom_rows=np.array([drawn["zx"]]),
        zoom_columns=np.array([drawn["zy"]]),
        shift=np.array([drawn["channel_shift"]]),
        flip_columns=np.array([drawn["hflip"]]),
        flip_rows=np.array([drawn["vflip"]]),
    )
    ours = run(vectors["aug_in"][None], changes, AugmentationConfig(per_channel=True))[0]
    differ = (np.abs(ours - vectors[f"aug_{number}"]) > 1e-3).any(axis=-1)
    assert differ.mean() <= 0.005, f"{differ.mean():.2%} of pixels differ"


def test_parameters_do_not_depend_on_the_batch() -> None:
    config = AugmentationConfig()
    ids = ["a", "b", "c", "d"]
    together = draw_parameters(config, 1, ids, 2, 1)
    alone = draw_parameters(config, 1, ["c"], 2, 1)
    assert together.rotation[2] == alone.rotation[0]
    assert together.shift[2] == alone.shift[0]
    x = images(4)
    whole = run(x, together, config)
    assert np.array_equal(run(x[2:3], alone, config)[0], whole[2])
    reordered = run(x[::-1].copy(), draw_parameters(config, 1, ids[::-1], 2, 1), config)
    assert np.array_equal(reordered[::-1], whole)


@pytest.mark.parametrize("change", [("seed", 2), ("epoch", 3), ("ids", ["other"])])
def test_parameters_depend_on_seed_epoch_and_record(change: tuple[str, object]) -> None:
    config = AugmentationConfig()
    options: dict[str, object] = {"seed": 1, "ids": ["a"], "epoch": 2}
    first = draw_parameters(config, channels=1, **options)  # type: ignore[arg-type]
    other = draw_parameters(config, channels=1, **{**options, change[0]: change[1]})  # type: ignore[arg-type]
    assert first.rotation[0] != other.rotation[0]


def test_parameters_fill_their_ranges() -> None:
    ids = [str(number) for number in range(2000)]
    drawn = draw_parameters(AugmentationConfig(), 0, ids, 0, 3)
    for values, low, high in (
        (drawn.rotation, -25, 25),
        (drawn.shear, -0.2, 0.2),
        (drawn.zoom_rows, 0.8, 1.2),
        (drawn.zoom_columns, 0.8, 1.2),
        (drawn.shift, -20, 20),
    ):
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high >= values.max() > high - 0.02 * (high - low)
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    for flips in (drawn.flip_rows, drawn.flip_columns):
        assert flips.mean() == pytest.approx(0.5, abs=0.05)
    assert abs(np.corrcoef(drawn.zoom_rows, drawn.zoom_columns)[0, 1]) < 0.1
    assert drawn.shift.shape == (2000, 1)
    assert draw_parameters(AugmentationConfig(per_channel=True), 0, ids[:5], 0, 3).shift.shape == (
        5,
        3,
    )


def test_disabling_one_change_does_not_affect_the_others() -> None:
    full = draw_parameters(AugmentationConfig(), 0, ["a", "b"], 0, 1)
    still = draw_parameters(AugmentationConfig(rotation_degrees=0), 0, ["a", "b"], 0, 1)
    assert np.array_equal(full.shift, still.shift)
    assert np.array_equal(full.flip_rows, still.flip_rows)
    assert not still.rotation.any()


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_zero_parameters_change_nothing(interpolation: str) -> None:
    x = images()
    config = AugmentationConfig(interpolation=interpolation)  # type: ignore[arg-type]
    np.testing.assert_allclose(run(x, parameters(3), config), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("affine", [True, False])
def test_flips(affine: bool) -> None:
    config = AugmentationConfig() if affine else AugmentationConfig.model_validate(STILL)
    x = images(3)
    changes = parameters(
        3, flip_rows=np.array([True, False, True]), flip_columns=np.array([False, True, True])
    )
    expected = np.stack([x[0, ::-1], x[1, :, ::-1], x[2, ::-1, ::-1]])
    assert np.array_equal(run(x, changes, config), expected)


def test_shift_stays_within_the_images_range() -> None:
    x = images(2, channels=3)
    changes = parameters(2, shift=np.array([[15.0], [-12.0]]))
    changed = run(x, changes, AugmentationConfig.model_validate({**STILL, "intensity_shift": 20}))
    expected = np.stack(
        [
            np.clip(x[0] + 15, x[0].min(), x[0].max()),
            np.clip(x[1] - 12, x[1].min(), x[1].max()),
        ]
    )
    np.testing.assert_allclose(changed, expected, rtol=0, atol=1e-4)


def test_rotation_keeps_gray_images_gray() -> None:
    x = np.repeat(images(4), 3, axis=-1)
    config = AugmentationConfig()
    changed = run(x, draw_parameters(config, 0, list("abcd"), 0, 3), config)
    assert np.array_equal(changed[..., 0], changed[..., 2])
    assert changed.shape == x.shape
    assert not np.array_equal(changed, x)


def test_a_quarter_turn() -> None:
    """About (h / 2 + 0.5, w / 2 + 0.5), the center of Keras 2.0.8, so one row and column off."""
    x = images(1, 21, 21)
    turned = run(x, parameters(1, rotation=np.array([90.0])), AugmentationConfig())[0]
    # Output (r, c) shows input (center - (c - center), center + (r - center)), center 11.
    for row, column in ((5, 5), (12, 3), (20, 10)):
        assert turned[row, column] == x[0, 22 - column, row]


def test_unknown_options_are_rejected() -> None:
    with pytest.raises(ValidationError):
        AugmentationConfig.model_validate({"rotation": 20})
