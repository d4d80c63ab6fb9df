"""Whole-image networks: counts of the published ones, kept weights, sizes."""

from pathlib import Path

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from mammo_core.errors import ModelError
from mammo_core.models import (
    HeadConfig,
    NetworkConfig,
    blocks,
    build_patch_network,
    describe,
    load_model,
    network_of,
    save_model,
    to_whole_image,
)
from mammo_core.models.weights import transfer_weights

SMALL = HeadConfig(depths=(8, 8), repetitions=(1, 2))


@pytest.fixture(scope="module")
def patch_model() -> keras.Model:
    model = build_patch_network(NetworkConfig(name="compact", dropout=0.1), (32, 32), 5, seed=1)
    # Batch statistics as after training: a copy that forgets them would not be equal.
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


# original_golden/README.md: parameters at 1152x896 with 2 classes.
@pytest.mark.parametrize(
    ("network", "head", "parameters", "features"),
    [
        ("vgg16", HeadConfig(kind="vgg", repetitions=(1, 1)), 19_439_426, (36, 28, 512)),
        ("vgg16", HeadConfig(), 29_710_146, (36, 28, 512)),
        pytest.param("resnet50", HeadConfig(), 40_942_466, (36, 28, 2048), marks=pytest.mark.slow),
    ],
)
def test_the_published_networks(
    network: str, head: HeadConfig, parameters: int, features: tuple[int, ...]
) -> None:
    patch = build_patch_network(NetworkConfig(name=network), (224, 224), 5, 0)
    whole = to_whole_image(patch, head, (1152, 896))
    description = describe(whole)
    assert description["parameters"] == parameters
    assert description["input_shape"] == [1152, 896, 3]
    assert whole.get_layer(network_of(whole).feature).output.shape[1:] == features
    last = whole.get_layer("head_average_pool").input.shape[1:]
    assert last == (9, 7, 1024 if head.kind == "residual" else 512)


@pytest.mark.parametrize("kind", ["residual", "vgg"])
def test_every_layer_keeps_its_weights(patch_model: keras.Model, kind: str) -> None:
    head = SMALL.model_copy(update={"kind": kind})
    whole = to_whole_image(patch_model, head, (96, 64), seed=3)
    kept = [layer for layer in whole.layers if layer.weights and layer.name.startswith("block")]
    assert [layer.name for layer in kept] == [
        layer.name for layer in patch_model.layers if layer.weights and layer.name != "predictions"
    ]
    for layer in kept:
        theirs = patch_model.get_layer(layer.name)
        assert layer is not theirs
        for a, b in zip(layer.get_weights(), theirs.get_weights(), strict=True):
            assert np.array_equal(a, b)
    x = np.random.default_rng(1).normal(0, 50, (2, 96, 64, 1)).astype(np.float32)
    feature = network_of(whole).feature
    patch_features, whole_features = (
        keras.Model(m.inputs[0], m.get_layer(feature).output) for m in (patch_model, whole)
    )
    assert np.array_equal(patch_features(x), whole_features(x))
    assert whole(x).shape == (2, 2)


def test_the_patch_model_is_not_changed(patch_model: keras.Model) -> None:
    before = [weight.copy() for weight in patch_model.get_weights()]
    whole = to_whole_image(patch_model, SMALL, (96, 64))
    whole.set_weights([weight + 1 for weight in whole.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, patch_model.get_weights(), strict=True))
    assert network_of(patch_model).name == "compact"


