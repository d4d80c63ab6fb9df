"""`mammo models import-torch`: published networks of both views with their input contract.

The checkpoints are made here of seeded tensors: those of the authors are not in the repository.
What their code computes from the same tensors was recorded by
tests/models/checkpoints/record_torch.py.
"""

import json
import os
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from mammo_core.cli.models import app
from mammo_core.errors import ModelError, RecipeError
from mammo_core.models.checkpoints import read_checkpoint
from mammo_core.packaging.package import load
from mammo_core.packaging.torch_models import PUBLISHED, build_published, import_torch
from tests.models.checkpoints.record_torch import BREAST, FILE, USED, gray_images
from tests.models.checkpoints.seeded import values
from tests.models.checkpoints.test_names import shapes_of

RECORDED = json.loads(FILE.read_text())["published"]
SMALLEST = "petrini-2022-efficientnet-b0"
EVERY = [
    name for name in PUBLISHED if name == SMALLEST or os.environ.get("MAMMO_VERIFY_NETWORKS") == "1"
]
GEOMETRY = json.dumps({"geometry": {"height": BREAST[0], "width": BREAST[1]}})
#: Of features of up to 0.5, recorded with six decimals.
TOLERANCE = 5e-6
pytestmark = pytest.mark.slow


def write_checkpoint(name: str, path: Path) -> Path:
    """Write seeded tensors with the names that the network of the authors has."""
    from mammo_core.models.checkpoints.names import NAME_MAPS

    model = PUBLISHED[name]
    network = build_published(model, BREAST)
    names = next(one for one in NAME_MAPS if one.name == model.names)
    tower = [layer for layer in network.get_layer("tower").layers if layer.weights]
    every = tuple(layer.name for layer in tower)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in tower:
        prefix = "two_views_clf.single_clf_core." + model.shortened(names.prefix(layer.name, every))
        shapes |= shapes_of(layer, prefix)
    for block in (1, 2):
        for ours, theirs in (
            *(("expand_conv", "_expand_conv"), ("expand_bn", "_bn0")),
            *(("depthwise", "_depthwise_conv"), ("depthwise_bn", "_bn1")),
            *(("reduce", "_se_reduce"), ("excite", "_se_expand")),
            *(("project_conv", "_project_conv"), ("project_bn", "_bn2")),
        ):
            layer = network.get_layer(f"head_block{block}_unit1_{ours}")
            shapes |= shapes_of(layer, f"block{block}.{theirs}")
    shapes |= shapes_of(network.get_layer("predictions"), "fc")
    # The authors' file has the layers once more, by the names that they were taken from.
    shapes["two_views_clf.single_clf_full.top_layer.fc.bias"] = (2,)
    save_file({key: values(key, shape) for key, shape in shapes.items()}, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(SMALLEST, tmp_path_factory.mktemp("torch") / "weights.safetensors")


@pytest.mark.parametrize("name", EVERY)
def test_a_package_computes_what_the_authors_network_does(
    name: str, checkpoint: Path, tmp_path: Path
) -> None:
    file = checkpoint
    if name != SMALLEST:
        file = write_checkpoint(name, tmp_path / "weights.safetensors")
    content = import_torch(file, tmp_path / "package", name, preprocessing=GEOMETRY)
    assert content["format"] == "safetensors"
    names = [key for key in read_checkpoint(file).tensors if key.startswith(USED)]
    if name == SMALLEST:  # the layers after the pool are in the file, and not used
        names += [
            "two_views_clf.single_clf_core._fc.bias",
            "two_views_clf.single_clf_core._fc.weight",
        ]
    assert len(names) == RECORDED[name]["names"]
    assert zlib.crc32("\n".join(sorted(names)).encode()) == RECORDED[name]["crc32"]
    package = load(tmp_path / "package")
    assert package.unit == "breast"
    views = [package.preprocessing.to_network(breast) for breast in gray_images()]
    network = package.model
    taken = keras.Model(network.inputs, network.get_layer("predictions").input)
    for breast, expected in zip(views, RECORDED[name]["features"], strict=True):
        features = np.asarray(taken([breast[:1], breast[1:]], training=False))[0, ::32]
        np.testing.assert_allclose(features, expected, rtol=0, atol=TOLERANCE)
    first, second = map(np.array, RECORDED[name]["features"])
    # Random weights pass little of an image on: far more than the tolerance, though.
    assert np.abs(first - second).max() > 20 * TOLERANCE


def test_the_command_and_what_it_refuses(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "package"
    arguments = [str(checkpoint), "--network", SMALLEST, "--out", str(out)]
    done = CliRunner().invoke(app, ["import-torch", *arguments, "--preprocessing", GEOMETRY])
    assert done.exit_code == 0, done.output
    assert f"package: {out}" in done.output
    contract = load(out).preprocessing
    # 13,369 of 65,535 in units of 255.
    assert contract.mean == pytest.approx(52.0195, abs=1e-4)
    with pytest.raises(RecipeError, match="There is no published network other"):
        import_torch(checkpoint, tmp_path / "x", "other")
    with pytest.raises(
        ModelError, match=r"another network.*tensor two_views_clf.single_clf_core.0.1"
    ):
        import_torch(
            checkpoint, tmp_path / "x", "petrini-2025-efficientnet-b3", preprocessing=GEOMETRY
        )
    one_view = tmp_path / "one_view.safetensors"
    save_file({"features.0.0.weight": np.zeros((1, 1, 1, 1), np.float32)}, one_view)
    with pytest.raises(ModelError, match=r"not a checkpoint of both views.*network.weights"):
        import_torch(one_view, tmp_path / "x", SMALLEST)
    assert not (tmp_path / "x").exists()
