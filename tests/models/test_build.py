"""Patch networks: sizes, names, weights, files."""

from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import (
    NETWORKS,
    NetworkConfig,
    build_patch_network,
    describe,
    load_model,
    network_of,
    save_model,
)


def images(network: str, side: int, count: int = 2) -> np.ndarray:
    shape = (count, side, side, NETWORKS[network].channels)
    return np.random.default_rng(0).normal(0, 60, shape).astype(np.float32)


def test_multiply_adds() -> None:
    compact = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, 0)
    # By hand: 56² x 9x16 + 28² x 9x(16x24 + 24x24) + 14² x 9x(24x48 + 48x48)
    # + 7² x 9x(48x96 + 96x96) + 96x5.
    assert describe(compact, (56, 56))["multiply_adds"] == 19_418_592
    assert describe(compact)["multiply_adds"] is None
    # docs/original-system.md, "Counts of operations": VGG16 without a head at 224x224, 15.35 GMAC.
    vgg = build_patch_network(NetworkConfig(name="vgg16"), (224, 224), 5, 0)
    assert describe(vgg, (224, 224))["multiply_adds"] == pytest.approx(15.35e9, rel=0.001)


@pytest.mark.parametrize("name", ["compact", "yaroslav"])
def test_weights_depend_on_the_seed_only(name: str) -> None:
    keras.utils.set_random_seed(5)
    first = build_patch_network(NetworkConfig(name=name), (64, 64), 3, seed=1).get_weights()
    keras.utils.set_random_seed(6)
    build_patch_network(NetworkConfig(name="compact"), (64, 64), 4, seed=9)
    same = build_patch_network(NetworkConfig(name=name), (64, 64), 3, seed=1).get_weights()
    other = build_patch_network(NetworkConfig(name=name), (64, 64), 3, seed=2).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_applications_use_the_seed() -> None:
    first, same = (
        build_patch_network(NetworkConfig(name="vgg16"), (32, 32), 2, seed=1) for _ in range(2)
    )
    for layer in ("block1_conv1", "block5_conv3"):
        a, b = (model.get_layer(layer).get_weights()[0] for model in (first, same))
        assert np.array_equal(a, b)
        assert a.std() > 0


def test_smallest_patch_is_accepted() -> None:
    model = build_patch_network(NetworkConfig(name="compact"), (16, 16), 2, 0)
    assert model.predict_on_batch(images("compact", 16)).shape == (2, 2)


def test_a_single_class_is_rejected() -> None:
    with pytest.raises(ModelError, match="2 classes"):
        build_patch_network(NetworkConfig(name="compact"), (56, 56), 1, 0)


def test_files_load_in_safe_mode(tmp_path: Path) -> None:
    config = NetworkConfig(name="compact", dropout=0.5)
    model = build_patch_network(config, (56, 56), 5, seed=1)
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    x = images("compact", 56)
    assert np.array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))
    assert network_of(loaded).name == "compact"
    with pytest.raises(ModelError, match="No model file"):
        load_model(tmp_path / "other.keras")
    with pytest.raises(ModelError, match=r"ending in \.keras"):
        save_model(model, tmp_path / "model.h5")


def test_an_unknown_model_name_is_rejected() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(ModelError, match="not built on a registered network"):
        network_of(keras.Model(inputs, inputs, name="mystery"))


def test_exports() -> None:
    import mammo_core.models as models

    assert all(hasattr(models, name) for name in models.__all__)
    with pytest.raises(AttributeError):
        _ = models.nothing
