"""What a model is made of, in numbers."""

from typing import Any

import keras
import numpy as np


def describe(model: keras.Model, image_shape: tuple[int, int] | None = None) -> dict[str, Any]:
    """Count a model's parameters and multiply-adds.

    Args:
        model: Any functional model.
        image_shape: `(H, W)` of the input, pixels; needed where the model takes any size,
            else multiply-adds are None.

    Returns:
        `name`, `parameters`, `input_shape` and `output_shape` (without the batch),
        `layers`, and `multiply_adds` of one image through all convolutions and dense
        layers (a FLOP count is twice that).
    """
    given = tuple(model.inputs[0].shape[1:])
    if image_shape is not None and None in given:
        inputs = keras.Input((*image_shape, given[-1]))
        sized = keras.models.clone_model(model, input_tensors=inputs)
    else:
        sized = model
    known = None not in sized.inputs[0].shape[1:]
    return {
        "name": str(model.name),
        "parameters": int(model.count_params()),
        "input_shape": list(sized.inputs[0].shape[1:]),
        "output_shape": list(sized.outputs[0].shape[1:]),
        "layers": len(model.layers),
        "multiply_adds": sum(map(_multiply_adds, sized.layers)) if known else None,
    }


def _multiply_adds(layer: Any) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        return int(np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.Dense):
        return int(np.prod(layer.kernel.shape))
    return 0
