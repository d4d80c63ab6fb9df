"""Published two-view networks of PyTorch, imported as packages with their input contract.

Petrini, Shimizu et al. 2022 (IEEE Access 10:77723) and Petrini and Kim 2025 (arXiv 2503.19945):
the feature maps of both views, from one network, are joined, and pass two inverted bottlenecks, a
global pool and a dense layer. Only the tensors of their authors' checkpoints are read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mammo_core.errors import ModelError, RecipeError
from mammo_core.packaging.build import build
from mammo_core.packaging.imported import read_contract, validated_contract
from mammo_core.packaging.keras_file import import_keras
from mammo_core.packaging.signatures.checksums import digest

_CORE: Final = "two_views_clf.single_clf_core."
# The same layers once more, by the names of the classifier that they were taken from.
_UNUSED: Final = (
    r"two_views_clf\.single_clf_full\..*",
    r"two_views_clf\.feature_extractor\..*",
    r"two_views_clf\.single_clf_core\._fc\..*",
)
_SIZE: Final = (1152, 896)
_WIDEST: Final = 2  # filters of the widest convolution of a block, as a multiple of its depth


@dataclass(frozen=True)
class TorchModel:
    """A published network.

    Attributes:
        network: Registry name of the network of each view.
        names: Name of the map of its tensors.
        shortened: Returns the name of a tensor in the checkpoint, from that in the map: the
            layers were put into a list there.
        depth: Filters of each inverted bottleneck.
        mean: What is subtracted from an image, [0, 65535], before the division by 65535; None:
            each image is standardized by its own mean and standard deviation.
        source: Where it is published.
    """

    network: str
    names: str
    shortened: Callable[[str], str]
    depth: int
    mean: float | None
    source: str


def _listed(*children: str) -> Callable[[str], str]:
    """Return the renaming of layers that stand in a list, by their place in it."""

    def rename(name: str) -> str:
        first, *rest = name.split(".", 1)
        return ".".join([str(children.index(first)), *rest])

    return rename


#: The published networks by name.
PUBLISHED: Final[Mapping[str, TorchModel]] = MappingProxyType(
    {
        "petrini-2022-efficientnet-b0": TorchModel(
            network="efficientnet_b0",
            names="EfficientNet-PyTorch",
            shortened=str,
            depth=2560,
            mean=13369,
            source="https://github.com/dpetrini/two-views-classifier",
        ),
        "petrini-2025-efficientnet-b3": TorchModel(
            network="efficientnet_b3_torch",
            names="torchvision's EfficientNet",
            shortened=_listed("features"),
            depth=3072,
            mean=13369,
            source="https://github.com/dpetrini/multiple-view",
        ),
        "petrini-2025-convnext-base": TorchModel(
            network="convnext_base_torch",
            names="timm's ConvNeXt",
            shortened=_listed("stem", "stages"),
            depth=2048,
            mean=None,
            source="https://github.com/dpetrini/multiple-view",
        ),
    }
)


def import_torch(
    file: Path, out: Path, network: str, *, key: str | None = None, preprocessing: str = ""
) -> dict[str, Any]:
    """Build a model package from a published checkpoint.

    Args:
        file: The checkpoint, of `torch.save` or safetensors.
        out: Folder of the package.
        network: Name in `PUBLISHED`.
        key: Where in the file the weights are, see `read_checkpoint`.
        preprocessing: A JSON file or object with fields of `Preprocessing` that differ from the
            published ones (size, orientation); empty: none.

    Returns:
        What was imported, as plain data for JSON.

    Raises:
        RecipeError: There is no such network, or the contract cannot be read.
        ModelError: The checkpoint cannot be read or is of another network.
    """
    model = PUBLISHED.get(network)
    if model is None:
        raise RecipeError(
            f"There is no published network {network}",
            expected=f"one of {', '.join(PUBLISHED)}",
            received=network,
        )
    fields = {"channels": 3, "mean": (model.mean or 0) * 255 / 65535}
    height, width = _SIZE
    changed = read_contract(preprocessing) if preprocessing else {}
    geometry = {"height": height, "width": width, **dict(changed.pop("geometry", None) or {})}
    contract = validated_contract({**fields, **changed, "geometry": geometry}, file.name)
    import_keras()
    from mammo_core.models.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(file, key)
    _require_network(model, checkpoint.tensors, file.name)
    size = (contract.geometry.height, contract.geometry.width)
    classifier = build_published(model, size)
    _load(classifier, model, checkpoint.tensors, file.name)
    imported = {
        "file": file.name,
        "sha256": digest(file),
        "format": checkpoint.format,
        "network": network,
        "published": model.source,
        "parameters": int(classifier.count_params()),
    }
    build(
        out,
        name=network,
        image_model=classifier,
        preprocessing=contract,
        label_map={"neg": 0, "pos": 1},
        lineage={
            "imported_from": file.name,
            "imported_file_id": imported["sha256"],
            "published": model.source,
        },
    )
    return {**imported, "preprocessing": contract.model_dump(mode="json"), "package": str(out)}


def build_published(model: TorchModel, size: tuple[int, int]) -> Any:
    """Build a published network with random weights.

    Args:
        model: The network.
        size: `(H, W)` of its images, pixels.

    Returns:
        A model `[cc, mlo] -> (n, 2) float32, [0, 1]`, each view `(n, H, W, 3) float32`,
        [0, 255] minus the mean.
    """
    import keras

    from mammo_core.models import HeadConfig, TwoViewConfig, to_two_views, to_whole_image
    from mammo_core.models.build import build_body
    from mammo_core.models.layers import softmax_layer
    from mammo_core.models.registry import NETWORKS

    standardize = model.mean is None
    network = replace(NETWORKS[model.network], divisor=1.0 if standardize else 255.0)
    body = build_body(network, seed=0)
    if standardize:
        body = _standardized(body)
    x = keras.layers.GlobalAveragePooling2D(name=network.pool_name)(body.output)
    patch = keras.Model(body.inputs[0], softmax_layer(2, seed=0)(x), name=network.name)
    head = HeadConfig(kind="mbconv", depths=(model.depth,) * 2, repetitions=(1, 1), enlarge=_WIDEST)
    whole = to_whole_image(patch, head, size)
    return to_two_views(whole, TwoViewConfig(join_maps=True))


def _standardized(body: Any) -> Any:
    """Put a first layer before a network that standardizes each image by its own gray levels."""
    import keras

    from mammo_core.models.graph import copied_onto

    inputs = keras.Input(body.inputs[0].shape[1:], name="pixels")
    standardize = keras.layers.LayerNormalization(
        axis=(1, 2, 3), epsilon=1e-6, center=False, scale=False, dtype="float32", name="standardize"
    )
    return keras.Model(inputs, copied_onto(body, standardize(inputs)), name=body.name)


def _names(model: TorchModel) -> Any:
    from mammo_core.models.checkpoints.names import NAME_MAPS

    return next(one for one in NAME_MAPS if one.name == model.names)


def _require_network(model: TorchModel, tensors: Mapping[str, Any], what: str) -> None:
    """Raise an error for the tensors of another network, before a large one is built."""
    if "fc.weight" not in tensors or not any(name.startswith(_CORE) for name in tensors):
        raise ModelError(
            f"{what} is not a checkpoint of both views",
            expected=f"tensors {_CORE}…, block1…, block2… and fc.weight",
            received=", ".join(list(tensors)[:5]),
            hint="A checkpoint of one view is a start for training: network.weights of a recipe",
        )
    sign = _CORE + model.shortened(_names(model).sign)
    if sign not in tensors:
        raise ModelError(
            f"{what} is a checkpoint of another network",
            expected=f"a tensor {sign}, as in {model.network}",
            received=", ".join(sorted(name for name in tensors if name.startswith(_CORE))[:3]),
        )


def _load(classifier: Any, model: TorchModel, tensors: Mapping[str, Any], what: str) -> None:
    from mammo_core.models.checkpoints.names import MBCONV
    from mammo_core.models.checkpoints.transfer import load_layers, require_all_used

    names = _names(model)
    layers = [layer for layer in classifier.get_layer("tower").layers if layer.weights]
    every = tuple(layer.name for layer in layers)
    used = load_layers(
        layers,
        tensors,
        lambda layer: _CORE + model.shortened(names.prefix(layer, every)),
        what,
    )
    parts = {ours: MBCONV[theirs] for ours, theirs in _HEAD_PARTS.items()}

    def head_prefix(layer: str) -> str:
        if layer == "predictions":
            return "fc"
        block, _, part = layer.removeprefix("head_block").partition("_unit1_")
        return f"block{block}.{parts[part]}"

    heads = [
        layer
        for layer in classifier.layers
        if layer.weights and layer.name.startswith(("head_block", "predictions"))
    ]
    used |= load_layers(heads, tensors, head_prefix, what)
    require_all_used(tensors, used, _UNUSED, what)


#: The parts of an inverted bottleneck of our heads, and of a block of EfficientNet.
_HEAD_PARTS: Final = MappingProxyType(
    {
        **{"expand_conv": "expand_conv", "expand_bn": "expand_bn", "depthwise": "dwconv"},
        **{"depthwise_bn": "bn", "reduce": "se_reduce", "excite": "se_expand"},
        **{"project_conv": "project_conv", "project_bn": "project_bn"},
    }
)
