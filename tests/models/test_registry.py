"""Every network of the registry: its blocks, its geometry, its sizes, its parameters."""

from functools import cache
from typing import Any

import keras
import pytest
from network_names import TESTED
from pydantic import ValidationError

from mammo_core.errors import ModelError
from mammo_core.models import (
    NETWORKS,
    NetworkConfig,
    blocks,
    build_patch_network,
    network_names,
    network_of,
)
from mammo_core.models.build import build_body
from mammo_core.models.graph import parents

# Networks without a classifier. The counts of keras.io/api/applications (minus the preprocessing
# weights of EfficientNetB0); ResNet50 and VGG16 also in docs/original-system.md, "Counts of
# operations"; YaroslavNet: original_golden/summaries; compact: by hand.
PARAMETERS = {
    "compact": 165_712,
    "yaroslav": 5_901_792,
    "resnet50": 23_587_712,
    "resnet50_keras2": 23_587_712,
    "vgg16": 14_714_688,
    "vgg19": 20_024_384,
    "xception": 20_861_480,
    "inception_v3": 21_802_784,
    "convnext_tiny": 27_820_128,
    "convnext_small": 49_454_688,
    "convnext_base": 87_566_464,
    "efficientnetv2_s": 20_331_360,
    "efficientnetv2_m": 53_150_388,
    "efficientnet_b0": 4_049_564,
    # Those of torchvision's features: the same layers.
    "efficientnet_b0_torch": 4_049_564,
    "efficientnet_b3_torch": 10_783_528,
    "efficientnet_b5_torch": 28_513_520,
    # Without the normalization after the last stage: 2 x 768, 768 and 1,024.
    "convnext_tiny_torch": 27_820_128 - 2 * 768,
    "convnext_small_torch": 49_454_688 - 2 * 768,
    "convnext_base_torch": 87_566_464 - 2 * 1024,
    "efficientnet_b3": 10_783_528,
    "efficientnet_b5": 28_513_520,
}
QUICK = ("compact", "yaroslav", "vgg16")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TESTED]


@cache
def body(name: str) -> keras.Model:
    return build_body(NETWORKS[name], seed=1)


def config(name: str, **options: Any) -> NetworkConfig:
    base, _, topology = name.rpartition("_")
    if topology not in ("keras2", "torch"):
        base, topology = name, "today"
    return NetworkConfig(name=base, topology=topology, **options)


def test_recipes_can_name_every_network() -> None:
    assert set(PARAMETERS) == set(NETWORKS)
    forms = {name for name in NETWORKS if name.endswith(("_keras2", "_torch"))}
    assert network_names() == sorted(set(NETWORKS) - forms)
    for name in NETWORKS:
        assert config(name).network == name


@pytest.mark.parametrize("name", EVERY)
def test_parameters_and_features(name: str) -> None:
    model = body(name)
    network = network_of(model)
    assert model.count_params() == PARAMETERS[name]
    assert model.layers[-1].name == network.feature
    assert model.input_shape == (None, None, None, network.channels)


@pytest.mark.parametrize("name", EVERY)
def test_blocks_follow_each_other(name: str) -> None:
    """Every layer is in one block, and blocks do not interleave."""
    model, network = body(name), NETWORKS[name]
    owners = [network.block_of(layer.name) for layer in model.layers]
    free = [layer for layer, owner in zip(model.layers, owners, strict=True) if owner is None]
    assert [layer.name for layer in free if layer.weights] == []
    assert {layer.name for layer in free} <= {"pixels", "input_1", "rescale"}
    runs = [owner for owner, before in zip(owners, [None, *owners], strict=False) if owner]
    order = list(dict.fromkeys(runs))
    assert order == list(network.blocks)
    positions = [order.index(owner) for owner in runs]
    assert positions == sorted(positions)
    assert set(network.top) <= set(network.blocks)
    # The name of a layer never depends on what was built before.
    assert not [layer.name for layer in model.layers if layer.name.startswith("keras_tensor")]


