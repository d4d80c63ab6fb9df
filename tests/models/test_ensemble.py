import keras
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import (
    HeadConfig,
    NetworkConfig,
    TwoViewConfig,
    build_patch_network,
    load_model,
    network_of,
    save_model,
    to_two_views,
    to_whole_image,
    two_view_config,
)
from mammo_core.models.build import blocks
from mammo_core.models.ensemble import average
from mammo_core.training.config import StageConfig
from mammo_core.training.stages import set_trainable


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


def _whole(seed, two_view=None):
    patches = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=seed)
    head = HeadConfig(depths=(8,), repetitions=(1,))
    whole = to_whole_image(patches, head, (64, 48), classes=2, seed=seed)
    return whole if two_view is None else to_two_views(whole, two_view)


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    """An ensemble of two networks, saved and loaded as in a package."""
    path = tmp_path_factory.mktemp("ensemble") / "model.keras"
    save_model(average([_whole(1), _whole(2)], [1.0, 2.0]), path)
    return load_model(path)


@pytest.mark.parametrize("train", ["all", "top", "head"])
def test_a_stage_trains_the_same_blocks_of_all_members(ensemble, train):
    single = _whole(1)
    stage = StageConfig(train=train, learning_rate=1e-3, epochs=1)
    assert network_of(ensemble).name == "compact" and blocks(ensemble) == blocks(single)
    assert set_trainable(ensemble, stage) == set_trainable(single, stage)
    of_one, of_both = (
        sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        for model in (single, ensemble)
    )
    assert of_both == 2 * of_one > 0


def test_members_of_several_networks_are_refused_by_their_names():
    mixed = average([_network(1), _whole_like_compact()], [1.0, 1.0])
    with pytest.raises(ModelError, match=r"not built on one network.*compact_whole, same_name"):
        network_of(mixed)


def _whole_like_compact():
    network = _network(2)
    network.name = "compact_whole"
    return network


def test_an_ensemble_of_both_views_is_that_of_its_members():
    shared = TwoViewConfig(towers="shared")
    members = [_whole(seed, shared) for seed in (1, 2)]
    assert two_view_config(average(members, [1.0, 1.0])) == two_view_config(members[0]) == shared
    other = _whole(3, TwoViewConfig(towers="separate"))
    assert two_view_config(average([members[0], other], [1.0, 1.0])) is None
