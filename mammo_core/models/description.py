"""What a model is made of, in numbers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from mammo_core.models.leaves import leaf_calls
from mammo_core.models.registry import NETWORKS, network_of

# Layers that hand on what they were given: they keep no values of their own.
_VIEWS = (
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Identity,
    keras.layers.InputLayer,
    keras.layers.Reshape,
)
#: Adam keeps two moments beside a weight and its gradient, all float32.
TRAINING_BYTES_PER_PARAMETER = 16


@dataclass(frozen=True)
class LayerRow:
    """A layer in numbers.

    Attributes:
        name: Of the layer.
        kind: Its class.
        output_shape: Without the batch; None where it depends on the input's size.
        parameters: Weights of every kind.
        multiply_adds: Of one image (two views: one exam), None where the size is open;
            convolutions and dense layers only.
        activation_bytes: Of its outputs for one image, at the layer's precision; None where
            the size is open, 0 for layers that hand on their input.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int
    multiply_adds: int | None
    activation_bytes: int | None


def describe(model: keras.Model, image_shape: tuple[int, int] | None = None) -> dict[str, Any]:
    """Count a model's parameters, work and memory.

    Args:
        model: Any functional model.
        image_shape: `(H, W)` of the input, pixels; needed where the model takes any size,
            else what depends on it is None.

    Returns:
        `name`, `parameters`, `trainable_parameters`, `input_shape` and `output_shape`
        (without the batch), `layers`; and of one image: `multiply_adds` through all
        convolutions and dense layers, `flops` (twice that), `training_bytes` (every layer's
        output once, as back-propagation keeps them) and `inference_bytes` (the most that is
        alive at a time).
    """
    sized = at_size(model, image_shape)
    rows = layer_rows(sized)
    known = None not in sized.inputs[0].shape[1:]
    work = sum(row.multiply_adds or 0 for row in rows) if known else None
    return {
        "name": str(model.name),
        "parameters": int(model.count_params()),
        "trainable_parameters": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
        "input_shape": list(sized.inputs[0].shape[1:]),
        "output_shape": list(sized.outputs[0].shape[1:]),
        "layers": len(model.layers),
        "multiply_adds": work,
        "flops": None if work is None else 2 * work,
        "training_bytes": sum(row.activation_bytes or 0 for row in rows) if known else None,
        "inference_bytes": _most_alive(sized) if known else None,
    }


def at_size(model: keras.Model, image_shape: tuple[int, int] | None) -> keras.Model:
    """Return the model for images of one size, or itself where it has a size already."""
    given = tuple(model.inputs[0].shape[1:])
    if image_shape is None or None not in given:
        return model
    inputs = [keras.Input((*image_shape, x.shape[-1]), name=x.name) for x in model.inputs]
    return keras.models.clone_model(
        model, input_tensors=inputs if isinstance(model.input, list) else inputs[0]
    )


def layer_rows(model: keras.Model) -> list[LayerRow]:
    """Describe each layer, those inside nested models and sequences too."""
    return [_row(layer, calls) for layer, calls in leaf_calls(model)]


def outer_rows(model: keras.Model) -> list[LayerRow]:
    """Describe a whole-image network as the original nested it: the patch network is one.

    Args:
        model: A whole-image model of this library.

    Returns:
        The input, the patch network's layers as one of kind `Model`, and the head's.
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
    """Return how many images fit into a memory at a time.

    Args:
        described: What `describe` told, with a size.
        memory: Bytes, all of them free.
        training: Whether with gradients and Adam's moments, all activations kept; else
            for inference.

    Returns:
        Images; 0 where not even one fits. What convolution libraries take as workspace is
        not counted, and fusion and rematerialisation keep less: measure before you rely on it.
    """
    weights = TRAINING_BYTES_PER_PARAMETER if training else 4
    image = described["training_bytes" if training else "inference_bytes"]
    return int(max((memory - weights * described["parameters"]) // image, 0))


def contract(name: str) -> dict[str, Any]:
    """Return what a network of the registry asks of its input.

    Args:
        name: Key of the registry.
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


def as_json(row: LayerRow) -> dict[str, Any]:
    """Return a row for a JSON document."""
    return {**asdict(row), "output_shape": list(row.output_shape)}


def _sum(values: Iterator[int | None]) -> int | None:
    found = list(values)
    return None if None in found else sum(value or 0 for value in found)


def _row(layer: Any, calls: int) -> LayerRow:
    shape = tuple(layer.output.shape[1:])
    open_size = None in shape
    kept = 0 if isinstance(layer, _VIEWS) else int(np.prod([side or 0 for side in shape]))
    return LayerRow(
        name=layer.name,
        kind=type(layer).__name__,
        output_shape=shape,
        parameters=int(layer.count_params()),
        multiply_adds=None if open_size else calls * _multiply_adds(layer, shape),
        activation_bytes=None if open_size else calls * kept * _itemsize(layer.compute_dtype),
    )


def _multiply_adds(layer: Any, shape: tuple[int, ...]) -> int:
    """Count by kernel: each weight is used once for every place of the output."""
    places = int(np.prod(shape[:-1]))
    if isinstance(layer, keras.Sequential):
        # ConvNeXt's: one convolution each, which alone changes the size.
        return sum(_multiply_adds(inner, shape) for inner in layer.layers)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = np.prod(layer.depthwise_kernel.shape) + np.prod(layer.pointwise_kernel.shape)
        return places * int(kernels)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return places * int(np.prod(layer.kernel.shape))
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
        return places * int(np.prod(layer.kernel.shape))
    return 0


def _itemsize(dtype: str) -> int:
    return 2 if dtype in ("float16", "bfloat16") else int(np.dtype(dtype).itemsize)


def _most_alive(model: keras.Model) -> int:
    """Follow the graph in order, and let go of a tensor after its last use."""
    nodes = [
        node
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
    ]
    last: dict[int, int] = {}
    for number, node in enumerate(nodes):
        for tensor in node.input_tensors:
            last[id(tensor)] = number
    alive: dict[int, int] = {}
    most = 0
    for number, node in enumerate(nodes):
        operation = node.operation
        alive |= {id(tensor): _bytes(operation, tensor) for tensor in node.output_tensors}
        inside = 0
        if isinstance(operation, keras.Model) and not isinstance(operation, keras.Sequential):
            inside = _most_alive(operation)
        most = max(most, sum(alive.values()) + inside)
        alive = {key: size for key, size in alive.items() if last.get(key, len(nodes)) > number}
    return most


def _bytes(operation: Any, tensor: Any) -> int:
    if isinstance(operation, _VIEWS) and not isinstance(operation, keras.layers.InputLayer):
        return 0
    return int(np.prod(tensor.shape[1:])) * _itemsize(str(tensor.dtype))
