"""Heatmaps: a patch classifier swept over a whole image in one pass."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from mammo_core.errors import ModelError
from mammo_core.models.fields import Field, field_of
from mammo_core.models.places import Heatmap

_SUFFIX = "_heatmap"
_POOL = "heatmap_pool"
_DROPOUTS = ("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise")

Maps = npt.NDArray[np.float32]
Side = int | tuple[int, int]


def fully_convolutional(patch_model: keras.Model, patch_shape: Side) -> keras.Model:
    """Make a patch classifier fully convolutional, sharing its layers.

    Its global pooling becomes one over as many cells as a patch has, at stride 1; its dense
    layer a 1x1 convolution with the same weights. One pass costs 3 % of sliding a ResNet50 by
    its stride (anchors.md D4). Padding acts at the border of every patch in a sliding window
    and only at that of the image here, so the two differ somewhat (docs/heatmaps.md).

    Args:
        patch_model: A patch classifier, ours or imported: features, a global pooling, one
            dense layer.
        patch_shape: Patch side or `(h, w)` it was trained on, pixels.

    Returns:
        A model `(n, H, W, channels) float32 -> (n, rows, cols, classes) float32, [0, 1]`,
        a copy of the dense weights as they are now.

    Raises:
        ModelError: The model is built otherwise, or a patch has no cells in it.
    """
    head = _head(patch_model)
    height, width = _both(patch_shape)
    features = keras.Model(patch_model.inputs[0], head.features, name=str(patch_model.name))
    cells = tuple(_cells(features, side, axis) for axis, side in enumerate((height, width)))
    # A pool before the global one leaves out the cells that do not fill it.
    pooled = tuple(
        count // size * size for count, size in zip(cells, head.pooled_before, strict=True)
    )
    if min(pooled) < 1:
        raise ModelError(
            f"A patch of {height}x{width} is too small for {patch_model.name}",
            expected=f"patches of at least {' x '.join(map(str, head.pooled_before))} cells",
            received=f"{height}x{width} pixels, {cells[0]}x{cells[1]} cells",
        )
    pool = layers.MaxPooling2D if head.largest else layers.AveragePooling2D
    x = pool(pooled, strides=1, padding="valid", name=_POOL)(head.features)
    rest = tuple(count - size for count, size in zip(cells, pooled, strict=True))
    if any(rest):
        x = layers.Cropping2D(((0, rest[0]), (0, rest[1])), name="heatmap_crop")(x)
    classify = layers.Conv2D(
        head.dense.units,
        1,
        activation=head.activation,
        use_bias=head.dense.use_bias,
        dtype="float32",
        name="heatmap",
    )
    model = keras.Model(patch_model.inputs[0], classify(x), name=f"{patch_model.name}{_SUFFIX}")
    kernel, *bias = head.dense.get_weights()
    classify.set_weights([kernel[np.newaxis, np.newaxis], *bias])
    # Keras would compile it for each size of image: half a minute for a second's work.
    model.jit_compile = keras.backend.backend() != "tensorflow"
    return model


def heatmap(
    model: keras.Model,
    batch: npt.NDArray[np.float32],
    patch_size: Side,
    *,
    stride: int | None = None,
    tile: int | None = None,
) -> Maps:
    """Score every place of whole images.

    Args:
        model: A patch model, or what `fully_convolutional` made of it (made once, that is
            the faster for many batches).
        batch: `(n, H, W, channels) float32`, on the network's scale.
        patch_size: Patch side or `(h, w)` the model was trained on, pixels.
        stride: Pixels from one place to the next: the network's own (None), a divisor of it
            (a pass over the image for each shift) or a multiple (places left out).
        tile: The most pixels a side that the network sees at once, which bounds memory; None:
            the whole image. The result is the same: tiles overlap by what a place sees.

    Returns:
        `(n, rows, cols, classes) float32, [0, 1]`; `coordinates` says where.

    Raises:
        ModelError: The images are smaller than a patch; a stride that cannot be; a tile
            smaller than what one place sees.
    """
    plan = _plan(model, (batch.shape[1], batch.shape[2]), patch_size, stride)
    if not str(model.name).endswith(_SUFFIX):
        model = fully_convolutional(model, patch_size)
    maps = None
    for down, rows in plan[0].shifts():
        for right, columns in plan[1].shifts():
            view = batch[:, plan[0].crop(down), plan[1].crop(right)]
            found = _tiled(model, view, plan, tile)[:, :: plan[0].skip, :: plan[1].skip]
            if maps is None:
                shape = (len(batch), plan[0].count, plan[1].count, found.shape[-1])
                maps = np.empty(shape, np.float32)
            maps[:, rows, columns] = found
    if maps is None:
        raise ModelError("No heatmap was made", expected="an image", received=f"{batch.shape}")
    return maps


def image_heatmap(
    model: keras.Model,
    image: npt.NDArray[np.float32],
    patch_size: Side,
    *,
    stride: int | None = None,
    tile: int | None = None,
) -> Heatmap:
    """Score every place of one image and say where the places are.

    Args:
        model: As in `heatmap`.
        image: `(H, W, channels) float32`, on the network's scale.
        patch_size: As in `heatmap`.
        stride: As in `heatmap`.
        tile: As in `heatmap`.
    """
    maps = heatmap(model, image[np.newaxis], patch_size, stride=stride, tile=tile)
    shape = (image.shape[0], image.shape[1])
    return Heatmap(maps[0], *coordinates(model, shape, patch_size, stride=stride))


def coordinates(
    model: keras.Model,
    image_shape: tuple[int, int],
    patch_size: Side,
    *,
    stride: int | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Say where a heatmap's cells lie.

    Args:
        model: The patch or heatmap model.
        image_shape: `(H, W)` of the image, pixels.
        patch_size: Patch side or `(h, w)`, pixels.
        stride: As in `heatmap`.

    Returns:
        The centres of the cells: rows `(rows,)` and columns `(cols,)` as pixel indices of
        the image. With ResNet50 they lie half a stride before the middle of the patch:
        its strided convolutions sample the first pixel of every pair.
    """
    rows, columns = (axis.centres() for axis in _plan(model, image_shape, patch_size, stride))
    return rows, columns


