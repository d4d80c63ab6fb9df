"""Builds a Keras 3 model, with its weights, from validated Keras 2.0.8 entries."""

from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.keras2.architecture import LayerEntry, TensorReference
from mammo_core.models.keras2.weights import Stored, initializer


def build(entry: LayerEntry, stored: Stored, what: str) -> keras.Model:
    """Build a model with every layer trainable.

    Args:
        entry: The architecture.
        stored: Its weights; each layer compares shapes before it creates a variable.
        what: The file, for errors.

    Raises:
        ModelError: Layers do not fit each other, or a weight has another shape.
    """
    where = entry.path or what
    layers: dict[str, tuple[Any, dict[str, Any]]] = {}
    tensors: dict[TensorReference, Any] = {}
    pending: list[tuple[LayerEntry, int, tuple[TensorReference, ...]]] = []
    for layer in entry.layers:
        if "shape" in layer.settings:
            tensor = keras.Input(layer.settings["shape"], dtype="float32", name=layer.name)
            tensors[TensorReference(layer.name, 0, 0)] = tensor
            continue
        layers[layer.name] = (
            (build(layer, stored, what), {}) if layer.is_model else _create_layer(layer, stored)
        )
        pending += [(layer, layer.first_call + k, call) for k, call in enumerate(layer.calls)]
    while pending:
        waiting = []
        for layer, number, call in pending:
            if not all(reference in tensors for reference in call):
                waiting.append((layer, number, call))
                continue
            outputs = _call(layer, *layers[layer.name], [tensors[each] for each in call])
            for k, output in enumerate(outputs):
                tensors[TensorReference(layer.name, number, k)] = output
        if len(waiting) == len(pending):
            layer, _, call = waiting[0]
            missing = next(reference for reference in call if reference not in tensors)
            raise ModelError(
                f"Layer {layer.path} in {what} has no input",
                expected=f"output {missing.output} of call {missing.call} of {missing.layer}",
                received="no tensor of that name, or a cycle",
            )
        pending = waiting
    model = _connect(entry, tensors, where)
    unused = {layer.name for layer in entry.layers} - {layer.name for layer in model.layers}
    if unused:
        raise ModelError(
            f"Layers of {where} are not connected to an output",
            expected="every layer between the inputs and the outputs",
            received=", ".join(sorted(unused)[:6]),
        )
    return model


def _create_layer(layer: LayerEntry, stored: Stored) -> tuple[Any, dict[str, Any]]:
    if layer.kind is None:
        raise ModelError(
            f"Layer {layer.path} cannot be created", expected="a layer's class", received="none"
        )
    settings = {**layer.settings, "dtype": "float32"}
    values = {}
    for slot in layer.kind.weights:
        if (weight := stored.get((layer.path, slot.kind))) is not None:
            argument = f"{slot.kind.removesuffix('_kernel')}_initializer"
            values[argument] = initializer(weight, layer.path, slot.kind)
    try:
        created = layer.kind.cls(**{**settings, **values})
        # The saved config keeps the initializers of the file; the values are stored weights.
        plain = layer.kind.cls(**settings)
    except (TypeError, ValueError) as error:
        raise _build_error(layer, error) from error
    return created, {argument: getattr(plain, argument) for argument in values}


def _call(
    layer: LayerEntry, created: Any, initializers: dict[str, Any], inputs: list[Any]
) -> list[Any]:
    multiple = len(inputs) > 1 or (layer.kind is not None and layer.kind.multiple_inputs)
    try:
        outputs = created(inputs if multiple else inputs[0])
    except ModelError:
        raise
    except Exception as error:  # Keras and its backends raise many kinds here
        raise _build_error(layer, error) from error
    for argument, value in initializers.items():
        setattr(created, argument, value)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _connect(entry: LayerEntry, tensors: dict[TensorReference, Any], where: str) -> keras.Model:
    ends = []
    for kind, references in (("input", entry.inputs), ("output", entry.outputs)):
        missing = [reference for reference in references if reference not in tensors]
        if missing:
            raise ModelError(
                f"{where} lacks an {kind}",
                expected=f"output {missing[0].output} of call {missing[0].call} "
                f"of {missing[0].layer}",
                received="no tensor of that name",
            )
        chosen = [tensors[reference] for reference in references]
        ends.append(chosen if len(chosen) > 1 else chosen[0])
    try:
        return keras.Model(ends[0], ends[1], name=entry.name)
    except Exception as error:  # Keras raises many kinds here
        raise _build_error(entry, error) from error


def _build_error(layer: LayerEntry, error: Exception) -> ModelError:
    lines = str(error).splitlines()
    return ModelError(
        f"Layer {layer.path or layer.name} cannot be built on its inputs",
        expected="layers that fit each other",
        received=lines[0][:300] if lines else type(error).__name__,
    )
