"""The graph of a Keras model: its nodes, tensors and layers.

Keras has no public interface to the graph, so this is the only module that reads its private
attributes.
"""

from collections.abc import Iterator
from typing import Any

import keras


def levels(model: keras.Model) -> list[list[Any]]:
    """Return the nodes (calls of layers) of a model by depth, from the inputs on."""
    return [nodes for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True)]


def nodes(model: keras.Model) -> list[Any]:
    """Return the nodes of a model in the order they are computed."""
    return [node for level in levels(model) for node in level]


def nested_model(layer: Any) -> Any | None:
    """Return the model inside a layer that is a model or a Sequential; None for other layers."""
    inner = getattr(layer, "_functional", layer)
    is_nested = isinstance(layer, keras.Model) and hasattr(inner, "_nodes_by_depth")
    return inner if is_nested else None


def producer(tensor: Any) -> tuple[Any, Any]:
    """Return the layer that computed a tensor and the first tensor that this layer took.

    For an input of the model, the second is the tensor itself.
    """
    operation, number, _ = tensor._keras_history
    inputs = operation._inbound_nodes[number].input_tensors
    return operation, inputs[0] if inputs else tensor


def last_input(layer: Any) -> Any:
    """Return the first input tensor of the most recent call of a layer."""
    return layer._inbound_nodes[-1].input_tensors[0]


def last_outputs(layer: Any) -> list[Any]:
    """Return the output tensors of the most recent call of a layer."""
    return list(layer._inbound_nodes[-1].output_tensors)


def parents(operation: Any) -> list[Any]:
    """Return the operations whose outputs the first call of an operation took."""
    return [node.operation for node in operation._inbound_nodes[0].parent_nodes]


def rename_operation(tensor: Any, name: str) -> Any:
    """Rename the operation that computed a tensor, and return the tensor.

    Keras numbers unnamed operations over the whole process: the same network would be saved
    with other bytes in another process.
    """
    tensor._keras_history.operation.name = name
    return tensor


def copied_onto(model: keras.Model, x: Any) -> Any:
    """Copy the layers of a model, with new weights, and call them on another tensor.

    `clone_model` alone returns a model with an input of its own, cut off from what computed `x`.

    Args:
        model: A model of one input and one output.
        x: A symbolic tensor.

    Returns:
        The output for `x`, a symbolic tensor.
    """
    outputs: list[Any] = []

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        outputs.append(layer(*args, **options))
        return outputs[-1]

    keras.models.clone_model(model, input_tensors=x, call_function=call)
    return outputs[-1]


def leaf_layers(model: keras.Model) -> list[Any]:
    """Return every layer of a model once, in order, including those inside nested models.

    A Sequential is kept whole: here it is one layer of a network (the stem of ConvNeXt).
    """
    return [layer for layer, _ in leaf_calls(model)]


def leaf_calls(model: keras.Model) -> Iterator[tuple[Any, int]]:
    """Yield every leaf layer and how often one pass through the model calls it."""
    calls: dict[str, int] = {}
    for node in nodes(model):
        calls[node.operation.name] = calls.get(node.operation.name, 0) + 1
    for layer in model.layers:
        if isinstance(layer, keras.Model) and not isinstance(layer, keras.Sequential):
            for inner, count in leaf_calls(layer):
                # The input of a nested model is the layer before it.
                if not isinstance(inner, keras.layers.InputLayer):
                    yield inner, count * calls[layer.name]
        else:
            yield layer, calls[layer.name]
