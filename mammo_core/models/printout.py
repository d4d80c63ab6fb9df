"""What `mammo models describe` tells."""

import re
from pathlib import Path
from typing import Any, get_args

import keras
from pydantic import ValidationError

from mammo_core.errors import MammoError, RecipeError
from mammo_core.models.config import HeadConfig, NetworkConfig, NetworkName
from mammo_core.models.description import (
    as_json,
    at_size,
    batch_that_fits,
    contract,
    describe,
    layer_rows,
    outer_rows,
)
from mammo_core.models.networks import build_patch_network
from mammo_core.models.precision import Precision, with_precision
from mammo_core.models.registry import NETWORKS, network_of
from mammo_core.models.shapes import shape_table
from mammo_core.models.storage import load_model
from mammo_core.models.whole_image import to_whole_image

_WHOLE = (1152, 896)
_PATCH = (224, 224)
_PATCH_CLASSES = 5
_GIB = 2**30


def parse_size(text: str) -> tuple[int, int]:
    """Read `1152x896`, rows before columns.

    Raises:
        RecipeError: The text is no size.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})[xX×]([1-9]\d{0,4})", text.strip())
    if not found:
        raise RecipeError(
            f"{text!r} is no size", expected="rows and columns, like 1152x896", received=repr(text)
        )
    return int(found[1]), int(found[2])


def parse_precision(text: str) -> Precision:
    """Read a precision.

    Raises:
        RecipeError: There is no such precision.
    """
    if text not in get_args(Precision):
        raise RecipeError(
            f"There is no precision {text}",
            expected=f"one of {', '.join(get_args(Precision))}",
            received=text,
        )
    return text  # type: ignore[return-value]


def describe_named(
    name: str,
    size: tuple[int, int] | None = None,
    *,
    head: str | None = None,
    topology: str = "today",
    classes: int | None = None,
    precision: Precision = "float32",
    memory_gib: float = 16.0,
) -> dict[str, Any]:
    """Build a network of the registry, or read a file, and describe it.

    Args:
        name: A network, or a `.keras` file.
        size: `(H, W)` of the input, pixels; 224x224, or 1152x896 with a head.
        head: In the paper's notation (`HeadConfig.parse`); None for the patch classifier.
        topology: `today` or `keras2`.
        classes: 5, or 2 with a head.
        precision: Of the layers.
        memory_gib: Memory that a batch should fit into, GiB.

    Returns:
        What `describe` tells, and `layers` (a list), `outer_layers`, `contract`, `shapes`
        (whole-image networks), `memory_gib`, `precision`, `batch_training` and
        `batch_inference`.

    Raises:
        RecipeError: No such network, head or size.
        ModelError: The network cannot take that size.
    """
    if name.endswith(".keras"):
        if head is not None or topology != "today" or classes is not None:
            raise RecipeError(
                f"{Path(name).name} is a model already",
                expected="no head, topology or classes beside a file",
                received="some of them",
            )
        model, shapes = load_model(Path(name)), None
    else:
        model, shapes = _built(name, size, head, topology, classes)
    size = size or (_WHOLE if head else _PATCH)
    model = at_size(model, size)
    if precision != "float32":
        model = with_precision(model, precision)
    told = describe(model)
    rows = layer_rows(model)
    known = _network_name(model)
    memory = int(memory_gib * _GIB)
    sized = told["training_bytes"] is not None
    return {
        **told,
        "name": known or told["name"],
        "precision": precision,
        "contract": contract(known) if known else None,
        "layers": [as_json(row) for row in rows],
        "outer_layers": [as_json(row) for row in outer_rows(model)] if known else None,
        "shapes": shapes,
        "memory_gib": memory_gib,
        "batch_training": batch_that_fits(told, memory, training=True) if sized else None,
        "batch_inference": batch_that_fits(told, memory, training=False) if sized else None,
    }


def as_text(told: dict[str, Any], *, every_layer: bool = False) -> str:
    """Print what `describe_named` returned.

    Args:
        told: That.
        every_layer: Whether with each layer of the patch network.
    """
    height, width, channels = told["input_shape"]
    lines = [f"{told['name']}  {height}x{width}x{channels}, {told['precision']}"]
    if asked := told["contract"]:
        lines.append(
            f"input          grey in {asked['channels']} equal channels, full white "
            f"{asked['scale']:g}, less the mean {asked['mean']}; "
            f"patches from {asked['minimum_size']} pixels"
        )
    lines += [
        f"layers         {len(told['layers'])}",
        f"parameters     {told['parameters']:,} ({told['trainable_parameters']:,} trainable)",
        f"multiply-adds  {told['multiply_adds'] / 1e9:.2f} G ({told['flops'] / 1e9:.2f} GFLOP)",
        f"activations    {told['training_bytes'] / 1e6:,.0f} MB an image kept for training, "
        f"{told['inference_bytes'] / 1e6:,.0f} MB alive at a time for inference",
        f"batch          {told['batch_training']:,} for training with Adam, "
        f"{told['batch_inference']:,} for inference, in {told['memory_gib']:g} GiB",
    ]
    if told["shapes"]:
        way = " -> ".join(f"{row['step']} {row['rows']}x{row['columns']}" for row in told["shapes"])
        lines.append(f"sizes          {way}")
    rows = told["layers"] if every_layer or not told["outer_layers"] else told["outer_layers"]
    lines += ["", f"{'layer':<34}{'class':<24}{'output':<18}{'parameters':>12}{'MMAC':>12}"]
    for row in rows:
        shape = "x".join(map(str, row["output_shape"]))
        lines.append(
            f"{row['name']:<34}{row['kind']:<24}{shape:<18}{row['parameters']:>12,}"
            f"{row['multiply_adds'] / 1e6:>12,.1f}"
        )
    return "\n".join(lines)


def _built(
    name: str,
    size: tuple[int, int] | None,
    head: str | None,
    topology: str,
    classes: int | None,
) -> tuple[keras.Model, list[dict[str, Any]] | None]:
    if name not in get_args(NetworkName):
        raise RecipeError(
            f"There is no network {name}",
            expected=f"one of {', '.join(get_args(NetworkName))}, or a .keras file",
            received=name,
        )
    try:
        config = NetworkConfig(name=name, topology=topology)  # type: ignore[arg-type]
        whole = HeadConfig.parse(head) if head else None
    except ValueError as error:
        faults = error.errors() if isinstance(error, ValidationError) else [{"msg": str(error)}]
        raise RecipeError(
            f"{name} cannot be built so",
            expected="a topology today or keras2, and a head like [512-512-1024]x2, 512x1 "
            "or heatmap+fc16-8+shortcut",
            received="; ".join(fault["msg"] for fault in faults),
        ) from error
    network = NETWORKS[config.network]
    if whole is None:
        shape = size or _PATCH
        return build_patch_network(config, shape, classes or _PATCH_CLASSES, seed=0), None
    table = shape_table(network, whole, size or _WHOLE)
    patch_shape = (max(network.minimum, _PATCH[0]),) * 2
    patch = build_patch_network(config, patch_shape, _PATCH_CLASSES, seed=0)
    model = to_whole_image(patch, whole, size or _WHOLE, classes=classes or 2)
    return model, [vars(row) for row in table]


def _network_name(model: keras.Model) -> str | None:
    try:
        return network_of(model).name
    except MammoError:
        return None
