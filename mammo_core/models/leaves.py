"""The layers of a model, those inside nested models too."""

from collections.abc import Iterator
from typing import Any

import keras


def leaf_layers(model: keras.Model) -> list[Any]:
    """Return every layer of a model once, in its order, nested models taken apart.

    Sequences stay whole: they are layers of a network here (ConvNeXt's stem).
    """
    return [layer for layer, _ in leaf_calls(model)]


def leaf_calls(model: keras.Model) -> Iterator[tuple[Any, int]]:
    """Yield every layer with how often one pass through the model calls it."""
    calls: dict[str, int] = {}
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            calls[node.operation.name] = calls.get(node.operation.name, 0) + 1
    for layer in model.layers:
        if isinstance(layer, keras.Model) and not isinstance(layer, keras.Sequential):
            for inner, count in leaf_calls(layer):
                # A nested model's input is the layer before it.
                if not isinstance(inner, keras.layers.InputLayer):
                    yield inner, count * calls[layer.name]
        else:
            yield layer, calls[layer.name]