# What stage 2 of the original trained (docs/original-system.md, "Patch training"): its layer
# indices 162, 15, 17, 126 and 194 of Keras 2.0.8, and its counts of convolutions for three of them.
@pytest.mark.parametrize(
    ("name", "first", "convolutions"),
    [
        ("vgg16", "block5_conv1", 3),
        ("vgg19", "block5_conv1", 4),
        pytest.param("resnet50", "conv5_block3_1_conv", 3, marks=pytest.mark.slow),
        pytest.param("resnet50_keras2", "res5c_branch2a", 3, marks=pytest.mark.slow),
        pytest.param("xception", "block14_sepconv1", 2, marks=pytest.mark.slow),
        pytest.param("inception_v3", "mixed7_conv2d5", 34, marks=pytest.mark.slow),
    ],
)
def test_the_second_stage_of_the_original(name: str, first: str, convolutions: int) -> None:
    model, network = body(name), NETWORKS[name]
    trained = [layer for layer in model.layers if network.block_of(layer.name) in network.top]
    kinds = (keras.layers.Conv2D, keras.layers.SeparableConv2D)
    names = [layer.name for layer in trained if isinstance(layer, kinds)]
    assert (names[0], len(names)) == (first, convolutions)
    index = {"xception": 126, "resnet50_keras2": 162, "vgg16": 15, "vgg19": 17}.get(name)
    if index:
        # `rescale` is ours; index 162 is the ReLU that closes block 5b.
        index += model.layers[1].name == "rescale"
        later = {layer.name for layer in model.layers[index:] if layer.weights}
        assert later == {layer.name for layer in trained if layer.weights}


@pytest.mark.parametrize("name", EVERY)
def test_the_registry_has_the_geometry_of_each_network(name: str) -> None:
    """Cells for many sides, and the center of a cell computed layer by layer."""
    model, network = body(name), NETWORKS[name]
    for side in (network.smallest(1), network.stride * 3, 225, 230, 331, 1152):
        shape = model.compute_output_shape((1, side, side, network.channels))
        assert shape[1] == network.cells(side), side
    left = side = 64 * network.stride
    stride, center = 1, 0.0
    for layer in _main_path(model):
        size = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
        if isinstance(layer, keras.layers.ZeroPadding2D):
            center -= stride * layer.padding[0][0]
        elif size is None:
            continue
        before, left = left, layer.compute_output_shape((1, left, left, layer.input.shape[-1]))[1]
        if size is None:
            continue
        padding = 0
        if layer.padding == "same":
            # TensorFlow's rule: the larger half goes after.
            padding = max((left - 1) * layer.strides[0] + size[0] - before, 0) // 2
        center += stride * ((size[0] - 1) / 2 - padding)
        stride *= layer.strides[0]
    assert (stride, center) == (network.stride, network.first_center)
    assert network.center(side) == network.first_center


def _main_path(model: keras.Model) -> list[Any]:
    """The longest path to the features; shortcuts are shorter."""
    paths: dict[str, list[Any]] = {}
    for layer in model.layers:
        before = [operation.name for operation in parents(layer)]
        inner = layer.layers if isinstance(layer, keras.Sequential) else [layer]
        paths[layer.name] = max((paths[name] for name in before), key=len, default=[]) + inner
    return paths[model.layers[-1].name]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_patch_that_is_too_small_is_rejected(name: str) -> None:
    """Below the minimum there is no cell to average; the original returned NaN."""
    network = NETWORKS[name]
    side = network.minimum - 1
    with pytest.raises(ModelError, match=f"at least {side + 1} pixels") as caught:
        build_patch_network(config(name), (256, side), 5, 0)
    assert f"{network.cells(256)} x {network.cells(side)} feature cells" in str(caught.value)
    assert network.cells(side + 1) >= network.pooled
    assert network.cells(side) < network.pooled or side < network.stride


# By hand: InceptionV3 75 -> 37 -> 35 -> 17 -> 15 -> 7 -> 3 -> 1; the 2017 ResNet50 needs 7
# cells before its 7x7 pool: 197 -> 99 -> 49 -> 25 -> 13 -> 7.
@pytest.mark.parametrize(
    ("name", "minimum"),
    [("inception_v3", 75), ("resnet50_keras2", 197), ("vgg19", 32), ("yaroslav", 64)],
)
def test_smallest_patch(name: str, minimum: int) -> None:
    assert NETWORKS[name].minimum == minimum


def test_a_models_name_identifies_its_network() -> None:
    for name in NETWORKS:
        for suffix in ("", "_whole", "_heatmap", "_two_view"):
            inputs = keras.Input((1,))
            assert network_of(keras.Model(inputs, inputs, name=name + suffix)).name == name


def test_topology() -> None:
    assert config("yaroslav").network == "yaroslav"
    assert NetworkConfig(name="vgg19", topology="keras2").network == "vgg19"
    with pytest.raises(ValidationError, match="The original had no network compact"):
        NetworkConfig(name="compact", topology="keras2")
    with pytest.raises(ValidationError, match="There is no network resnet50_keras2"):
        NetworkConfig(name="resnet50_keras2")


def test_blocks_of_a_patch_classifier() -> None:
    model = build_patch_network(NetworkConfig(name="yaroslav"), (64, 64), 5, seed=1)
    members = blocks(model)
    assert list(members) == [*NETWORKS["yaroslav"].blocks, "head"]
    assert members["head"] == ["predictions"]
    assert "batch_normalization_12" in members["block6"]
    assert "activation_1" in members["block1"]
