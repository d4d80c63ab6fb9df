"""Less memory for a training step: what lies within a block is computed again when needed."""

import re
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from mammo_core.models.registry import Network, network_of

_HEAD_BLOCK = re.compile(r"head_block\d+")


def rematerialised(model: keras.Model) -> keras.Model:
    """Wrap a model's layers so that a training step keeps only what passes between blocks.

    The backward pass computes each block once more, from its input (Chen et al. 2016,
    arXiv:1604.06174): about a third more arithmetic, and of the activations only the blocks'
    outputs and one block's inside are in memory at a time. Weights, moving averages and
    dropout are those of the plain step but for rounding.

    Args:
        model: A patch, whole-image or two-view classifier of this library.

    Returns:
        A model of the same layers, inputs and outputs.
    """
    network = network_of(model)
    if len(model.inputs) == 1:
        return _divided(model, network)

    def tower(layer: Any) -> Any:
        return _divided(layer, network) if isinstance(layer, keras.Model) else layer

    copied = keras.models.clone_model(model, clone_function=tower)
    copied.name = model.name
    return copied


class _Block(keras.layers.Layer):  # type: ignore[misc]
    """A part of a network with one input and one output that is computed twice."""

    def __init__(self, part: keras.Model, name: str) -> None:
        # The part's own layers cast what they take.
        super().__init__(name=name, autocast=False)
        self.part = part
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return self.part(x, training=False)
        learned, others = self.part.trainable_variables, self.part.non_trainable_variables
        # All that changes is handed in and out: what is computed twice must not act twice, and
        # must not see what it did (TensorFlow's variables would be read again).
        kept = [ops.copy(variable) for variable in others]

        def run(x: Any, *weights: Any) -> Any:
            y, changed = self.part.stateless_call(list(weights), kept, x, training=True)
            return (y, *changed)

        weights = [ops.copy(variable) for variable in learned]
        y, *changed = keras.remat(run)(x, *weights)
        for variable, value in zip(others, changed, strict=True):
            variable.assign(value)
        return y

    def compute_output_spec(self, x: Any, training: bool = False) -> Any:
        return self.part.compute_output_spec(x)


def _divided(model: keras.Model, network: Network) -> keras.Model:
    x = inputs = model.inputs[0]
    taken: set[str] = set()
    for block, start, end in _parts(model, network):
        part = keras.Model(start, end, name=f"{model.name}_part_{len(taken)}")
        taken.add(part.name)
        x = part(x) if block is None else _Block(part, f"{part.name}_{block}")(x)
    return keras.Model(inputs, x, name=model.name)


def _parts(model: keras.Model, network: Network) -> Iterator[tuple[str | None, Any, Any]]:
    """Cut a network where a single tensor passes: block, first and last tensor of each part."""
    start = end = model.inputs[0]
    running: str | None = None
    for block, cut in _cuts(model, network):
        if block != running and end is not start:
            yield running, start, end
            start = end
        running, end = block, cut
    yield running, start, end


def _cuts(model: keras.Model, network: Network) -> Iterator[tuple[str | None, Any]]:
    """Yield each tensor that alone passes from one layer to the next, and whose it is."""
    levels = [nodes for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True)]
    last_use: dict[int, int] = {id(tensor): len(levels) for tensor in model.outputs}
    for level, nodes in enumerate(levels):
        for node in nodes:
            for tensor in node.input_tensors:
                last_use[id(tensor)] = max(last_use.get(id(tensor), 0), level)
    alive: dict[int, tuple[Any, str | None]] = {}
    for level, nodes in enumerate(levels):
        for node in nodes:
            for tensor in node.output_tensors:
                alive[id(tensor)] = tensor, _block_of(node.operation.name, network)
        alive = {key: kept for key, kept in alive.items() if last_use.get(key, -1) > level}
        if level and len(alive) == 1:
            ((tensor, block),) = alive.values()
            yield block, tensor


def _block_of(layer: str, network: Network) -> str | None:
    found = _HEAD_BLOCK.match(layer)
    return found.group() if found else network.block_of(layer)
