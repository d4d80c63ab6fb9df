"""Networks that classify a breast from both views, CC and MLO.

docs/original-system.md, "ResNet and two views".
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mammo_core.errors import ModelError
from mammo_core.models.config import VIEWS, TwoViewConfig
from mammo_core.models.graph import copied_onto, nested_model, rename_operation
from mammo_core.models.layers import softmax_layer
from mammo_core.models.registry import Network, is_member, network_of
from mammo_core.models.weights import set_layer_weights, transfer_weights

Image = npt.NDArray[np.float32]


def to_two_views(whole: keras.Model, config: TwoViewConfig) -> keras.Model:
    """Turn a single-view classifier into a two-view classifier with its weights.

    Each view passes through a tower, which is the classifier up to its last layer; the features
    are joined and classified. Before training, the logits of a breast are the mean of the
    classifier's logits for each view (joined by `max`: those of the larger features). With
    `join_maps` a tower ends with the feature map, and the classifier's head takes the joined maps:
    before training, it sees their mean (or maximum).

    A view of zeros means a missing view (no mammogram is constant at the mean). The other view's
    features replace it, so that a breast with one view gets the classifier's own result.

    Args:
        whole: A model of `to_whole_image`, trained or not; it is not changed.
        config: Towers and join.

    Returns:
        A model `[cc, mlo] -> (n, classes) float32, [0, 1]`; its inputs, each
        `(n, H, W, channels) float32`, are named `cc` and `mlo`.

    Raises:
        ModelError: The model is not a whole-image classifier.
    """
    network = network_of(whole)
    if whole.name != f"{network.name}_whole":
        raise ModelError(
            f"Model {whole.name} cannot become a two-view network",
            expected="a whole-image classifier of one view",
            received=whole.name,
            hint="Convert a patch classifier to whole images first",
        )
    tower, kernel, bias = _split_classifier(whole)
    if config.join_maps:
        tower = keras.Model(whole.inputs[0], whole.get_layer(network.feature).output)
    inputs = [keras.Input(whole.inputs[0].shape[1:], name=view) for view in VIEWS]
    if config.towers == "shared":
        copies = [_copy(tower, "tower")] * 2
    else:
        copies = [_copy(tower, f"{view}_tower") for view in VIEWS]
    features = [copy(x) for copy, x in zip(copies, inputs, strict=True)]
    present = [_present(x, view) for x, view in zip(inputs, VIEWS, strict=True)]
    if config.join_maps:
        present = [
            rename_operation(ops.reshape(x, (-1, 1, 1, 1)), f"{name}_present_map")
            for x, name in zip(present, VIEWS, strict=True)
        ]
    filled = [
        rename_operation(
            ops.where(present[view], features[view], features[1 - view]), f"{name}_or_other"
        )
        for view, name in enumerate(VIEWS)
    ]
    join = {
        "concatenate": layers.Concatenate,
        "mean": layers.Average,
        "max": layers.Maximum,
    }[config.join]
    x = join(name="head_join", dtype=whole.get_layer(network.feature).dtype_policy)(filled)
    if config.join_maps:
        return _with_head(whole, network, inputs, x)
    outputs = softmax_layer(len(bias), seed=0)(x)
    model = keras.Model(inputs, outputs, name=f"{network.name}_two_view")
    if config.join == "concatenate":
        kernel = np.concatenate([kernel, kernel]) / np.float32(2)
    set_layer_weights(
        model.get_layer("predictions"), [kernel, bias], what=f"the classifier {whole.name}"
    )
    return model


def two_view_config(model: keras.Model) -> TwoViewConfig | None:
    """Return the configuration of a network of `to_two_views`; None for other networks.

    That of an ensemble is the one of all its members.
    """
    members = [layer for layer in model.layers if nested_model(layer) and is_member(layer.name)]
    if members:
        configs = {two_view_config(member) for member in members}
        return configs.pop() if len(configs) == 1 else None
    joins = {"Concatenate": "concatenate", "Average": "mean", "Maximum": "max"}
    names = {layer.name: layer for layer in model.layers}
    join = joins.get(type(names.get("head_join")).__name__)
    if join is None or [tensor.name for tensor in model.inputs] != list(VIEWS):
        return None
    towers = "shared" if "tower" in names else "separate"
    maps = len(names["head_join"].output.shape) > 2
    return TwoViewConfig.model_validate({"towers": towers, "join": join, "join_maps": maps})


def breast_batch(breasts: Sequence[tuple[Image | None, Image | None]]) -> dict[str, Image]:
    """Stack breasts into a batch for a two-view network.

    Args:
        breasts: `(cc, mlo)` of each breast, each `(H, W, channels) float32` on the network's
            scale, or None for a missing view.

    Returns:
        `cc` and `mlo`, each `(n, H, W, channels) float32`, zeros for a missing view.

    Raises:
        ModelError: A breast has no view, or a view is all zeros.
    """
    batch: dict[str, list[Image]] = {view: [] for view in VIEWS}
    for number, views in enumerate(breasts):
        images = [image for image in views if image is not None]
        if not images or not all(image.any() for image in images):
            raise ModelError(
                f"Breast {number} cannot be scored from two views",
                expected="at least one view, and no view of zeros (which means a missing view)",
                received="no view" if not images else "a view of zeros",
            )
        for view, image in zip(VIEWS, views, strict=True):
            batch[view].append(np.zeros_like(images[0]) if image is None else image)
    return {view: np.stack(images).astype(np.float32) for view, images in batch.items()}


def _split_classifier(whole: keras.Model) -> tuple[keras.Model, Any, Any]:
    """Return a classifier without its last layer, and the kernel and bias of that layer."""
    last = whole.get_layer("predictions")
    if last.weights:
        kernel, bias = last.get_weights()
        return keras.Model(whole.inputs[0], last.input), kernel, bias
    # Two dense layers whose logits are added equal one dense layer on both inputs.
    parts = [whole.get_layer(name) for name in ("head_logits", "head_shortcut")]
    joined = layers.Concatenate(name="head_logits_input", dtype=parts[0].compute_dtype)
    x = joined([part.input for part in parts])
    kernels, biases = zip(*(part.get_weights() for part in parts), strict=True)
    return keras.Model(whole.inputs[0], x), np.concatenate(kernels), sum(biases)


def _with_head(whole: keras.Model, network: Network, inputs: list[Any], x: Any) -> keras.Model:
    """Put the head of a classifier on joined maps.

    A layer that takes concatenated maps has its weights twice, halved: it sees their mean.
    """
    head = keras.Model(whole.get_layer(network.feature).output, whole.outputs[0])
    model = keras.Model(inputs, copied_onto(head, x), name=f"{network.name}_two_view")
    channels = whole.get_layer(network.feature).output.shape[-1]
    for layer in head.layers:
        if not layer.weights:
            continue
        target = model.get_layer(layer.name)
        values = [
            value if value.shape == tuple(weight.shape) else _doubled(value, channels)
            for value, weight in zip(layer.get_weights(), target.weights, strict=True)
        ]
        set_layer_weights(target, values, what=f"the classifier {whole.name}")
    return model


def _doubled(kernel: Any, channels: int) -> Any:
    """Return a kernel for maps of two views: of a convolution, or a dense layer on a flat map."""
    outputs = kernel.shape[-1]
    each = kernel.reshape(-1, channels, outputs) / np.float32(2)
    both = np.concatenate([each, each], axis=1)
    if kernel.ndim == 2:
        return both.reshape(-1, outputs)
    return both.reshape(*kernel.shape[:-2], 2 * channels, outputs)


def _copy(tower: keras.Model, name: str) -> keras.Model:
    copied = keras.models.clone_model(tower)
    transfer_weights(tower, copied, what="the classifier")
    copied.name = name
    return copied


def _present(x: Any, view: str) -> Any:
    """Return which images of a batch are present: `(n, 1) bool`."""
    differs = rename_operation(ops.not_equal(x, 0), f"{view}_differs")
    present = rename_operation(ops.any(differs, axis=(1, 2, 3)), f"{view}_any")
    return rename_operation(ops.expand_dims(present, -1), f"{view}_present")
