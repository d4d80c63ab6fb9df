"""The size of a model: its layers, parameters, multiply-adds and memory."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from mammo_core.models.graph import leaf_calls, nodes
from mammo_core.models.registry import NETWORKS, network_of

# Layers that return their input: they store no values.
_VIEWS = (
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Identity,
    keras.layers.InputLayer,
    keras.layers.Reshape,
)
#: Adam keeps two moments in addition to a weight and its gradient, all float32.
TRAINING_BYTES_PER_PARAMETER = 16


@dataclass(frozen=True)
class LayerRow:
    """The size of a layer.

    Attributes:
        name: Name of the layer.
        kind: Its class.
        output_shape: Without the batch; None where it depends on the input's size.
        parameters: Weights of every kind.
        multiply_adds: Multiply-adds of convolutions and dense layers for one image (two views: one
            breast); None if the input size is not fixed.
        activation_bytes: Bytes of its outputs for one image, at the layer's precision; None if
            the input size is not fixed, 0 for layers that return their input.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int
    multiply_adds: int | None
    activation_bytes: int | None


def describe(model: keras.Model, image_shape: tuple[int, int] | None = None) -> dict[str, Any]:
    """Count a model's parameters, multiply-adds and memory.

    Args:
        model: Any functional model.
        image_shape: `(H, W)` of the input, pixels; for a model that takes any size. Without it,
            the values that depend on the size are None.

    Returns:
        `name`, `parameters`, `trainable_parameters`, `input_shape` and `output_shape`
        (without the batch), `layers`; and for one image: `multiply_adds` of all convolutions
        and dense layers, `flops` (twice that), `training_bytes` (the output of every layer, as
        back-propagation keeps them) and `inference_bytes` (the most needed at one time).
    """
    sized = at_size(model, image_shape)
    rows = layer_rows(sized)
    fixed_size = None not in sized.inputs[0].shape[1:]
    multiply_adds = sum(row.multiply_adds or 0 for row in rows) if fixed_size else None
    return {
        "name": str(model.name),
        "parameters": int(model.count_params()),
        "trainable_parameters": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
        "input_shape": list(sized.inputs[0].shape[1:]),
        "output_shape": list(sized.outputs[0].shape[1:]),
        "layers": len(model.layers),
        "multiply_adds": multiply_adds,
        "flops": None if multiply_adds is None else 2 * multiply_adds,
        "training_bytes": sum(row.activation_bytes or 0 for row in rows) if fixed_size else None,
        "inference_bytes": _peak_bytes(sized) if fixed_size else None,
    }


def at_size(model: keras.Model, image_shape: tuple[int, int] | None) -> keras.Model:
    """Return the model for images of one size; the same model if its size is fixed."""
    shape = tuple(model.inputs[0].shape[1:])
    if image_shape is None or None not in shape:
        return model
    inputs = [keras.Input((*image_shape, x.shape[-1]), name=x.name) for x in model.inputs]
    return keras.models.clone_model(
        model, input_tensors=inputs if isinstance(model.input, list) else inputs[0]
    )


def layer_rows(model: keras.Model) -> list[LayerRow]:
    """Describe each layer, including those inside nested models."""
    return [_row(layer, calls) for layer, calls in leaf_calls(model)]


def outer_rows(model: keras.Model) -> list[LayerRow]:
    """Describe a whole-image network with its patch network as one layer, as in the original.

    Args:
        model: A whole-image model of this library.

    Returns:
        The input, the patch network as one row of kind `Model`, and the layers of the head.
    """
    network = network_of(model)
    rows = layer_rows(model)
    inner = [row for row in rows if network.block_of(row.name) or row.name == "rescale"]
    feature = next(row for row in inner if row.name == network.feature)
    nested = LayerRow(
        name=network.name,
        kind="Model",
        output_shape=feature.output_shape,
        parameters=sum(row.parameters for row in inner),
        multiply_adds=_sum(row.multiply_adds for row in inner),
        activation_bytes=_sum(row.activation_bytes for row in inner),
    )
    outer = [row for row in rows if row not in inner]
    return [outer[0], nested, *outer[1:]]


