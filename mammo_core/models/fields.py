"""What part of an image a feature cell sees: its place, its step and its reach.

Followed through the layers of a network, whatever it is: ours, imported or of Keras.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from mammo_core.errors import ModelError

_WINDOWS = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"}
_GLOBAL = {"GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"}
# Each output cell from the cell or cells at the same place.
_IN_PLACE = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "Identity"),
    *("BatchNormalization", "LayerNormalization", "Rescaling", "Normalization", "LayerScale"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "StochasticDepth"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dense"),
    *("ActivityRegularization", "InputLayer"),
}


@dataclass(frozen=True)
class Field:
    """The cells of a feature map along one axis, and the pixels that they see.

    Attributes:
        cells: How many there are.
        stride: Pixels from one to the next.
        low: Pixel index of the first that cell 0 sees; below 0 where padding reaches out.
        high: Pixel index of the last that cell 0 sees.
        everywhere: Whether every cell also depends on the whole image (squeeze-excitation).
    """

    cells: int
    stride: int = 1
    low: int = 0
    high: int = 0
    everywhere: bool = False

    @property
    def centre(self) -> float:
        """Pixel index in the middle of what cell 0 sees."""
        return (self.low + self.high) / 2

    def window(self, size: int, step: int, before: int, after: int) -> "Field":
        """Return the field behind a window of so many cells, padded so."""
        return replace(
            self,
            cells=max((self.cells + before + after - size) // step + 1, 0),
            stride=self.stride * step,
            low=self.low - self.stride * before,
            high=self.high + self.stride * (size - 1 - before),
        )

    def padded(self, before: int, after: int) -> "Field":
        """Return the field of a map with so many cells more (or, below 0, fewer) at its ends."""
        moved = self.stride * before
        return replace(
            self, cells=self.cells + before + after, low=self.low - moved, high=self.high - moved
        )


def field_of(features: keras.Model, side: int, axis: int) -> Field:
    """Follow one axis of an image to a feature map.

    Args:
        features: One image in, one feature map out.
        side: Of the image along the axis, pixels.
        axis: 0 for rows, 1 for columns.

    Raises:
        ModelError: A layer moves cells in a way that is not known, or joins maps that do not
            lie on each other.
    """
    found = _through(features, [Field(side)], axis)
    if found[0] is None:
        raise _strange(str(features.name), "features without a place", "a map of the image")
    return found[0]


def _through(model: Any, inputs: Sequence[Field | None], axis: int) -> list[Field | None]:
    """Return the fields of a model's outputs; None for what has no place, only channels."""
    known = {id(tensor): given for tensor, given in zip(model.inputs, inputs, strict=True)}
    levels = model._nodes_by_depth
    for depth in sorted(levels, reverse=True):
        for node in levels[depth]:
            if node.is_input:
                continue
            given = [known[id(tensor)] for tensor in node.input_tensors]
            layer = node.operation
            inner = getattr(layer, "_functional", layer)  # of a Sequential
            if isinstance(layer, keras.Model) and hasattr(inner, "_nodes_by_depth"):
                outputs = _through(inner, given, axis)
            else:
                outputs = [_behind(layer, given, axis)] * len(node.output_tensors)
            known.update(zip(map(id, node.output_tensors), outputs, strict=True))
    return [known[id(tensor)] for tensor in model.outputs]


def _behind(layer: Any, given: Sequence[Field | None], axis: int) -> Field | None:
    kind = type(layer).__name__
    placed = [field for field in given if field is not None]
    if kind in _GLOBAL or not placed:
        return None
    if kind in _WINDOWS:
        return _window(layer, placed[0], axis)
    if kind in ("ZeroPadding2D", "Cropping2D"):
        before, after = (layer.padding if kind == "ZeroPadding2D" else layer.cropping)[axis]
        sign = 1 if kind == "ZeroPadding2D" else -1
        return placed[0].padded(sign * before, sign * after)
    if kind not in _IN_PLACE:
        raise _strange(str(layer.name), f"a {kind}", "convolutions, pools and layers in place")
    if len({(field.cells, field.stride) for field in placed}) != 1:
        raise _strange(str(layer.name), f"maps of {placed}", "maps that lie on each other")
    return replace(
        placed[0],
        low=min(field.low for field in placed),
        high=max(field.high for field in placed),
        everywhere=len(placed) < len(given) or any(field.everywhere for field in placed),
    )


def _window(layer: Any, field: Field, axis: int) -> Field:
    size = getattr(layer, "kernel_size", None) or layer.pool_size
    step = layer.strides[axis]
    dilation = getattr(layer, "dilation_rate", (1, 1))
    reach = (size[axis] - 1) * (dilation if isinstance(dilation, int) else dilation[axis]) + 1
    before = after = 0
    if layer.padding == "same":
        # As TensorFlow pads: what the steps leave over, the smaller half before.
        total = max((-(-field.cells // step) - 1) * step + reach - field.cells, 0)
        before, after = total // 2, total - total // 2
    return field.window(reach, step, before, after)


def _strange(name: str, received: str, expected: str) -> ModelError:
    return ModelError(
        f"No heatmap can be made: {name} cannot be followed", expected=expected, received=received
    )
