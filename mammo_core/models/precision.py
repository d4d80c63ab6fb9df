"""Networks that compute in 16 bits and keep their weights in 32."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import keras

from mammo_core.errors import RecipeError
from mammo_core.models.graph import leaf_layers
from mammo_core.models.weights import transfer_weights

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
# The layers from the logits on.
_LAST = {"predictions", "head_logits", "head_shortcut", "head_add"}


def parse_precision(text: str) -> Precision:
    """Parse a precision.

    Raises:
        RecipeError: There is no such precision.
    """
    if text not in get_args(Precision):
        raise RecipeError(
            f"There is no precision {text}",
            expected=f"one of {', '.join(get_args(Precision))}",
            received=text,
        )
    return text  # type: ignore[return-value]


def with_precision(model: keras.Model, precision: Precision) -> keras.Model:
    """Copy a model so that its layers compute in another precision.

    Args:
        model: Any model of this library; it is not changed.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`. Weights stay float32, and so
            do the division of the input and everything from the logits on.

    Returns:
        A model with the same weights, inputs and outputs (float32).
    """

    def clone(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return layer  # a bare operation has no precision and no weights
        config = layer.get_config()
        softmax = config.get("activation") == "softmax"
        if layer.name not in {*_LAST, "rescale"} and not softmax:
            config["dtype"] = precision
        return layer.__class__.from_config(config)

    copied = keras.models.clone_model(model, clone_function=clone, recursive=True)
    transfer_weights(model, copied, what=f"the model {model.name}")
    return copied


@contextmanager
def compute_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Make the layers of a model compute in another precision within a `with` block.

    The layers from the logits on stay float32.

    Args:
        model: A classifier of this library.
        precision: As in `with_precision`; `float32` leaves the model as it is.
    """
    if precision == "float32":
        yield
        return
    before = [
        (layer, layer.dtype_policy)
        for layer in leaf_layers(model)
        if layer.name not in _LAST and not isinstance(layer, keras.layers.InputLayer)
    ]
    try:
        for layer, _ in before:
            layer.dtype_policy = precision
        model.make_predict_function(force=True)
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy
        model.make_predict_function(force=True)
