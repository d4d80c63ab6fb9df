"""Heads of whole-image networks: notation, sizes, heatmap, shortcut."""

import keras
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import softmax

from mammo_core.errors import ModelError
from mammo_core.models import (
    NETWORKS,
    HeadConfig,
    HeatmapConfig,
    NetworkConfig,
    blocks,
    build_patch_network,
    load_model,
    save_model,
    to_whole_image,
)
from mammo_core.models.shapes import shape_table, smallest_image

SMALL_HEATMAP = HeatmapConfig(average_pool=(2, 2), max_pool=(2, 2))
HEADS = {
    "residual": HeadConfig(depths=(8, 8), repetitions=(1, 2)),
    "vgg": HeadConfig(kind="vgg", depths=(8,), repetitions=(2,)),
    "mbconv": HeadConfig(kind="mbconv", depths=(8, 8), repetitions=(2, 1), dropout=0.1),
    "fc": HeadConfig(kind="fc", units=8, dropout=0.1),
    "fc-shortcut": HeadConfig(kind="fc", units=8, layers=3, shortcut=True),
    "heatmap-fc": HeadConfig(kind="fc", units=8, heatmap=SMALL_HEATMAP, shortcut=True),
    "heatmap-softmax-residual": HeadConfig(
        depths=(8,),
        repetitions=(1,),
        heatmap=SMALL_HEATMAP.model_copy(update={"activation": "softmax", "max_pool": None}),
    ),
    "heatmap-vgg": HeadConfig(
        kind="vgg",
        depths=(4,),
        repetitions=(1,),
        heatmap=HeatmapConfig(average_pool=None, max_pool=(2, 2)),
    ),
}


@pytest.fixture(scope="module")
def patch_model() -> keras.Model:
    return build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=1)


def images(count: int = 2) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (count, 128, 96, 1)).astype(np.float32)


@pytest.mark.parametrize("name", HEADS)
def test_every_head(patch_model: keras.Model, name: str, tmp_path: object) -> None:
    whole = to_whole_image(patch_model, HEADS[name], (128, 96), classes=3, seed=5)
    probabilities = whole.predict_on_batch(images())
    assert probabilities.shape == (2, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=0, atol=1e-6)
    assert whole.layers[-1].name == "predictions"
    members = blocks(whole)
    weighted = {layer.name for layer in whole.layers if layer.weights}
    assert weighted <= {layer for names in members.values() for layer in names}
    assert all(layer.startswith(("head", "predictions")) for layer in members["head"])
    assert ("heatmap" in members) == (HEADS[name].heatmap is not None)
    path = tmp_path / "whole.keras"  # type: ignore[operator]
    save_model(whole, path)
    assert np.array_equal(load_model(path).predict_on_batch(images()), probabilities)


