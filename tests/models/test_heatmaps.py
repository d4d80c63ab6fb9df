"""Heatmaps: the same values as patch by patch, at the right positions."""

from pathlib import Path

import keras
import keras2_files
import keras2_networks
import numpy as np
import pytest
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models import (
    NetworkConfig,
    build_patch_network,
    coordinates,
    fully_convolutional,
    heatmap,
    image_heatmap,
    import_keras2,
    sliding_window,
)


@pytest.fixture(scope="module")
def patch_model() -> keras.Model:
    return build_patch_network(NetworkConfig(name="compact", dropout=0.2), (56, 56), 5, seed=1)


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 60, (2, height, width, 1)).astype(np.float32)


def test_a_single_patch_gets_the_classifiers_output(patch_model: keras.Model) -> None:
    x = images(56, 56)
    maps = heatmap(patch_model, x, 56)
    assert maps.shape == (2, 1, 1, 5)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps[:, 0, 0], patch_model(x), rtol=0, atol=1e-6)


def test_every_cell_is_the_classifier_on_its_features(patch_model: keras.Model) -> None:
    x = images(96, 80)
    maps = heatmap(patch_model, x, 56)
    # 96 / 16 = 6 and 80 / 16 = 5 feature cells, 56 / 16 = 3 of them to a patch.
    assert maps.shape == (2, 4, 3, 5)
    features = keras.Model(patch_model.inputs[0], patch_model.get_layer("block4_out").output)
    cells = np.asarray(features(x))
    kernel, bias = patch_model.get_layer("predictions").get_weights()
    for row in range(4):
        for column in range(3):
            pooled = cells[:, row : row + 3, column : column + 3].mean(axis=(1, 2))
            logits = pooled @ kernel + bias
            expected = np.exp(logits - logits.max(1, keepdims=True))
            expected /= expected.sum(1, keepdims=True)
            np.testing.assert_allclose(maps[:, row, column], expected, rtol=0, atol=1e-5)


def test_a_converted_model_gives_the_same_map(patch_model: keras.Model) -> None:
    x = images(96, 80)
    once = fully_convolutional(patch_model, (56, 56))
    assert np.array_equal(heatmap(once, x, 56), heatmap(patch_model, x, 56))
    assert patch_model.layers[-1].name == "predictions"


def test_a_change_appears_at_its_position(patch_model: keras.Model) -> None:
    """The center of mass of the change by a bright square is the center of the square."""
    x = np.zeros((1, 320, 288, 1), np.float32)
    x[:, 150:162, 118:130] = 1
    maps, background = (heatmap(patch_model, image, 56)[0] for image in (x, np.zeros_like(x)))
    change = np.abs(maps - background).sum(-1)
    rows, columns = coordinates(patch_model, (320, 288), 56)
    assert (change.sum(1) * rows).sum() / change.sum() == pytest.approx(155.5, abs=6)
    assert (change.sum(0) * columns).sum() / change.sum() == pytest.approx(123.5, abs=6)


def test_coordinates(patch_model: keras.Model) -> None:
    rows, columns = coordinates(patch_model, (288, 224), (56, 40))
    # 18 - 3 + 1 rows, 14 - 2 + 1 columns; the first of 3 cells (48 pixels) and of 2 (32).
    assert len(rows), len(columns) == (16, 13)
    assert rows[0] == 23.5
    assert columns[0] == 15.5
    assert set(np.diff(rows)) == {16.0}


@pytest.mark.parametrize("shape", [(40, 200), (200, 40)])
def test_an_image_smaller_than_a_patch_is_rejected(
    patch_model: keras.Model, shape: tuple[int, int]
) -> None:
    with pytest.raises(ModelError, match="no room for a patch"):
        heatmap(patch_model, images(*shape), 56)
    with pytest.raises(ModelError, match="too small for compact"):
        fully_convolutional(patch_model, 8)


def unpadded() -> keras.Model:
    """Return a network without padding: the edge of a window is like any other position."""
    inputs = keras.Input((None, None, 1))
    x = inputs
    for filters in (6, 8):
        x = layers.Conv2D(filters, 3)(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(2)(layers.Activation("relu")(x))
    x = layers.Conv2D(10, 3, strides=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x), name="unpadded")
    return keras2_files.randomize(model)


