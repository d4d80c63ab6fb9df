"""Patch networks: sizes, names, weights, files."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import (
    NETWORKS,
    NetworkConfig,
    blocks,
    build_patch_network,
    describe,
    load_model,
    network_of,
    save_model,
)

REAL = Path(
    os.environ.get("MAMMO_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def images(network: str, side: int, count: int = 2) -> np.ndarray:
    shape = (count, side, side, NETWORKS[network].channels)
    return np.random.default_rng(0).normal(0, 60, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "parameters", "side"),
    [
        ("compact", 166_197, 56),
        # The next three: original_golden/README.md, 5 classes.
        ("yaroslav", 5_904_357, 256),
        ("vgg16", 14_717_253, 224),
        pytest.param("resnet50", 23_597_957, 224, marks=pytest.mark.slow),
    ],
)
def test_parameters_and_contract(name: str, parameters: int, side: int) -> None:
    model = build_patch_network(NetworkConfig(name=name), (side, side), 5, seed=1)
    network = network_of(model)
    told = describe(model, (side, side))
    assert told["parameters"] == parameters
    assert told["output_shape"] == [5]
    assert model.input_shape == (None, None, None, network.channels)
    assert model.layers[-1].name == "predictions"
    members = blocks(model)
    assert list(members) == [*network.blocks, "head"]
    assert all(members.values())
    assert members["head"] == ["predictions"]
    # Every layer with weights is in exactly one block.
    weighted = [layer.name for layer in model.layers if layer.weights]
    listed = [layer for names in members.values() for layer in names]
    assert len(listed) == len(set(listed))
    assert set(weighted) <= set(listed)
    features = keras.Model(model.inputs[0], model.get_layer(network.feature).output)
    cells = features.compute_output_shape((1, side, side, network.channels))[1:3]
    assert cells == (side // network.stride, side // network.stride)


def test_multiply_adds() -> None:
    compact = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, 0)
    # By hand: 56² x 9x16 + 28² x 9x(16x24 + 24x24) + 14² x 9x(24x48 + 48x48)
    # + 7² x 9x(48x96 + 96x96) + 96x5.
    assert describe(compact, (56, 56))["multiply_adds"] == 19_418_592
    assert describe(compact)["multiply_adds"] is None
    # anchors.md D3: VGG16 body 15.35 GMAC at 224x224.
    vgg = build_patch_network(NetworkConfig(name="vgg16"), (224, 224), 5, 0)
    assert describe(vgg, (224, 224))["multiply_adds"] == pytest.approx(15.35e9, rel=0.001)


@pytest.mark.real
def test_yaroslav_is_the_originals() -> None:
    path = REAL / "original_golden" / "summaries" / "patch_yaroslav_5cls.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    original = [layer for layer in json.loads(path.read_text())["layers"] if layer["params"]]
    model = build_patch_network(NetworkConfig(name="yaroslav"), (256, 256), 5, 0)
    ours = [layer for layer in model.layers if layer.weights]
    assert [layer.count_params() for layer in ours] == [layer["params"] for layer in original]
    named = [layer["name"] for layer in original if layer["cls"] != "BatchNormalization"]
    bn = keras.layers.BatchNormalization
    assert [layer.name for layer in ours if not isinstance(layer, bn)] == named
    for layer, theirs in zip(ours, original, strict=True):
        if isinstance(layer, bn):
            assert (layer.epsilon, layer.momentum) == (
                theirs["config"]["epsilon"],
                theirs["config"]["momentum"],
            )


@pytest.mark.parametrize("name", ["compact", "yaroslav"])
def test_weights_come_from_the_seed_alone(name: str) -> None:
    keras.utils.set_random_seed(5)
    one = build_patch_network(NetworkConfig(name=name), (64, 64), 3, seed=1).get_weights()
    keras.utils.set_random_seed(6)
    build_patch_network(NetworkConfig(name="compact"), (64, 64), 4, seed=9)
    same = build_patch_network(NetworkConfig(name=name), (64, 64), 3, seed=1).get_weights()
    other = build_patch_network(NetworkConfig(name=name), (64, 64), 3, seed=2).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_applications_take_the_seed() -> None:
    one, same = (
        build_patch_network(NetworkConfig(name="vgg16"), (32, 32), 2, seed=1) for _ in range(2)
    )
    for layer in ("block1_conv1", "block5_conv3"):
        a, b = (model.get_layer(layer).get_weights()[0] for model in (one, same))
        assert np.array_equal(a, b)
        assert a.std() > 0


@pytest.mark.parametrize(
    ("name", "side"), [("compact", 15), ("yaroslav", 63), ("vgg16", 31), ("resnet50", 31)]
)
def test_too_small_a_patch_is_refused(name: str, side: int) -> None:
    with pytest.raises(ModelError, match=f"{side + 1} pixels"):
        build_patch_network(NetworkConfig(name=name), (256, side), 5, 0)


def test_smallest_patch_is_accepted() -> None:
    model = build_patch_network(NetworkConfig(name="compact"), (16, 16), 2, 0)
    assert model.predict_on_batch(images("compact", 16)).shape == (2, 2)


def test_one_class_is_refused() -> None:
    with pytest.raises(ModelError, match="2 classes"):
        build_patch_network(NetworkConfig(name="compact"), (56, 56), 1, 0)


def test_missing_weights_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="no ImageNet weights for compact"):
        build_patch_network(NetworkConfig(name="compact", weights="imagenet"), (56, 56), 5, 0)
    with pytest.raises(ModelError, match="No weights file"):
        config = NetworkConfig(name="compact", weights=str(tmp_path / "none.keras"))
        build_patch_network(config, (56, 56), 5, 0)
    bad = tmp_path / "bad.h5"
    bad.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="do not fit compact"):
        build_patch_network(NetworkConfig(name="compact", weights=str(bad)), (56, 56), 5, 0)
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"Cannot read the model bad\.keras"):
        build_patch_network(NetworkConfig(name="compact", weights=str(bad)), (56, 56), 5, 0)


def test_unreachable_imagenet_weights_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mammo_core.models import weights

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_IMAGENET_HOME", "http://127.0.0.1:9/")
    with pytest.raises(ModelError, match="Cannot fetch the ImageNet weights of vgg16"):
        build_patch_network(NetworkConfig(name="vgg16", weights="imagenet"), (32, 32), 5, 0)


def test_weights_from_a_model_file(tmp_path: Path) -> None:
    trained = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, seed=1)
    save_model(trained, tmp_path / "trained.keras")
    config = NetworkConfig(name="compact", weights=str(tmp_path / "trained.keras"))
    x = images("compact", 56)
    again = build_patch_network(config, (56, 56), 5, seed=2)
    assert np.array_equal(again.predict_on_batch(x), trained.predict_on_batch(x))
    # With other classes the head is new, the rest is not.
    other = build_patch_network(config, (56, 56), 3, seed=2)
    for layer in blocks(other)["block4"]:
        pairs = zip(
            other.get_layer(layer).get_weights(),
            trained.get_layer(layer).get_weights(),
            strict=True,
        )
        assert all(np.array_equal(a, b) for a, b in pairs)
    yaroslav = NetworkConfig(name="yaroslav", weights=str(tmp_path / "trained.keras"))
    with pytest.raises(ModelError, match=r"Layer block1_conv1 of trained\.keras does not fit"):
        build_patch_network(yaroslav, (64, 64), 5, 0)


def test_weights_from_an_h5_file_without_head(tmp_path: Path) -> None:
    source = keras.applications.VGG16(include_top=False, weights=None)
    source.save_weights(tmp_path / "body.weights.h5")
    config = NetworkConfig(name="vgg16", weights=str(tmp_path / "body.weights.h5"))
    model = build_patch_network(config, (32, 32), 5, 0)
    for layer in ("block1_conv1", "block5_conv3"):
        a, b = (m.get_layer(layer).get_weights()[0] for m in (source, model))
        assert np.array_equal(a, b)


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


def test_unknown_model_name() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(ModelError, match="not built on a known network"):
        network_of(keras.Model(inputs, inputs, name="mystery"))


def test_exports() -> None:
    import mammo_core.models as room

    assert all(hasattr(room, name) for name in room.__all__)
    with pytest.raises(AttributeError):
        _ = room.nothing
