"""Several classifiers as one network: the weighted mean of their probabilities."""

from collections.abc import Sequence

import keras
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.config import VIEWS


def average(models: Sequence[keras.Model], weights: Sequence[float]) -> keras.Model:
    """Combine several classifiers into one.

    Args:
        models: Each `(n, H, W, channels) float32 -> (n, classes) float32, [0, 1]`, all with
            the same shapes; or all with two views, `cc` and `mlo`.
        weights: One per model, above 0; only their ratios matter.

    Returns:
        A model with the same shapes: the weighted mean of the probabilities, in float32.

    Raises:
        ModelError: The list is empty, the shapes differ, or a weight is missing.
    """
    shapes = {
        (tuple(tensor.shape for tensor in model.inputs), model.output_shape) for model in models
    }
    if len(shapes) != 1 or len(weights) != len(models) or min(weights) <= 0:
        raise ModelError(
            "These networks cannot be averaged",
            expected="networks with the same inputs and outputs, each with a weight above 0",
            received=f"{len(models)} networks of shapes {sorted(map(str, shapes))}, "
            f"weights {list(weights)}",
            hint="Networks with 1 and 3 channels, or with one view and two, cannot be mixed",
        )
    shape, *other = [tensor.shape[1:] for tensor in models[0].inputs]
    names = VIEWS if other else ("pixels",)
    views = [keras.Input(shape, name=name) for name in names]
    inputs = views if other else views[0]
    parts = []
    for number, (model, weight) in enumerate(zip(models, weights, strict=True), start=1):
        name = f"member{number}_{model.name}"
        member_inputs = model.inputs if other else model.inputs[0]
        member = keras.Model(member_inputs, model.outputs[0], name=name)
        share = layers.Rescaling(
            weight / sum(weights), dtype="float32", name=f"member{number}_share"
        )
        parts.append(share(member(inputs)))
    if len(parts) == 1:
        return keras.Model(inputs, parts[0], name="ensemble")
    mean = layers.Add(dtype="float32", name="mean_probability")(parts)
    return keras.Model(inputs, mean, name="ensemble")