@pytest.mark.parametrize("stride", [8, 4, 2])
def test_without_padding_one_pass_is_the_sliding_window(stride: int) -> None:
    model = unpadded()
    # 4 cells: 2 * 4 + 1 = 9 before the strides, 18 before the pool, 20, 40, 42 pixels.
    image = np.random.default_rng(0).normal(0, 1, (117, 99, 1)).astype(np.float32)
    single = image_heatmap(model, image, 42, stride=stride)
    rows, columns = (np.arange(len(axis)) * stride for axis in (single.rows, single.columns))
    window = sliding_window(model, image, 42, stride, starts=(rows, columns))
    assert window.values.shape == single.values.shape
    np.testing.assert_allclose(single.values, window.values, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(single.rows, window.rows)
    np.testing.assert_array_equal(single.columns, window.columns)
    assert single.values.std() > 0.05


def original_patch_network(real_data: Path) -> keras.Model:
    model, _ = import_keras2(real_data / "original_golden" / "models" / "tiny_gray_patch.h5")
    return model


@pytest.mark.parametrize(
    ("name", "shape", "patch", "stride", "finer", "tile"),
    [
        ("compact", (331, 280), 56, 16, 8, 160),
        ("unpadded", (117, 98), 46, 8, 2, 60),
        ("tiny_gray_patch", (201, 163), 48, 8, 4, 100),
        pytest.param("resnet50", (811, 790), 224, 32, 16, 740, marks=pytest.mark.slow),
    ],
)
def test_one_pass_tiles_and_shifts_agree(
    name: str, shape: tuple[int, int], patch: int, stride: int, finer: int, tile: int,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    build = {
        "compact": lambda: build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, 1),
        "unpadded": unpadded,
        "tiny_gray_patch": lambda: original_patch_network(request.getfixturevalue("real_data")),
        "resnet50": keras2_networks.resnet50,
    }[name]
    model = fully_convolutional(build(), patch)
    channels = model.inputs[0].shape[-1]
    image = np.random.default_rng(0).normal(0, 1, (*shape, channels)).astype(np.float32)
    single = image_heatmap(model, image, patch)
    assert set(np.diff(single.rows)) == {stride}
    fine = image_heatmap(model, image, patch, stride=finer)
    step = stride // finer
    np.testing.assert_allclose(fine.values[::step, ::step], single.values, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(fine.rows[::step], single.rows)
    assert fine.values.shape[:2] == tuple(step * (n - 1) + 1 for n in single.values.shape[:2])
    # The positions between are those of the shifted image.
    cut = tuple(slice(finer, finer + side - stride) for side in shape)
    between = image_heatmap(model, image[cut], patch)
    np.testing.assert_allclose(fine.values[1::step, 1::step], between.values, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(fine.columns[1::step], between.columns + finer)
    tiled = image_heatmap(model, image, patch, stride=finer, tile=tile)
    np.testing.assert_allclose(tiled.values, fine.values, rtol=0, atol=1e-4)
    assert single.values.std() > 1e-3
    coarse = image_heatmap(model, image, patch, stride=2 * stride)
    np.testing.assert_array_equal(coarse.values, single.values[::2, ::2])
    np.testing.assert_array_equal(coarse.rows, single.rows[::2])


def test_a_tile_bounds_the_size_of_the_networks_input() -> None:
    model = fully_convolutional(unpadded(), 42)
    sizes: list[tuple[int, ...]] = []
    predict = model.predict_on_batch

    def record_size(x: np.ndarray) -> np.ndarray:
        sizes.append(x.shape[1:3])
        return predict(x)

    model.predict_on_batch = record_size
    heatmap(model, images(300, 200), 42, tile=90)
    assert len(sizes) > 10
    assert max(map(max, sizes)) <= 90
    with pytest.raises(ModelError, match="tile of 40 pixels is too small"):
        heatmap(model, images(300, 200), 42, tile=40)


def test_a_pool_before_the_global_one_drops_cells() -> None:
    """ResNet50 of Keras 2.0.8 pools 7x7 cells first: it uses 7 of the 8 cells of a 256 patch."""
    model = keras2_files.randomize(keras2_networks.resnet50())
    x = np.random.default_rng(0).normal(0, 1, (1, 256, 256, 3)).astype(np.float32)
    maps = heatmap(model, x, 256)
    assert maps.shape == (1, 1, 1, 5)
    np.testing.assert_allclose(maps[:, 0, 0], model(x), rtol=0, atol=1e-5)
    with pytest.raises(ModelError, match="too small for model_1"):
        fully_convolutional(model, 190)


def test_unsupported_strides_and_models_are_rejected(patch_model: keras.Model) -> None:
    with pytest.raises(ModelError, match="divisor or a multiple"):
        heatmap(patch_model, images(96, 80), 56, stride=5)
    inputs = keras.Input((56, 56, 1))
    flat = layers.Dense(2, activation="softmax")(layers.Flatten()(inputs))
    with pytest.raises(ModelError, match="cannot be made fully convolutional"):
        fully_convolutional(keras.Model(inputs, flat, name="flat"), 56)
