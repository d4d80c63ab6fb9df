"""The output of `mammo models describe`."""

import re
from pathlib import Path
from typing import Any

import keras
from pydantic import ValidationError

from mammo_core.errors import MammoError, RecipeError
from mammo_core.models.build import build_patch_network
from mammo_core.models.config import HeadConfig, NetworkConfig
from mammo_core.models.description import (
    at_size,
    batch_that_fits,
    describe,
    input_contract,
    layer_rows,
    outer_rows,
    row_json,
)
from mammo_core.models.precision import Precision, with_precision
from mammo_core.models.registry import NETWORKS, network_names, network_of
from mammo_core.models.shapes import shape_table
from mammo_core.models.storage import load_model
from mammo_core.models.whole_image import to_whole_image

_WHOLE = (1152, 896)
_PATCH = (224, 224)
_PATCH_CLASSES = 5
_GIB = 2**30


def parse_size(text: str) -> tuple[int, int]:
    """Parse a size like `1152x896`, rows before columns.

    Raises:
        RecipeError: The text is not a size.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})[xX×]([1-9]\d{0,4})", text.strip())
    if not match:
        raise RecipeError(
            f"{text!r} is not a size",
            expected="rows and columns, like 1152x896",
            received=repr(text),
        )
    return int(match[1]), int(match[2])


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
    """Build a registered network, or load a file, and describe it.

    Args:
        name: A registered network, or a `.keras` file.
        size: `(H, W)` of the input, pixels; 224x224, or 1152x896 with a head.
        head: In the paper's notation (`HeadConfig.parse`); None for the patch classifier.
        topology: `today` or `keras2`.
        classes: Number of classes; by default 5, or 2 with a head.
        precision: Precision of the layers.
        memory_gib: Memory for a batch, GiB.

    Returns:
        The result of `describe`, and `layers` (a list), `outer_layers`, `contract`, `shapes`
        (whole-image networks), `memory_gib`, `precision`, `batch_training` and
        `batch_inference`.

    Raises:
        RecipeError: There is no such network, head or size.
        ModelError: The network cannot take that size.
    """
    if name.endswith(".keras"):
        if head is not None or topology != "today" or classes is not None:
            raise RecipeError(
                f"{Path(name).name} is a model already",
                expected="a file without head, topology or classes",
                received="some of them",
            )
        model, shapes = load_model(Path(name)), None
    else:
        model, shapes = _build(name, size, head, topology, classes)
    size = size or (_WHOLE if head else _PATCH)
    model = at_size(model, size)
    if precision != "float32":
        model = with_precision(model, precision)
    description = describe(model)
    rows = layer_rows(model)
    network = _network_name(model)
    memory = int(memory_gib * _GIB)
    sized = description["training_bytes"] is not None
    return {
        **description,
        "name": network or description["name"],
        "precision": precision,
        "contract": input_contract(network) if network else None,
        "layers": [row_json(row) for row in rows],
        "outer_layers": [row_json(row) for row in outer_rows(model)] if network else None,
        "shapes": shapes,
        "memory_gib": memory_gib,
        "batch_training": batch_that_fits(description, memory, training=True) if sized else None,
        "batch_inference": batch_that_fits(description, memory, training=False) if sized else None,
    }


def format_description(description: dict[str, Any], *, every_layer: bool = False) -> str:
    """Format the result of `describe_named` as text.

    Args:
        description: The result.
        every_layer: Whether to list each layer of the patch network.
    """
    height, width, channels = description["input_shape"]
    lines = [f"{description['name']}  {height}x{width}x{channels}, {description['precision']}"]
    if contract := description["contract"]:
        lines.append(
            f"input          gray in {contract['channels']} equal channels, white "
            f"{contract['scale']:g}, minus the mean {contract['mean']}; "
            f"patches from {contract['minimum_size']} pixels"
        )
    lines += [
        f"layers         {len(description['layers'])}",
        f"parameters     {description['parameters']:,} "
        f"({description['trainable_parameters']:,} trainable)",
        f"multiply-adds  {description['multiply_adds'] / 1e9:.2f} G "
        f"({description['flops'] / 1e9:.2f} GFLOP)",
        f"activations    {description['training_bytes'] / 1e6:,.0f} MB per image for training, "
        f"{description['inference_bytes'] / 1e6:,.0f} MB at a time for inference",
        f"batch          {description['batch_training']:,} for training with Adam, "
        f"{description['batch_inference']:,} for inference, in {description['memory_gib']:g} GiB",
    ]
    if description["shapes"]:
        path = " -> ".join(
            f"{row['step']} {row['rows']}x{row['columns']}" for row in description["shapes"]
        )
        lines.append(f"sizes          {path}")
    rows = (
        description["layers"]
        if every_layer or not description["outer_layers"]
        else description["outer_layers"]
    )
    lines += ["", f"{'layer':<34}{'class':<24}{'output':<18}{'parameters':>12}{'MMAC':>12}"]
    for row in rows:
        shape = "x".join(map(str, row["output_shape"]))
        lines.append(
            f"{row['name']:<34}{row['kind']:<24}{shape:<18}{row['parameters']:>12,}"
            f"{row['multiply_adds'] / 1e6:>12,.1f}"
        )
    return "\n".join(lines)


def _build(
    name: str,
    size: tuple[int, int] | None,
    head: str | None,
    topology: str,
    classes: int | None,
) -> tuple[keras.Model, list[dict[str, Any]] | None]:
    if name not in network_names():
        raise RecipeError(
            f"There is no network {name}",
            expected=f"one of {', '.join(network_names())}, or a .keras file",
            received=name,
        )
    try:
        config = NetworkConfig(name=name, topology=topology)  # type: ignore[arg-type]
        whole = HeadConfig.parse(head) if head else None
    except ValueError as error:
        errors = error.errors() if isinstance(error, ValidationError) else [{"msg": str(error)}]
        raise RecipeError(
            f"{name} cannot be built with these options",
            expected="a topology today or keras2, and a head like [512-512-1024]x2, 512x1 "
            "or heatmap+fc16-8+shortcut",
            received="; ".join(each["msg"] for each in errors),
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
