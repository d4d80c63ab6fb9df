"""Heatmaps: the same numbers as a patch at a time, in the right places."""

import keras
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import (
    NetworkConfig,
    build_patch_network,
    coordinates,
    fully_convolutional,
    heatmap,
)


@pytest.fixture(scope="module")
def patch_model() -> keras.Model:
    return build_patch_network(NetworkConfig(name="compact", dropout=0.2), (56, 56), 5, seed=1)


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 60, (2, height, width, 1)).astype(np.float32)


def test_one_patch_gives_the_classifiers_answer(patch_model: keras.Model) -> None:
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


def test_made_once_or_each_time_is_the_same(patch_model: keras.Model) -> None:
    x = images(96, 80)
    once = fully_convolutional(patch_model, (56, 56))
    assert np.array_equal(heatmap(once, x, 56), heatmap(patch_model, x, 56))
    assert patch_model.layers[-1].name == "predictions"


def test_a_change_shows_where_it_was_made(patch_model: keras.Model) -> None:
    """The centre of mass of what a bright square changes is the square's centre."""
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
def test_an_image_smaller_than_a_patch_is_refused(
    patch_model: keras.Model, shape: tuple[int, int]
) -> None:
    with pytest.raises(ModelError, match="no room for a patch"):
        heatmap(patch_model, images(*shape), 56)
    with pytest.raises(ModelError, match="too small for compact"):
        fully_convolutional(patch_model, 8)