@dataclass(frozen=True)
class _Head:
    """Where a patch classifier is cut, and what comes behind."""

    features: Any
    dense: Any
    activation: str
    largest: bool
    pooled_before: tuple[int, int]


def _head(model: keras.Model) -> _Head:
    """Find the dense layer, the global pooling before it and the features before that."""
    activation = None
    operation, tensor = _maker(model.outputs[0])
    if type(operation).__name__ in ("Activation", "Softmax"):
        activation = getattr(operation, "activation", keras.activations.softmax)
        operation, tensor = _maker(tensor)
    dense = operation
    if type(dense).__name__ == "Dense":
        operation, tensor = _maker(tensor)
        while type(operation).__name__ in _DROPOUTS:
            operation, tensor = _maker(tensor)
        kind, before = type(operation).__name__, (1, 1)
        if kind in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
            pool, pooled = _maker(tensor)
            whole = getattr(pool, "strides", None) == getattr(pool, "pool_size", ())
            if (
                kind == "GlobalAveragePooling2D"
                and type(pool).__name__ == "AveragePooling2D"
                and (whole and pool.padding == "valid")
            ):
                before, tensor = pool.pool_size, pooled
            last = keras.activations.serialize(activation or dense.activation)
            if activation is None or dense.activation is keras.activations.linear:
                return _Head(tensor, dense, last, kind == "GlobalMaxPooling2D", before)
    raise ModelError(
        f"{model.name} cannot be made fully convolutional",
        expected="features, a global pooling and one dense layer",
        received=f"a {type(operation).__name__} before the output",
    )


def _maker(tensor: Any) -> tuple[Any, Any]:
    """Return the layer that gave a tensor, and the tensor it took."""
    operation, number, _ = tensor._keras_history
    inputs = operation._inbound_nodes[number].input_tensors
    return operation, inputs[0] if inputs else tensor


