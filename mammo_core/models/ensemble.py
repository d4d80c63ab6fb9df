"""Several classifiers as one network: the weighted mean of their probabilities."""

from collections.abc import Sequence

import keras
from keras import layers

from mammo_core.errors import ModelError


def average(models: Sequence[keras.Model], weights: Sequence[float]) -> keras.Model:
    """Make one classifier of several.

    Args:
        models: Each `(n, H, W, channels) float32 -> (n, classes) float32, [0, 1]`, all of the
            same shapes.
        weights: One for each model, above 0; only their ratios matter.

    Returns:
        A model of the same shapes: the weighted mean of the probabilities, in float32.

    Raises:
        ModelError: There is no model, the shapes differ, or a weight is missing.
    """
    shapes = {(model.input_shape, model.output_shape) for model in models}
    if len(shapes) != 1 or len(weights) != len(models) or min(weights) <= 0:
        raise ModelError(
            "These networks cannot be averaged",
            expected="networks of the same input and output, each with a weight above 0",
            received=f"{len(models)} networks of shapes {sorted(map(str, shapes))}, "
            f"weights {list(weights)}",
            hint="networks of 1 and of 3 channels cannot be mixed",
        )
    inputs = keras.Input(models[0].input_shape[1:], name="pixels")
    parts = []
    for number, (model, weight) in enumerate(zip(models, weights, strict=True), start=1):
        name = f"member{number}_{model.name}"
        member = keras.Model(model.inputs[0], model.outputs[0], name=name)
        share = layers.Rescaling(
            weight / sum(weights), dtype="float32", name=f"member{number}_share"
        )
        parts.append(share(member(inputs)))
    if len(parts) == 1:
        return keras.Model(inputs, parts[0], name="ensemble")
    mean = layers.Add(dtype="float32", name="mean_probability")(parts)
    return keras.Model(inputs, mean, name="ensemble")
