"""A Keras 3 model from checked Keras 2.0.8 entries, its weights set as it is built."""

from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.keras2.architecture import Entry, Reference
from mammo_core.models.keras2.weights import Stored, initializer


def build(entry: Entry, stored: Stored, what: str) -> keras.Model:
    """Build a model, all of it trainable.

    Args:
        entry: The architecture.
        stored: Its weights; each layer compares shapes before it makes a variable.
        what: The file in errors.

    Raises:
        ModelError: Layers do not follow each other, or a weight has another shape.
    """
    where = entry.path or what
    made: dict[str, tuple[Any, dict[str, Any]]] = {}
    tensors: dict[Reference, Any] = {}
    pending: list[tuple[Entry, int, tuple[Reference, ...]]] = []
    for layer in entry.layers:
        if "shape" in layer.settings:
            tensor = keras.Input(layer.settings["shape"], dtype="float32", name=layer.name)
            tensors[Reference(layer.name, 0, 0)] = tensor
            continue
        made[layer.name] = (
            (build(layer, stored, what), {}) if layer.is_model else _make(layer, stored)
        )
        pending += [(layer, layer.first_call + k, call) for k, call in enumerate(layer.calls)]
    while pending:
        waiting = []
        for layer, number, call in pending:
            if not all(reference in tensors for reference in call):
                waiting.append((layer, number, call))
                continue
            outputs = _call(layer, *made[layer.name], [tensors[each] for each in call])
            for k, output in enumerate(outputs):
                tensors[Reference(layer.name, number, k)] = output
        if len(waiting) == len(pending):
            layer, _, call = waiting[0]
            absent = next(reference for reference in call if reference not in tensors)
            raise ModelError(
                f"Layer {layer.path} in {what} has no input",
                expected=f"output {absent.output} of call {absent.call} of {absent.layer}",
                received="none of that name, or a circle",
            )
        pending = waiting
    model = _whole(entry, tensors, where)
    unused = {layer.name for layer in entry.layers} - {layer.name for layer in model.layers}
    if unused:
        raise ModelError(
            f"Layers of {where} lead nowhere",
            expected="every layer between the inputs and the outputs",
            received=", ".join(sorted(unused)[:6]),
        )
    return model


def _make(layer: Entry, stored: Stored) -> tuple[Any, dict[str, Any]]:
    if layer.kind is None:
        raise ModelError(
            f"Layer {layer.path} cannot be made", expected="a layer's class", received="none"
        )
    settings = {**layer.settings, "dtype": "float32"}
    values = {}
    for slot in layer.kind.weights:
        if (found := stored.get((layer.path, slot.kind))) is not None:
            argument = f"{slot.kind.removesuffix('_kernel')}_initializer"
            values[argument] = initializer(found, layer.path, slot.kind)
    try:
        made = layer.kind.make(**{**settings, **values})
        # What the file says is kept for the saved config; the values come from the file.
        plain = layer.kind.make(**settings)
    except (TypeError, ValueError) as error:
        raise _unbuilt(layer, error) from error
    return made, {argument: getattr(plain, argument) for argument in values}


def _call(layer: Entry, made: Any, initializers: dict[str, Any], inputs: list[Any]) -> list[Any]:
    several = len(inputs) > 1 or (layer.kind is not None and layer.kind.several)
    try:
        outputs = made(inputs if several else inputs[0])
    except ModelError:
        raise
    except Exception as error:  # Keras and its backends raise many kinds here
        raise _unbuilt(layer, error) from error
    for argument, value in initializers.items():
        setattr(made, argument, value)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _whole(entry: Entry, tensors: dict[Reference, Any], where: str) -> keras.Model:
    found = []
    for kind, references in (("input", entry.inputs), ("output", entry.outputs)):
        absent = [reference for reference in references if reference not in tensors]
        if absent:
            raise ModelError(
                f"{where} lacks an {kind}",
                expected=f"output {absent[0].output} of call {absent[0].call} of {absent[0].layer}",
                received="none of that name",
            )
        chosen = [tensors[reference] for reference in references]
        found.append(chosen if len(chosen) > 1 else chosen[0])
    try:
        return keras.Model(found[0], found[1], name=entry.name)
    except Exception as error:  # Keras raises many kinds here
        raise _unbuilt(entry, error) from error


def _unbuilt(layer: Entry, error: Exception) -> ModelError:
    told = str(error).splitlines()
    return ModelError(
        f"Layer {layer.path or layer.name} cannot be built on its inputs",
        expected="layers that fit each other",
        received=told[0][:300] if told else type(error).__name__,
    )
