"""Networks that see both views of a breast, CC and MLO (original-system.md §7.2)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mammo_core.errors import ModelError
from mammo_core.models.config import VIEWS, TwoViewConfig
from mammo_core.models.heads import softmax
from mammo_core.models.registry import network_of
from mammo_core.models.weights import take, transfer

Image = npt.NDArray[np.float32]


def to_two_views(whole: keras.Model, config: TwoViewConfig) -> keras.Model:
    """Turn a single-view classifier into one of both views, with its weights.

    Each view goes through a tower, which is the classifier up to its last layer; the
    features are joined and classified. At first a pair's logits are the mean of what the
    classifier gives for each view (joined by `max`: of the larger feature each).

    A view of zeros is a missing one (no mammogram is flat at the mean): the other view's
    features stand in for it, so that an exam of one view gets the classifier's own answer.

    Args:
        whole: A model of `to_whole_image`, trained or not; it stays as it is.
        config: Towers and join.

    Returns:
        A model `[cc, mlo] -> (n, classes) float32, [0, 1]`; its inputs, each
        `(n, H, W, channels) float32`, are named `cc` and `mlo`.

    Raises:
        ModelError: The model is no whole-image classifier.
    """
    network = network_of(whole)
    if whole.name != f"{network.name}_whole":
        raise ModelError(
            f"Model {whole.name} cannot be made one of two views",
            expected="a whole-image classifier of one view",
            received=whole.name,
            hint="Convert a patch classifier to whole images first",
        )
    tower, kernel, bias = _cut(whole)
    inputs = [keras.Input(whole.inputs[0].shape[1:], name=view) for view in VIEWS]
    if config.towers == "shared":
        copies = [_copy(tower, "tower")] * 2
    else:
        copies = [_copy(tower, f"{view}_tower") for view in VIEWS]
    features = [copy(x) for copy, x in zip(copies, inputs, strict=True)]
    present = [_present(x, view) for x, view in zip(inputs, VIEWS, strict=True)]
    own = [
        _named(ops.where(present[view], features[view], features[1 - view]), f"{name}_or_other")
        for view, name in enumerate(VIEWS)
    ]
    join = {
        "concatenate": layers.Concatenate,
        "mean": layers.Average,
        "max": layers.Maximum,
    }[config.join]
    x = join(name="head_join", dtype=whole.get_layer(network.feature).dtype_policy)(own)
    outputs = softmax(len(bias), seed=0)(x)
    model = keras.Model(inputs, outputs, name=f"{network.name}_two_view")
    if config.join == "concatenate":
        kernel = np.concatenate([kernel, kernel]) / np.float32(2)
    take(model.get_layer("predictions"), [kernel, bias], what=f"the classifier {whole.name}")
    return model


def two_view_config(model: keras.Model) -> TwoViewConfig | None:
    """Return how a network of `to_two_views` was built; None for another network."""
    joins = {"Concatenate": "concatenate", "Average": "mean", "Maximum": "max"}
    names = {layer.name: layer for layer in model.layers}
    join = joins.get(type(names.get("head_join")).__name__)
    if join is None or [tensor.name for tensor in model.inputs] != list(VIEWS):
        return None
    towers = "shared" if "tower" in names else "separate"
    return TwoViewConfig.model_validate({"towers": towers, "join": join})


def exam_batch(exams: Sequence[tuple[Image | None, Image | None]]) -> dict[str, Image]:
    """Put exams together for a two-view network.

    Args:
        exams: `(cc, mlo)` of each breast, each `(H, W, channels) float32` on the network's
            scale, or None for a view that was not taken.

    Returns:
        `cc` and `mlo`, each `(n, H, W, channels) float32`, zeros for a missing view.

    Raises:
        ModelError: An exam has no view at all, or a view is zeros.
    """
    batch: dict[str, list[Image]] = {view: [] for view in VIEWS}
    for number, exam in enumerate(exams):
        given = [image for image in exam if image is not None]
        if not given or not all(image.any() for image in given):
            raise ModelError(
                f"Exam {number} cannot be scored by two views",
                expected="one view at least, and no view of zeros (they mean a missing one)",
                received="no view" if not given else "a view of zeros",
            )
        for view, image in zip(VIEWS, exam, strict=True):
            batch[view].append(np.zeros_like(given[0]) if image is None else image)
    return {view: np.stack(images).astype(np.float32) for view, images in batch.items()}


def _cut(whole: keras.Model) -> tuple[keras.Model, Any, Any]:
    """Divide a classifier into what comes before its last weights, and these weights."""
    last = whole.get_layer("predictions")
    if last.weights:
        kernel, bias = last.get_weights()
        return keras.Model(whole.inputs[0], last.input), kernel, bias
    # Two dense layers whose logits are added are one dense layer on both of their inputs.
    parts = [whole.get_layer(name) for name in ("head_logits", "head_shortcut")]
    joined = layers.Concatenate(name="head_logits_input", dtype=parts[0].compute_dtype)
    x = joined([part.input for part in parts])
    kernels, biases = zip(*(part.get_weights() for part in parts), strict=True)
    return keras.Model(whole.inputs[0], x), np.concatenate(kernels), sum(biases)


def _copy(tower: keras.Model, name: str) -> keras.Model:
    copied = keras.models.clone_model(tower)
    transfer(tower, copied, what="the classifier")
    copied.name = name
    return copied


def _present(x: Any, view: str) -> Any:
    """Tell which images of a batch are there: `(n, 1) bool`."""
    differs = _named(ops.not_equal(x, 0), f"{view}_differs")
    there = _named(ops.any(differs, axis=(1, 2, 3)), f"{view}_any")
    return _named(ops.expand_dims(there, -1), f"{view}_present")


def _named(tensor: Any, name: str) -> Any:
    # Keras would count: the same network would have other bytes in another process.
    tensor._keras_history.operation.name = name
    return tensor
