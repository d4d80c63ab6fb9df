"""Networks that compute in 16 bits and keep their weights in 32."""

from typing import Any, Literal

import keras

from mammo_core.models.weights import transfer

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
# The last layers, and the first: what they compute has a range or a sum of its own.
_FLOAT32 = {"rescale", "predictions", "head_logits", "head_shortcut", "head_add"}


def with_precision(model: keras.Model, precision: Precision) -> keras.Model:
    """Copy a model so that its layers compute in another precision.

    Args:
        model: Any model of this library; it stays as it is.
        precision: `float32`, or `mixed_bfloat16` or `mixed_float16`: weights stay float32,
            and so do the division of the input and everything from the logits on.

    Returns:
        A model of the same weights, inputs and outputs (float32).
    """

    def clone(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return layer  # a bare operation has no precision and no weights
        config = layer.get_config()
        softmax = config.get("activation") == "softmax"
        if layer.name not in _FLOAT32 and not softmax:
            config["dtype"] = precision
        return layer.__class__.from_config(config)

    copied = keras.models.clone_model(model, clone_function=clone, recursive=True)
    transfer(model, copied, what=f"the model {model.name}")
    return copied
