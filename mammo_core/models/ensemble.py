"""Several classifiers as one network: the weighted mean of their probabilities."""

from collections.abc import Sequence

import keras
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.config import VIEWS


def average(models: Sequence[keras.Model], weights: Sequence[float]) -> keras.Model:
    """Make one classifier of several.

    Args:
        models: Each `(n, H, W, channels) float32 -> (n, classes) float32, [0, 1]`, all of the
            same shapes; or all of two views, `cc` and `mlo`.
        weights: One for each model, above 0; only their ratios matter.

    Returns:
        A model of the same shapes: the weighted mean of the probabilities, in float32.

    Raises:
        ModelError: There is no model, the shapes differ, or a weight is missing.
    """
    shapes = {
        (tuple(tensor.shape for tensor in model.inputs), model.output_shape) for model in models
    }
    if len(shapes) != 1 or len(weights) != len(models) or min(weights) <= 0:
        raise ModelError(
            "These networks cannot be averaged",
            expected="networks of the same input and output, each with a weight above 0",
            received=f"{len(models)} networks of shapes {sorted(map(str, shapes))}, "
            f"weights {list(weights)}",
            hint="networks of 1 and of 3 channels, or of one view and of two, cannot be mixed",
        )
    shape, *other = [tensor.shape[1:] for tensor in models[0].inputs]
    names = VIEWS if other else ("pixels",)
    given = [keras.Input(shape, name=name) for name in names]
    inputs = given if other else given[0]
    parts = []
    for number, (model, weight) in enumerate(zip(models, weights, strict=True), start=1):
        name = f"member{number}_{model.name}"
        taken = model.inputs if other else model.inputs[0]
        member = keras.Model(taken, model.outputs[0], name=name)
        share = layers.Rescaling(
            weight / sum(weights), dtype="float32", name=f"member{number}_share"
        )
        parts.append(share(member(inputs)))
    if len(parts) == 1:
        return keras.Model(inputs, parts[0], name="ensemble")
    mean = layers.Add(dtype="float32", name="mean_probability")(parts)
    return keras.Model(inputs, mean, name="ensemble")
