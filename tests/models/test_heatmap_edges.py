"""Heatmaps up to the edges of the image: the map of windows over the extended image."""

import keras
import numpy as np
import pytest
from keras import layers

from mammo_core.models import (
    NetworkConfig,
    build_patch_network,
    coordinates,
    extended_heatmap,
    heatmap,
    image_heatmap,
    sliding_window,
)

SIDE = 56


@pytest.fixture(scope="module")
def patch_model() -> keras.Model:
    return build_patch_network(NetworkConfig(name="compact", dropout=0.0), (SIDE, SIDE), 5, seed=1)


@pytest.fixture(scope="module")
def unpadded() -> keras.Model:
    """A network without padding: one pass and windows return the same."""
    keras.utils.set_random_seed(3)
    image = keras.Input((None, None, 1))
    x = layers.Conv2D(4, 5, strides=2, activation="relu")(image)
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 60, (2, height, width, 1)).astype(np.float32)


@pytest.mark.parametrize("extension", ["black", "reflect", "zero"])
@pytest.mark.parametrize("shape", [(96, 80), (97, 83), (56, 56)])
def test_inside_it_is_the_map_of_one_pass(patch_model, extension, shape):
    x = images(*shape)
    maps, rows, columns = extended_heatmap(patch_model, x, SIDE, extension=extension)
    assert maps.shape == (2, len(rows), len(columns), 5)
    inner_rows, inner_columns = coordinates(patch_model, shape, SIDE)
    inside = maps[:, np.isin(rows, inner_rows)][:, :, np.isin(columns, inner_columns)]
    assert np.array_equal(inside, heatmap(patch_model, x, SIDE))
    assert set(inner_rows) <= set(rows) and set(inner_columns) <= set(columns)
    assert rows[0] <= 0 and rows[-1] >= shape[0] - 1 and np.ptp(np.diff(rows)) == 0
    assert columns[0] <= 0 and columns[-1] >= shape[1] - 1
    step = rows[1] - rows[0]
    assert rows[0] > -step and columns[-1] < shape[1] - 1 + step


@pytest.mark.parametrize("extension", ["reflect", "zero"])
def test_without_padding_it_is_the_map_of_windows(unpadded, extension):
    x = images(45, 38)
    maps, rows, columns = extended_heatmap(unpadded, x, 20, extension=extension)
    offset = [float(line[0]) for line in coordinates(unpadded, (20, 20), 20)]
    before = [int(first - line[0]) for first, line in zip(offset, (rows, columns), strict=True)]
    after = [
        max(0, int(line[-1] - first) + 20 - side)
        for first, line, side in zip(offset, (rows, columns), (45, 38), strict=True)
    ]
    mode = "reflect" if extension == "reflect" else "constant"
    wide = np.pad(x[0], (*zip(before, after, strict=True), (0, 0)), mode)
    starts = tuple((line - line[0]).astype(np.int64) for line in (rows, columns))
    windows = sliding_window(unpadded, wide, 20, 4, starts=starts)
    np.testing.assert_allclose(maps[0], windows.values, rtol=0, atol=1e-4)


def test_black_is_the_darkest_level_of_each_image(unpadded):
    x = images(45, 38)
    maps, rows, columns = extended_heatmap(unpadded, x, 20, extension="black")
    for k, image in enumerate(x):
        wide = np.pad(image, ((40, 40), (40, 40), (0, 0)), constant_values=image.min())
        plain = image_heatmap(unpadded, wide, 20)
        at = np.isin(plain.rows - 40, rows), np.isin(plain.columns - 40, columns)
        np.testing.assert_allclose(maps[k], plain.values[at[0]][:, at[1]], rtol=0, atol=1e-4)


def test_far_from_the_edges_nothing_changes(unpadded):
    x = images(45, 38)
    maps, rows, columns = extended_heatmap(unpadded, x, 20)
    plain = heatmap(unpadded, x, 20)
    inner_rows, inner_columns = coordinates(unpadded, (45, 38), 20)
    kept = maps[:, np.isin(rows, inner_rows)][:, :, np.isin(columns, inner_columns)]
    np.testing.assert_allclose(kept, plain, rtol=0, atol=1e-6)
