"""Networks loaded by name compute what PyTorch's compute from the same tensors.

`files/torch.json` was recorded by `record_torch.py` with torch 2.15, torchvision 0.29 and timm 1.0.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import NETWORKS, NetworkConfig, build_patch_network
from mammo_core.models.build import build_body
from mammo_core.models.checkpoints.names import NAME_MAPS, NameMap
from mammo_core.models.checkpoints.transfer import load_body
from tests.models.checkpoints.seeded import image, values

RECORDED = json.loads((Path(__file__).parent / "files" / "torch.json").read_text())["maps"]
#: Networks made of layers that another has too: with `make verify-networks`.
LARGE = ("efficientnet_b3", "convnext_small")
CASES = [
    case
    for case in sorted(RECORDED)
    if os.environ.get("MAMMO_VERIFY_NETWORKS") == "1" or not case.split()[1].startswith(LARGE)
]


class Seeded(Mapping[str, np.ndarray]):
    """The tensors of a network in PyTorch's layout, made when they are read."""

    def __init__(self, body: keras.Model, names: NameMap) -> None:
        every = tuple(layer.name for layer in body.layers if layer.weights)
        self.shapes = {names.sign: None}
        for layer in body.layers:
            if layer.weights:
                self.shapes |= shapes_of(layer, names.prefix(layer.name, every))

    def __getitem__(self, name: str) -> np.ndarray:
        shape = self.shapes[name]
        assert shape is not None
        return values(name, shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def shapes_of(layer: Any, prefix: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of PyTorch's tensors for a layer of ours."""
    if isinstance(layer, keras.Sequential):
        inner = (shapes_of(one, f"{prefix}.{k}") for k, one in enumerate(layer.layers))
        return {name: shape for part in inner for name, shape in part.items()}
    if type(layer).__name__ == "LayerScale":
        return {prefix: tuple(layer.weights[0].shape)}
    first = tuple(layer.weights[0].shape)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        first = (first[2], first[3], *first[:2])
    elif isinstance(layer, keras.layers.Conv2D):
        first = (first[3], first[2], *first[:2])
    elif isinstance(layer, keras.layers.Dense):
        first = first[::-1]
    names = {2: ("bias",), 4: ("bias", "running_mean", "running_var")}.get(len(layer.weights), ())
    rest = zip(names, layer.weights[1:], strict=True)
    others = {f"{prefix}.{name}": tuple(weight.shape) for name, weight in rest}
    return {f"{prefix}.weight": first, **others}


def library_map(library: str, network: str) -> NameMap:
    family = "ConvNeXt" if network.startswith("convnext") else "EfficientNet"
    names = {f"{library}'s {family}", library}
    return next(one for one in NAME_MAPS if one.name in names)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_features_are_those_of_pytorch(case: str) -> None:
    library, name = case.split()
    network = NETWORKS[name]
    body = build_body(network, seed=1)
    tensors = Seeded(body, library_map(library, name))
    assert load_body(body, network, tensors, "seeded").name == library_map(library, name).name
    # PyTorch's networks have no first division.
    x = image(64, 96, seed=0)[None] * network.divisor
    features = np.asarray(body(x, training=False))[0].transpose(2, 0, 1)[::64]
    expected = np.array(RECORDED[case])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        features.reshape(len(features), -1) / scale, expected / scale, rtol=0, atol=2e-5
    )


@pytest.fixture(scope="module")
def body() -> keras.Model:
    return build_body(NETWORKS["efficientnet_b0"], seed=1)


def tensors_of(body: keras.Model, library: str = "timm") -> dict[str, np.ndarray]:
    seeded = Seeded(body, library_map(library, "efficientnet_b0"))
    return {name: seeded[name] for name in seeded}


def test_other_tensors_are_refused(body: keras.Model) -> None:
    network = NETWORKS["efficientnet_b0"]
    tensors = tensors_of(body)
    counts = {"bn1.num_batches_tracked": np.array(3), "classifier.weight": np.zeros((2, 2))}
    assert load_body(body, network, tensors | counts, "w").name == "timm's EfficientNet"
    with pytest.raises(ModelError, match=r"w has more weights.*1 others: blocks.7.0.conv_dw.we"):
        load_body(body, network, tensors | {"blocks.7.0.conv_dw.weight": np.zeros(1)}, "w")
    missing = {name: value for name, value in tensors.items() if name != "blocks.3.1.bn2.bias"}
    with pytest.raises(ModelError, match=r"w has no tensor blocks.3.1.bn2.bias"):
        load_body(body, network, missing, "w")
    shaped = tensors | {"conv_head.weight": tensors["conv_head.weight"][:, :5]}
    with pytest.raises(ModelError, match="Layer top_conv of w does not fit"):
        load_body(body, network, shaped, "w")
    infinite = tensors | {"bn1.bias": tensors["bn1.bias"] * np.inf}
    with pytest.raises(ModelError, match=r"NaN or infinity in bn1.bias"):
        load_body(body, network, infinite, "w")
    with pytest.raises(ModelError, match=r"not those of convnext_tiny.*Received timm's Effic"):
        load_body(body, NETWORKS["convnext_tiny"], tensors, "w")
    with pytest.raises(ModelError, match=r"Received tensors layer1, …"):
        load_body(body, network, {"layer1": np.zeros(1)}, "w")
    with pytest.raises(ModelError, match="a network of which PyTorch's names are known"):
        load_body(body, NETWORKS["compact"], {"layer1": np.zeros(1)}, "w")


@pytest.mark.parametrize("library", ["timm", "torchvision", "EfficientNet-PyTorch"])
def test_a_recipe_starts_from_a_checkpoint(library: str, body: keras.Model, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = tensors_of(body, library)
    save_file(tensors, tmp_path / "weights.safetensors")
    said: list[str] = []
    model = build_patch_network(
        NetworkConfig(name="efficientnet_b0", weights=str(tmp_path / "weights.safetensors")),
        (64, 64),
        5,
        seed=1,
        say=said.append,
    )
    name = library_map(library, "efficientnet_b0").prefix("top_bn", ("block1a_bn",))
    np.testing.assert_array_equal(
        model.get_layer("top_bn").get_weights()[2], tensors[f"{name}.running_mean"]
    )
    assert said == [f"weights of {tmp_path}/weights.safetensors: a new head"]