def batch_that_fits(described: dict[str, Any], memory: int, *, training: bool) -> int:
    """Return how many images fit into memory at a time.

    Args:
        described: The result of `describe` with a size.
        memory: Free memory, bytes.
        training: Count gradients, Adam's moments and all activations; else count inference.

    Returns:
        Images; 0 if not even one fits. The workspace of convolution libraries is not counted,
        and fusion and rematerialization need less: measure before relying on it.
    """
    weights = TRAINING_BYTES_PER_PARAMETER if training else 4
    image = described["training_bytes" if training else "inference_bytes"]
    return int(max((memory - weights * described["parameters"]) // image, 0))


def input_contract(name: str) -> dict[str, Any]:
    """Return the input that a registered network takes.

    Args:
        name: Name in the registry.
    """
    network = NETWORKS[name]
    return {
        "channels": network.channels,
        "scale": network.scale,
        "mean": "of the training images",
        "minimum_size": network.minimum,
        "stride": network.stride,
        "divisor": network.divisor,
    }


def row_json(row: LayerRow) -> dict[str, Any]:
    """Return a row as plain data for JSON."""
    return {**asdict(row), "output_shape": list(row.output_shape)}


def _sum(values: Iterator[int | None]) -> int | None:
    numbers = list(values)
    return None if None in numbers else sum(number or 0 for number in numbers)


def _row(layer: Any, calls: int) -> LayerRow:
    shape = tuple(layer.output.shape[1:])
    open_size = None in shape
    stored = 0 if isinstance(layer, _VIEWS) else int(np.prod([side or 0 for side in shape]))
    return LayerRow(
        name=layer.name,
        kind=type(layer).__name__,
        output_shape=shape,
        parameters=int(layer.count_params()),
        multiply_adds=None if open_size else calls * _multiply_adds(layer, shape),
        activation_bytes=None if open_size else calls * stored * _itemsize(layer.compute_dtype),
    )


def _multiply_adds(layer: Any, shape: tuple[int, ...]) -> int:
    """Count by kernel: each weight is used once for every position of the output."""
    positions = int(np.prod(shape[:-1]))
    if isinstance(layer, keras.Sequential):
        # Those of ConvNeXt have one convolution each, and only it changes the size.
        return sum(_multiply_adds(inner, shape) for inner in layer.layers)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = np.prod(layer.depthwise_kernel.shape) + np.prod(layer.pointwise_kernel.shape)
        return positions * int(kernels)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return positions * int(np.prod(layer.kernel.shape))
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
        return positions * int(np.prod(layer.kernel.shape))
    return 0


def _itemsize(dtype: str) -> int:
    return 2 if dtype in ("float16", "bfloat16") else int(np.dtype(dtype).itemsize)


def _peak_bytes(model: keras.Model) -> int:
    """Return the largest size of all tensors alive, if each is freed after its last use."""
    order = nodes(model)
    last: dict[int, int] = {}
    for number, node in enumerate(order):
        for tensor in node.input_tensors:
            last[id(tensor)] = number
    alive: dict[int, int] = {}
    peak = 0
    for number, node in enumerate(order):
        operation = node.operation
        alive |= {id(tensor): _bytes(operation, tensor) for tensor in node.output_tensors}
        inside = 0
        if isinstance(operation, keras.Model) and not isinstance(operation, keras.Sequential):
            inside = _peak_bytes(operation)
        peak = max(peak, sum(alive.values()) + inside)
        alive = {key: size for key, size in alive.items() if last.get(key, len(order)) > number}
    return peak


def _bytes(operation: Any, tensor: Any) -> int:
    if isinstance(operation, _VIEWS) and not isinstance(operation, keras.layers.InputLayer):
        return 0
    return int(np.prod(tensor.shape[1:])) * _itemsize(str(tensor.dtype))
