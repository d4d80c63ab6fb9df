"""Rematerialization: a training step that recomputes activations to save memory."""

import re
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from mammo_core.models.graph import levels
from mammo_core.models.registry import Network, network_of

_HEAD_BLOCK = re.compile(r"head_block\d+")


def with_rematerialization(model: keras.Model) -> keras.Model:
    """Wrap a model's layers so that a training step stores only the outputs of blocks.

    The backward pass computes each block again from its input (Chen et al. 2016,
    arXiv:1604.06174): about a third more arithmetic, with only the outputs of the blocks and the
    activations of one block in memory at a time. Weights, moving averages and dropout equal
    those of the plain step except for rounding.

    Args:
        model: A patch, whole-image or two-view classifier of this library.

    Returns:
        A model with the same layers, inputs and outputs.
    """
    network = network_of(model)
    if len(model.inputs) == 1:
        return _divide(model, network)

    def tower(layer: Any) -> Any:
        return _divide(layer, network) if isinstance(layer, keras.Model) else layer

    copied = keras.models.clone_model(model, clone_function=tower)
    copied.name = model.name
    return copied


class _RematerializedBlock(keras.layers.Layer):  # type: ignore[misc]
    """A part of a network with one input and one output that is computed twice."""

    def __init__(self, part: keras.Model, name: str) -> None:
        # The layers of the part cast their inputs themselves.
        super().__init__(name=name, autocast=False)
        self.part = part
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return self.part(x, training=False)
        trainable, others = self.part.trainable_variables, self.part.non_trainable_variables
        # All state is passed in and out: what is computed twice must not update state twice,
        # nor read its own updates (TensorFlow would read the variables again).
        kept = [ops.copy(variable) for variable in others]

        def run(x: Any, *weights: Any) -> Any:
            y, changed = self.part.stateless_call(list(weights), kept, x, training=True)
            return (y, *changed)

        weights = [ops.copy(variable) for variable in trainable]
        y, *changed = keras.remat(run)(x, *weights)
        for variable, value in zip(others, changed, strict=True):
            variable.assign(value)
        return y

    def compute_output_spec(self, x: Any, training: bool = False) -> Any:
        return self.part.compute_output_spec(x)


def _divide(model: keras.Model, network: Network) -> keras.Model:
    x = inputs = model.inputs[0]
    names: set[str] = set()
    for block, start, end in _parts(model, network):
        part = keras.Model(start, end, name=f"{model.name}_part_{len(names)}")
        names.add(part.name)
        x = part(x) if block is None else _RematerializedBlock(part, f"{part.name}_{block}")(x)
    return keras.Model(inputs, x, name=model.name)


def _parts(model: keras.Model, network: Network) -> Iterator[tuple[str | None, Any, Any]]:
    """Yield the block, first and last tensor of each part; one tensor passes between parts."""
    start = end = model.inputs[0]
    current: str | None = None
    for block, cut in _cuts(model, network):
        if block != current and end is not start:
            yield current, start, end
            start = end
        current, end = block, cut
    yield current, start, end


def _cuts(model: keras.Model, network: Network) -> Iterator[tuple[str | None, Any]]:
    """Yield the block and tensor at each point where a single tensor passes on."""
    order = levels(model)
    last_use: dict[int, int] = {id(tensor): len(order) for tensor in model.outputs}
    for level, nodes in enumerate(order):
        for node in nodes:
            for tensor in node.input_tensors:
                last_use[id(tensor)] = max(last_use.get(id(tensor), 0), level)
    alive: dict[int, tuple[Any, str | None]] = {}
    for level, nodes in enumerate(order):
        for node in nodes:
            for tensor in node.output_tensors:
                alive[id(tensor)] = tensor, _block_of(node.operation.name, network)
        alive = {key: kept for key, kept in alive.items() if last_use.get(key, -1) > level}
        if level and len(alive) == 1:
            ((tensor, block),) = alive.values()
            yield block, tensor


def _block_of(layer: str, network: Network) -> str | None:
    match = _HEAD_BLOCK.match(layer)
    return match.group() if match else network.block_of(layer)
