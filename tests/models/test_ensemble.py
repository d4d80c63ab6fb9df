import keras
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import load_model, save_model
from mammo_core.models.ensemble import average


def _network(seed: int, channels: int = 1) -> keras.Model:
    inputs = keras.Input((8, 6, channels))
    kernel = keras.initializers.GlorotUniform(seed)
    x = keras.layers.Flatten()(inputs)
    outputs = keras.layers.Dense(2, activation="softmax", kernel_initializer=kernel)(x)
    return keras.Model(inputs, outputs, name="same_name")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(size=(5, 8, 6, 1)).astype("float32")


def test_the_weighted_mean_of_probabilities(pixels, tmp_path):
    first, second = _network(1), _network(2)
    both = average([first, second], [3.0, 1.0])
    expected = 0.75 * first.predict_on_batch(pixels) + 0.25 * second.predict_on_batch(pixels)
    np.testing.assert_allclose(both.predict_on_batch(pixels), expected, atol=1e-6)
    save_model(both, tmp_path / "both.keras")
    again = load_model(tmp_path / "both.keras")
    np.testing.assert_array_equal(again.predict_on_batch(pixels), both.predict_on_batch(pixels))


def test_the_average_of_a_single_network_is_that_network(pixels):
    network = _network(1)
    np.testing.assert_allclose(
        average([network], [0.1]).predict_on_batch(pixels),
        network.predict_on_batch(pixels),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("channels", "weights"), [((1, 3), (1.0, 1.0)), ((1, 1), (1.0,)), ((1, 1), (1.0, 0.0))]
)
def test_networks_that_do_not_fit_are_rejected(channels, weights):
    networks = [_network(seed, number) for seed, number in enumerate(channels)]
    with pytest.raises(ModelError, match="cannot be averaged"):
        average(networks, weights)
