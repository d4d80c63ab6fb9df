"""The receptive field of a feature cell: its position, stride and extent in the image.

Computed from the layers of any network: built here, imported or of `keras.applications`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.graph import nested_model, nodes

_WINDOWS = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"}
_GLOBAL = {"GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"}
# Each output cell depends on the input cell or cells at the same position.
_POINTWISE = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "Identity"),
    *("BatchNormalization", "LayerNormalization", "Rescaling", "Normalization", "LayerScale"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "StochasticDepth"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dense"),
    *("ActivityRegularization", "InputLayer"),
}


@dataclass(frozen=True)
class ReceptiveField:
    """The cells of a feature map along one axis, and the pixels each depends on.

    Attributes:
        cells: Number of cells.
        stride: Pixels from one cell to the next.
        low: Pixel index of the first pixel of cell 0; below 0 where padding extends the image.
        high: Pixel index of the last pixel of cell 0.
        everywhere: Whether every cell also depends on the whole image (squeeze-excitation).
    """

    cells: int
    stride: int = 1
    low: int = 0
    high: int = 0
    everywhere: bool = False

    @property
    def center(self) -> float:
        """Pixel index of the center of cell 0."""
        return (self.low + self.high) / 2

    def after_window(self, size: int, step: int, before: int, after: int) -> "ReceptiveField":
        """Return the field after a window of this size, stride and padding, in cells."""
        return replace(
            self,
            cells=max((self.cells + before + after - size) // step + 1, 0),
            stride=self.stride * step,
            low=self.low - self.stride * before,
            high=self.high + self.stride * (size - 1 - before),
        )

    def after_padding(self, before: int, after: int) -> "ReceptiveField":
        """Return the field of a map padded (or, below 0, cropped) by this many cells."""
        moved = self.stride * before
        return replace(
            self, cells=self.cells + before + after, low=self.low - moved, high=self.high - moved
        )


def receptive_field(features: keras.Model, side: int, axis: int) -> ReceptiveField:
    """Follow one axis of an image to a feature map.

    Args:
        features: A model with one image as input and one feature map as output.
        side: Side of the image along the axis, pixels.
        axis: 0 for rows, 1 for columns.

    Raises:
        ModelError: A layer moves cells in an unsupported way, or joins maps that are not
            aligned.
    """
    fields = _through(features, [ReceptiveField(side)], axis)
    if fields[0] is None:
        raise _unsupported_error(
            str(features.name), "features without a position", "a map of the image"
        )
    return fields[0]


def _through(
    model: Any, inputs: Sequence[ReceptiveField | None], axis: int
) -> list[ReceptiveField | None]:
    """Return the fields of a model's outputs; None for outputs with channels only."""
    fields = {id(tensor): field for tensor, field in zip(model.inputs, inputs, strict=True)}
    for node in nodes(model):
        if node.is_input:
            continue
        taken = [fields[id(tensor)] for tensor in node.input_tensors]
        layer = node.operation
        inner = nested_model(layer)
        if inner is not None:
            outputs = _through(inner, taken, axis)
        else:
            outputs = [_after(layer, taken, axis)] * len(node.output_tensors)
        fields.update(zip(map(id, node.output_tensors), outputs, strict=True))
    return [fields[id(tensor)] for tensor in model.outputs]


def _after(layer: Any, inputs: Sequence[ReceptiveField | None], axis: int) -> ReceptiveField | None:
    kind = type(layer).__name__
    maps = [field for field in inputs if field is not None]
    if kind in _GLOBAL or not maps:
        return None
    if kind in _WINDOWS:
        return _after_window(layer, maps[0], axis)
    if kind in ("ZeroPadding2D", "Cropping2D"):
        before, after = (layer.padding if kind == "ZeroPadding2D" else layer.cropping)[axis]
        sign = 1 if kind == "ZeroPadding2D" else -1
        return maps[0].after_padding(sign * before, sign * after)
    if kind not in _POINTWISE:
        raise _unsupported_error(
            str(layer.name), f"a {kind}", "convolutions, pools and pointwise layers"
        )
    if len({(field.cells, field.stride) for field in maps}) != 1:
        raise _unsupported_error(str(layer.name), f"maps of {maps}", "aligned maps")
    return replace(
        maps[0],
        low=min(field.low for field in maps),
        high=max(field.high for field in maps),
        everywhere=len(maps) < len(inputs) or any(field.everywhere for field in maps),
    )


def _after_window(layer: Any, field: ReceptiveField, axis: int) -> ReceptiveField:
    size = getattr(layer, "kernel_size", None) or layer.pool_size
    step = layer.strides[axis]
    dilation = getattr(layer, "dilation_rate", (1, 1))
    extent = (size[axis] - 1) * (dilation if isinstance(dilation, int) else dilation[axis]) + 1
    before = after = 0
    if layer.padding == "same":
        # As TensorFlow pads: the smaller half of what is missing goes before.
        total = max((-(-field.cells // step) - 1) * step + extent - field.cells, 0)
        before, after = total // 2, total - total // 2
    return field.after_window(extent, step, before, after)


def _unsupported_error(name: str, received: str, expected: str) -> ModelError:
    return ModelError(
        f"No heatmap can be computed: the receptive field cannot be followed through {name}",
        expected=expected,
        received=received,
    )
