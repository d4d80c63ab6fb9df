"""The original's networks, layer by layer: original_golden/summaries, at 1152x896.

The original nested the patch network. Its layers are compared by name where the original named
them, and those of the head (numbered by Keras) by order, class, shape and count.
"""

import json
from pathlib import Path
from typing import Any

import keras
import pytest

from mammo_core.models import (
    HeadConfig,
    HeatmapConfig,
    NetworkConfig,
    build_patch_network,
    describe,
    to_whole_image,
)
from mammo_core.models.description import LayerRow, layer_rows, outer_rows
from mammo_core.models.graph import parents

pytestmark = pytest.mark.real

SHORTCUT = HeadConfig(
    kind="fc",
    units=16,
    shortcut=True,
    dropout=0.5,
    heatmap=HeatmapConfig(average_pool=(3, 3), max_pool=(5, 5)),
)


def summary(real_data: Path, name: str) -> Any:
    path = real_data / "original_golden" / "summaries" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return json.loads(path.read_text())


def whole(network: str, head: HeadConfig) -> keras.Model:
    config = NetworkConfig(name=network, topology="keras2")  # type: ignore[arg-type]
    patch = build_patch_network(config, (224, 224), 5, seed=1)
    return to_whole_image(patch, head, (1152, 896), seed=1)


def table(rows: list[LayerRow]) -> list[tuple[str, list[int | None], int]]:
    return [(row.kind, list(row.output_shape), row.parameters) for row in rows]


def expected(layers: list[Any]) -> list[tuple[str, list[int | None], int]]:
    return [(x["cls"], x["output_shape"][1:], x["params"]) for x in layers]


@pytest.mark.parametrize(
    ("name", "network", "head"),
    [
        ("whole_vgg16_512x1", "vgg16", HeadConfig.parse("512x1", dropout=0.5)),
        (
            "whole_vgg16_512-512-1024x2_hybrid",
            "vgg16",
            HeadConfig.parse("[512-512-1024]x2", dropout=0.5),
        ),
        ("whole_yaroslav_hm_max_fc16-8_shortcut_avg3", "yaroslav", SHORTCUT),
        pytest.param(
            "whole_resnet50_512-512-1024x2",
            "resnet50",
            HeadConfig.parse("[512-512-1024]x2", dropout=0.5),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_whole_image_networks(real_data: Path, name: str, network: str, head: HeadConfig) -> None:
    original = summary(real_data, name)
    model = whole(network, head)
    assert model.count_params() == original["total_params"]
    assert describe(model)["trainable_parameters"] == original["trainable_params"]
    assert table(outer_rows(model)) == expected(original["layers"])

    nested = original["layers"][1]["layers"]
    body = [row for row in layer_rows(model) if not row.name.startswith(("head", "heatmap"))]
    body = body[1 : len(nested)]
    assert [row.name for row in body] == [layer["name"] for layer in nested[1:]]
    assert table(body) == expected(nested[1:])
    for layer in nested[1:]:
        ours = model.get_layer(layer["name"]).get_config()
        for key in ("strides", "padding", "pool_size", "kernel_size", "epsilon", "momentum"):
            if key in layer["config"]:
                value = layer["config"][key]
                assert ours[key] == (tuple(value) if isinstance(value, list) else value), layer


def test_the_heads_wiring(real_data: Path) -> None:
    """Compare connections: shapes alone do not distinguish a shortcut from a chain."""
    original = summary(real_data, "whole_yaroslav_hm_max_fc16-8_shortcut_avg3")["layers"]
    model = whole("yaroslav", SHORTCUT)
    names = dict(
        zip(
            [layer["name"] for layer in original[2:]],
            [row.name for row in outer_rows(model)[2:]],
            strict=True,
        )
    )
    for layer in original[3:]:
        theirs = [names[name] for name in layer["inbound"][0]]
        ours = model.get_layer(names[layer["name"]])
        assert [parent.name for parent in parents(ours)] == theirs
    assert model.get_layer("heatmap").activation is keras.activations.relu


def test_yaroslav_patch_network(real_data: Path) -> None:
    original = summary(real_data, "patch_yaroslav_5cls")
    model = build_patch_network(NetworkConfig(name="yaroslav"), (256, 256), 5, 0)
    rows = layer_rows(model)
    assert [row.name for row in rows] == [layer["name"] for layer in original["layers"]]
    assert table(rows) == expected(original["layers"])
    assert describe(model)["trainable_parameters"] == original["trainable_params"]
