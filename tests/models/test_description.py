"""The counts of `describe`: by hand, and docs/original-system.md, "Counts of operations"."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import keras
import pytest
from typer.testing import CliRunner

from mammo_core.cli import main
from mammo_core.cli.models import app
from mammo_core.errors import ModelError, RecipeError
from mammo_core.models import NetworkConfig, build_patch_network, describe, save_model
from mammo_core.models.description import at_size, batch_that_fits, layer_rows
from mammo_core.models.printout import describe_named, format_description, parse_size

FULL = (1152, 896)


def tiny() -> keras.Model:
    inputs = keras.Input((8, 6, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    y = keras.layers.SeparableConv2D(5, 3, padding="same", name="separable")(x)
    z = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Concatenate(name="join")([y, z])
    x = keras.layers.Dense(2, name="dense")(keras.layers.Flatten(name="flat")(x))
    return keras.Model(inputs, x)


def test_by_hand() -> None:
    rows = {row.name: row for row in layer_rows(tiny())}
    # 48 positions; kernels 3x3x1x4, 3x3x4 + 4x5, 3x3x4; 48 x 9 values to 2 units.
    assert rows["conv"].multiply_adds == 48 * 36
    assert rows["separable"].multiply_adds == 48 * (36 + 20)
    assert rows["depthwise"].multiply_adds == 48 * 36
    assert rows["dense"].multiply_adds == 48 * 9 * 2
    assert rows["join"].activation_bytes == 48 * 9 * 4
    assert rows["flat"].activation_bytes == 0
    result = describe(tiny())
    values = 48 * (4 + 5 + 4 + 9) + 2
    assert result["training_bytes"] == 4 * values
    # The peak: the inputs and the output of `join`.
    assert result["inference_bytes"] == 4 * 48 * (5 + 4 + 9)
    assert result["flops"] == 2 * result["multiply_adds"]


def test_batch() -> None:
    result: dict[str, Any] = {"parameters": 100, "training_bytes": 50, "inference_bytes": 20}
    assert batch_that_fits(result, 1600 + 170, training=True) == 3
    assert batch_that_fits(result, 400 + 99, training=False) == 4
    assert batch_that_fits(result, 10, training=False) == 0


@cache
def published(name: str, topology: str) -> keras.Model:
    config = NetworkConfig(name=name, topology=topology)  # type: ignore[arg-type]
    return build_patch_network(config, (224, 224), 5, 0)


# docs/original-system.md, "Counts of operations": multiply-adds of the networks without a head at
# 1152x896 and 224x224, in units of 1e9.
@pytest.mark.parametrize(
    ("name", "topology", "size", "expected"),
    [
        ("vgg16", "today", FULL, 315.7),
        ("vgg16", "today", (224, 224), 15.35),
        pytest.param("resnet50", "today", FULL, 79.3, marks=pytest.mark.slow),
        pytest.param("resnet50", "today", (224, 224), 3.86, marks=pytest.mark.slow),
    ],
)
def test_multiply_adds_of_the_originals_networks(
    name: str, topology: str, size: tuple[int, int], expected: float
) -> None:
    result = describe(published(name, topology), size)
    assert result["multiply_adds"] / 1e9 == pytest.approx(expected, rel=0.002)


def test_first_block_of_vgg16() -> None:
    # docs/original-system.md, "Counts of operations": 264 MB per activation per image in float32.
    model = build_patch_network(NetworkConfig(name="vgg16"), (224, 224), 5, 0)
    rows = {row.name: row for row in layer_rows(at_size(model, FULL))}
    assert rows["block1_conv1"].activation_bytes == 1152 * 896 * 64 * 4
    assert rows["block1_conv1"].activation_bytes / 1e6 == pytest.approx(264, abs=0.5)
    assert describe(model)["flops"] is None


# docs/original-system.md, "Counts of operations": the head [512-512-1024]x2 on the features of
# VGG16, 2.3 GMAC.
def test_a_published_network_by_name() -> None:
    result = describe_named("vgg16", head="[512-512-1024]x2", memory_gib=8)
    assert result["parameters"] == 29_710_146
    outer = result["outer_layers"]
    assert [outer[1][key] for key in ("name", "kind", "parameters")] == [
        "vgg16",
        "Model",
        14_714_688,
    ]
    head = sum(row["multiply_adds"] for row in outer[2:])
    assert head / 1e9 == pytest.approx(2.3, abs=0.05)
    assert [result["shapes"][-1][key] for key in ("rows", "columns")] == [9, 7]
    assert result["batch_inference"] > result["batch_training"] > 0
    half = describe_named("vgg16", head="[512-512-1024]x2", precision="mixed_bfloat16")
    assert half["training_bytes"] < 0.52 * result["training_bytes"]
    text = format_description(result)
    assert "29,710,146" in text
    assert "head_block1_unit1_shortcut_conv" in text
    assert "block1_conv1" not in text
    assert "block1_conv1" in format_description(result, every_layer=True)
    json.dumps(result)


def test_a_file(tmp_path: Path) -> None:
    model = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, 0)
    save_model(model, tmp_path / "mine.keras")
    result = describe_named(str(tmp_path / "mine.keras"), (56, 56))
    assert result["name"] == "compact"
    assert result["multiply_adds"] == 19_418_592
    assert result["contract"]["channels"] == 1
    with pytest.raises(RecipeError, match="is a model already"):
        describe_named(str(tmp_path / "mine.keras"), head="512x1")


def test_unknown_names_heads_and_sizes_are_rejected() -> None:
    with pytest.raises(RecipeError, match="There is no network alexnet"):
        describe_named("alexnet")
    with pytest.raises(RecipeError, match="is not a head"):
        describe_named("vgg16", head="big")
    with pytest.raises(RecipeError, match="had no network compact"):
        describe_named("compact", topology="keras2")
    with pytest.raises(ModelError, match="too small for vgg16"):
        describe_named("vgg16", (64, 64), head="512x1")
    for text in ("", "1152", "0x5", "axb", "1152x896x3"):
        with pytest.raises(RecipeError, match="is not a size"):
            parse_size(text)
    assert parse_size("1152x896") == (1152, 896)


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["describe", "compact", "--size", "288x224", "--head", "48x1", "--json"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["input_shape"] == [288, 224, 1]
    assert [row["rows"] for row in result["shapes"]] == [288, 18, 9, 4]
    words = ["mammo", "models", "describe", "compact", "--size", "huge"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.startswith("error: 'huge' is not a size")