def test_residual_blocks(patch_model: keras.Model) -> None:
    whole = to_whole_image(patch_model, SMALL, (160, 128))
    convolutions = {
        layer.name: (layer.kernel_size[0], layer.strides[0], layer.filters)
        for layer in whole.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.name.startswith("head")
    }
    # docs/original-system.md, "From patch network to whole-image classifier", head A, by hand for
    # depth 8, enlarge 2, repetitions 1 and 2.
    assert convolutions == {
        "head_block1_unit1_shortcut_conv": (1, 2, 16),
        "head_block1_unit1_1_conv": (1, 2, 8),
        "head_block1_unit1_2_conv": (3, 1, 8),
        "head_block1_unit1_3_conv": (1, 1, 16),
        "head_block2_unit1_shortcut_conv": (1, 2, 16),
        "head_block2_unit1_1_conv": (1, 2, 8),
        "head_block2_unit1_2_conv": (3, 1, 8),
        "head_block2_unit1_3_conv": (1, 1, 16),
        "head_block2_unit2_1_conv": (1, 1, 8),
        "head_block2_unit2_2_conv": (3, 1, 8),
        "head_block2_unit2_3_conv": (1, 1, 16),
    }
    # 160x128 -> features 10x8 -> 5x4 -> 3x2.
    assert whole.get_layer("head_average_pool").input.shape == (None, 3, 2, 16)


def test_the_head_block_contains_the_whole_head(patch_model: keras.Model) -> None:
    whole = to_whole_image(patch_model, SMALL, (96, 64))
    members = blocks(whole)
    assert list(members) == ["block1", "block2", "block3", "block4", "head"]
    assert set(members["head"]) == {
        layer.name
        for layer in whole.layers
        if layer.weights and layer.name.startswith(("head", "predictions"))
    }


@pytest.mark.parametrize(
    ("kind", "shape", "fits"),
    [
        ("vgg", (64, 64), True),  # features 4x4 -> 2x2 -> 1x1
        ("vgg", (63, 64), False),  # 3x4 -> 1x2
        ("residual", (48, 48), True),  # 3x3 -> 2x2 -> 1x1
        ("residual", (47, 64), False),  # 2x4 -> 1x2
    ],
)
def test_sizes(patch_model: keras.Model, kind: str, shape: tuple[int, int], fits: bool) -> None:
    head = HeadConfig(kind=kind, depths=(4, 4), repetitions=(1, 1))  # type: ignore[arg-type]
    if fits:
        assert to_whole_image(patch_model, head, shape).output_shape == (None, 2)
        return
    smallest = {"vgg": 64, "residual": 48}[kind]
    with pytest.raises(ModelError, match=f"from {smallest} pixels") as caught:
        to_whole_image(patch_model, head, shape)
    assert "features" in str(caught.value)
    assert "-> block 1" in str(caught.value)


def test_whole_models_load_in_safe_mode(patch_model: keras.Model, tmp_path: Path) -> None:
    whole = to_whole_image(
        patch_model, HeadConfig(depths=(4,), repetitions=(1,), dropout=0.3), (64, 48), classes=3
    )
    save_model(whole, tmp_path / "whole.keras")
    loaded = load_model(tmp_path / "whole.keras")
    x = np.random.default_rng(2).normal(0, 50, (2, 64, 48, 1)).astype(np.float32)
    assert np.array_equal(loaded(x), whole(x))
    assert network_of(loaded).name == "compact"


def test_errors_of_a_transfer_name_the_layer(patch_model: keras.Model) -> None:
    inputs = keras.Input((8, 8, 1))
    foreign = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="block1_conv1")(inputs))
    with pytest.raises(ModelError, match="Layer block1_conv1 of a test does not fit"):
        transfer_weights(patch_model, foreign, what="a test")
    with pytest.raises(ModelError, match="a test has no layer block1_bn1"):
        body = keras.Model(patch_model.inputs[0], patch_model.get_layer("block1_bn1").output)
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(16, 3, use_bias=False, name="block1_conv1")(inputs)
        transfer_weights(keras.Model(inputs, x), body, what="a test")


@pytest.mark.parametrize(
    "wrong",
    [
        {"depths": (4, 4), "repetitions": (1,)},
        {"depths": (), "repetitions": ()},
        {"depths": (4,), "repetitions": (0,)},
        {"enlarge": 0},
        {"unknown": 1},
    ],
)
def test_inconsistent_head_configs_are_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HeadConfig.model_validate(wrong)
