"""16-bit computation with float32 weights, inputs and probabilities, also after saving."""

from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_core.models import (
    HeadConfig,
    HeatmapConfig,
    NetworkConfig,
    build_patch_network,
    leaf_layers,
    load_model,
    save_model,
    to_whole_image,
)
from mammo_core.models.precision import with_precision

HEAD = HeadConfig(
    kind="fc",
    units=8,
    shortcut=True,
    heatmap=HeatmapConfig(activation="softmax", average_pool=(2, 2), max_pool=(2, 2)),
)


@pytest.fixture(scope="module")
def whole() -> keras.Model:
    patch = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=1)
    return to_whole_image(patch, HEAD, (128, 96), classes=2)


def images() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (4, 128, 96, 1)).astype(np.float32)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_float32_head_on_16_bit_layers(
    whole: keras.Model, precision: str, tmp_path: Path
) -> None:
    mixed = with_precision(whole, precision)  # type: ignore[arg-type]
    short = precision.removeprefix("mixed_")
    kinds = {layer.name: layer.compute_dtype for layer in leaf_layers(mixed)}
    assert kinds["block1_conv1"] == kinds["head_fc1_dense"] == short
    # The softmax of the heatmap is a probability too.
    for name in ("predictions", "head_logits", "head_shortcut", "head_add", "heatmap"):
        assert kinds[name] == "float32", name
    assert {str(weight.dtype) for weight in mixed.weights} == {"float32"}
    outputs, expected = mixed.predict_on_batch(images()), whole.predict_on_batch(images())
    assert outputs.dtype == np.float32
    assert 0 < np.abs(outputs - expected).max() < 0.02
    save_model(mixed, tmp_path / "mixed.keras")
    loaded = load_model(tmp_path / "mixed.keras")
    assert loaded.get_layer("block1_conv1").compute_dtype == short
    assert np.array_equal(loaded.predict_on_batch(images()), outputs)
    back = with_precision(loaded, "float32")
    assert np.array_equal(back.predict_on_batch(images()), expected)


def test_a_whole_image_network_has_its_patch_networks_precision() -> None:
    patch = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=1)
    mixed = to_whole_image(
        with_precision(patch, "mixed_bfloat16"), HeadConfig(depths=(4,), repetitions=(1,)), (64, 64)
    )
    kinds = {layer.name: layer.compute_dtype for layer in mixed.layers}
    assert kinds["head_block1_unit1_1_conv"] == "bfloat16"
    assert kinds["predictions"] == "float32"


def test_the_global_policy_leaves_the_head_in_float32() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        patch = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert patch.get_layer("block1_conv1").compute_dtype == "bfloat16"
    assert patch.predict_on_batch(images()).dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnetv2_s", "efficientnet_b0"])
def test_modern_networks_in_bfloat16(name: str) -> None:
    model = build_patch_network(NetworkConfig(name=name), (64, 64), 2, seed=1)  # type: ignore[arg-type]
    mixed = with_precision(model, "mixed_bfloat16")
    x = np.random.default_rng(1).normal(0, 40, (1, 64, 64, 3)).astype(np.float32)
    # One call each: a graph would take longer to trace than it saves.
    outputs, expected = (np.asarray(each(x, training=False)) for each in (mixed, model))
    assert outputs.dtype == np.float32
    assert np.abs(outputs - expected).max() < 0.05