def test_weights_depend_on_the_seed_only(patch_model: keras.Model) -> None:
    first, same, other = (
        to_whole_image(patch_model, HEADS["heatmap-fc"], (128, 96), seed=seed).get_weights()
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_heatmap_is_the_patch_classifier(patch_model: keras.Model) -> None:
    whole = to_whole_image(patch_model, HEADS["heatmap-softmax-residual"], (128, 96))
    kernel, bias = patch_model.get_layer("predictions").get_weights()
    for ours, theirs in zip(whole.get_layer("heatmap").get_weights(), (kernel, bias), strict=True):
        assert np.array_equal(ours, theirs)
    cells = keras.Model(whole.inputs[0], whole.get_layer("block4_out").output)(images())
    heatmap = keras.Model(whole.inputs[0], whole.get_layer("heatmap").output)(images())
    # 128x96 -> 8x6 cells -> 7x5 positions of 2x2 cells.
    assert heatmap.shape == (2, 7, 5, 5)
    logits = np.asarray(cells)[:, 3:5, 2:4].mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(heatmap[:, 3, 2], softmax(logits, axis=1), rtol=0, atol=1e-5)


def test_a_shortcut_adds_logits(patch_model: keras.Model) -> None:
    whole = to_whole_image(patch_model, HEADS["fc-shortcut"], (128, 96))
    parts = keras.Model(
        whole.inputs[0],
        [whole.get_layer(name).output for name in ("head_fc3_relu", "head_flatten")],
    )(images())
    logits = sum(
        np.asarray(part) @ layer.get_weights()[0] + layer.get_weights()[1]
        for part, layer in zip(
            parts, map(whole.get_layer, ("head_logits", "head_shortcut")), strict=True
        )
    )
    np.testing.assert_allclose(whole(images()), softmax(logits, axis=1), rtol=0, atol=1e-5)
    units = [whole.get_layer(f"head_fc{number}_dense").units for number in (1, 2, 3)]
    assert units == [8, 4, 2]


# original_golden/README.md: with the original's default average pool of 7x7.
def test_parameters_of_the_published_yaroslav_network() -> None:
    patch = build_patch_network(NetworkConfig(name="yaroslav"), (256, 256), 5, 0)
    head = HeadConfig.parse("heatmap+fc16-8+shortcut")
    assert to_whole_image(patch, head, (1152, 896)).count_params() == 5_904_805


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[512-512-1024]x2", HeadConfig()),
        ("[512-512-2048]x1", HeadConfig(repetitions=(1, 1), enlarge=4)),
        (
            "[256-256-512]x3+[128-128-256]x3",
            HeadConfig(depths=(256, 128), repetitions=(3, 3)),
        ),
        ("512x1", HeadConfig(kind="vgg", repetitions=(1, 1))),
        (
            "[3072-1536]x1+[3072-1536]x1",
            HeadConfig(kind="mbconv", depths=(1536, 1536), repetitions=(1, 1)),
        ),
        ("256x1+128x1", HeadConfig(kind="vgg", depths=(256, 128), repetitions=(1, 1))),
        ("fc64-32", HeadConfig(kind="fc")),
        (
            "heatmap+fc16-8+shortcut",
            HeadConfig(kind="fc", units=16, shortcut=True, heatmap=HeatmapConfig()),
        ),
        ("heatmap+[512-512-1024]x2", HeadConfig(heatmap=HeatmapConfig())),
    ],
)
def test_notation(text: str, expected: HeadConfig) -> None:
    assert HeadConfig.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "resnet", "[512-256-1024]x2", "[4-4-6]x1", "fc64-30", "512x1+[4-4-8]x1", "heatmap"]
)
def test_text_that_is_not_a_head_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a head"):
        HeadConfig.parse(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "vgg", "shortcut": True},
        {"kind": "fc", "units": 4, "layers": 4},
        {"heatmap": {"average_pool": (0, 3)}},
        {"heatmap": {"activation": "sigmoid"}},
    ],
)
def test_inconsistent_configs_are_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HeadConfig.model_validate(wrong)


def test_the_shape_table() -> None:
    table = shape_table(NETWORKS["resnet50"], HeadConfig(heatmap=HeatmapConfig()), (1152, 896))
    # docs/original-system.md, "From patch network to whole-image classifier": 36x28 features, a
    # heatmap of 30x22, 6x4 after its pool.
    assert [(row.step, row.rows, row.columns) for row in table] == [
        ("image", 1152, 896),
        ("features", 36, 28),
        ("heatmap average pool", 30, 22),
        ("heatmap max pool", 6, 4),
        ("block 1", 3, 2),
        ("block 2", 2, 1),
    ]
    assert table[2].arithmetic == "(36 - 7) // 1 + 1 = 30, (28 - 7) // 1 + 1 = 22"
    # docs/original-system.md, "Weight files of Keras 2.0.8", ResNet50:
    # 1152 -> 576 -> 287 -> 144 -> 72 -> 36.
    keras2 = NETWORKS["resnet50_keras2"]
    sides = [1152]
    for window in keras2.path:
        sides.append(window.outputs(sides[-1]))
    assert sides == [1152, 576, 287, 144, 72, 36]


def test_an_image_that_is_too_small_is_rejected_with_the_arithmetic(
    patch_model: keras.Model,
) -> None:
    head = HeadConfig(kind="fc", heatmap=HeatmapConfig(average_pool=(3, 2), max_pool=(2, 4)))
    with pytest.raises(ModelError) as caught:
        to_whole_image(patch_model, head, (64, 64))
    message = str(caught.value)
    assert "features 4x4 (64 at stride 16 = 4, 64 at stride 16 = 4)" in message
    assert "heatmap average pool 2x3 ((4 - 3) // 1 + 1 = 2, (4 - 2) // 1 + 1 = 3)" in message
    assert "2x3 cells before heatmap max pool" in message
    # 4 cells down: (4 - 3) + 1 = 2; 5 across: (5 - 2) + 1 = 4.
    assert "rows from 64 and columns from 80 pixels" in message
    assert smallest_image(NETWORKS["compact"], head) == (64, 80)
    assert to_whole_image(patch_model, head, (64, 80)).output_shape == (None, 2)
    with pytest.raises(ModelError, match="10x64 pixels before features"):
        to_whole_image(patch_model, head, (10, 64))