@dataclass(frozen=True)
class _Axis:
    """How one axis of an image is gone over.

    Attributes:
        side: Of the image, pixels.
        field: Of the features.
        pooled: Cells that a place takes together.
        patch: Cells of a patch.
        finer: Passes, each shifted by a part of the network's stride.
        skip: Places from one that is kept to the next.
    """

    side: int
    field: Field
    pooled: int
    patch: int
    finer: int
    skip: int

    @property
    def places(self) -> int:
        """Places of one pass, at the network's stride."""
        return self.field.cells - self.patch + 1

    @property
    def count(self) -> int:
        """Places of the map."""
        finest = self.finer * (self.places - 1) + 1
        return -(-finest // self.skip)

    def shifts(self) -> Iterator[tuple[int, slice]]:
        """Yield each pass: pixels to shift by, and its places in the map."""
        yield 0, slice(0, None, self.finer)
        if self.places > 1:
            for k in range(1, self.finer):
                yield k * (self.field.stride // self.finer), slice(k, None, self.finer)

    def crop(self, shift: int) -> slice:
        """Return what a pass sees: a stride less, so that padding stays as it was."""
        return slice(shift, self.side - (self.field.stride - shift if shift else 0))

    def centres(self) -> npt.NDArray[np.float64]:
        """Return the pixel indices of the map's places."""
        step = self.field.stride / self.finer * self.skip
        first = self.field.centre + self.field.stride * (self.pooled - 1) / 2
        return first + step * np.arange(self.count, dtype=np.float64)

    def tiles(self, side: int, tile: int) -> Iterator[tuple[slice, slice, slice]]:
        """Yield pixels, the places of them to keep, and these places in the map.

        A tile begins at a multiple of the stride and leaves a multiple of it behind, so that
        every padding in the network falls as it does in the whole image.
        """
        stride, field = self.field.stride, self.field
        total = self.places - (self.side - side) // stride
        if side <= tile:
            yield slice(0, side), slice(0, total), slice(0, total)
            return
        size = side - -(-(side - tile) // stride) * stride
        first = max(-(field.low // stride), 0)
        last = (size - 1 - field.high) // stride - (self.pooled - 1)
        last = min(last, total - (side - size) // stride - 1)
        if size < 1 or last < first or field.everywhere:
            least = field.high + stride * (first + self.pooled) + 1
            raise ModelError(
                f"A tile of {tile} pixels is too small for this network",
                expected="whole images: every place depends on all of the image"
                if field.everywhere
                else f"at least {least} pixels: what one place sees, and a stride",
                received=f"{tile} pixels",
            )
        start = done = 0
        while done < total:
            start = 0 if done == 0 else min(stride * (done - first), side - size)
            at_end = start + size == side
            stop = total if at_end else start // stride + last + 1
            here = start // stride
            yield slice(start, start + size), slice(done - here, stop - here), slice(done, stop)
            done = stop


def _tiled(model: keras.Model, view: Any, plan: tuple[_Axis, _Axis], tile: int | None) -> Maps:
    if tile is None or tile >= max(view.shape[1:3]):
        return np.asarray(model.predict_on_batch(view), np.float32)
    maps = None
    for rows, kept_rows, to_rows in plan[0].tiles(view.shape[1], tile):
        for columns, kept_columns, to_columns in plan[1].tiles(view.shape[2], tile):
            found = np.asarray(model.predict_on_batch(view[:, rows, columns]), np.float32)
            if maps is None:
                ends = [
                    axis.places - (axis.side - side) // axis.field.stride
                    for axis, side in zip(plan, view.shape[1:3], strict=True)
                ]
                maps = np.empty((len(view), *ends, found.shape[-1]), np.float32)
            maps[:, to_rows, to_columns] = found[:, kept_rows, kept_columns]
    return np.zeros((0, 0, 0, 0), np.float32) if maps is None else maps


def _plan(
    model: keras.Model, image_shape: tuple[int, int], patch_size: Side, stride: int | None
) -> tuple[_Axis, _Axis]:
    if str(model.name).endswith(_SUFFIX):
        pool, before = model.get_layer(_POOL), (1, 1)
        tensor = pool._inbound_nodes[-1].input_tensors[0]
    else:
        head = _head(model)
        pool, before, tensor = None, head.pooled_before, head.features
    features = keras.Model(model.inputs[0], tensor, name=str(model.name).removesuffix(_SUFFIX))
    axes = []
    for axis, (side, patch) in enumerate(zip(image_shape, _both(patch_size), strict=True)):
        cells = _cells(features, patch, axis)
        field = field_of(features, side, axis)
        whole = cells // before[axis] * before[axis]
        pooled = whole if pool is None else pool.pool_size[axis]
        if field.cells < cells or side < patch:
            raise ModelError(
                f"An image of {image_shape[0]}x{image_shape[1]} has no room for a patch",
                expected=f"an image at least as large as the patch ({patch_size} pixels)",
                received=f"{image_shape[0]}x{image_shape[1]}",
            )
        step = field.stride if stride is None else stride
        if step < 1 or (field.stride % step and step % field.stride):
            raise ModelError(
                "A heatmap cannot have this stride",
                expected=f"a divisor or a multiple of the network's stride, {field.stride}",
                received=str(stride),
            )
        axes.append(
            _Axis(
                side,
                field,
                pooled,
                cells,
                max(field.stride // step, 1),
                max(step // field.stride, 1),
            )
        )
    return axes[0], axes[1]


def _cells(features: keras.Model, side: int, axis: int) -> int:
    cells = field_of(features, side, axis).cells if side > 0 else 0
    if cells < 1:
        raise ModelError(
            f"A patch of {side} pixels is too small for {features.name}",
            expected="at least one feature cell",
            received=f"{side} pixels",
        )
    return cells


def _both(side: Side) -> tuple[int, int]:
    return (side, side) if isinstance(side, int) else side
