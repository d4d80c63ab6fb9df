"""A network registered outside the library can be used like one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from mammo_core.errors import ModelError, RecipeError
from mammo_core.models import (
    NETWORKS,
    Network,
    NetworkConfig,
    blocks,
    build_patch_network,
    heatmap,
    network_names,
    network_of,
    register_network,
    registry,
    to_whole_image,
)
from mammo_core.models.printout import describe_named
from mammo_core.packaging import load, self_check
from mammo_core.packaging.build import build
from mammo_core.preprocessing import Geometry, Preprocessing
from mammo_core.recipes import Recipe, load_recipe
from mammo_core.training.stages import set_all_trainable, set_trainable

OVERRIDES = ["patch_training.network.name=small_outside"]


@pytest.fixture(scope="module", autouse=True)
def small_network() -> Iterator[Network]:
    """Register the network for this module only."""
    network = register_network(import_module("tests.contributing.network").NETWORK)
    yield network
    del registry._REGISTERED[network.name]


def test_a_recipe_can_name_it() -> None:
    assert "small_outside" in network_names()
    recipe = load_recipe("phantom", OVERRIDES)
    assert recipe.patch_training.network.network == "small_outside"
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_an_unknown_name_is_rejected_with_the_names() -> None:
    with pytest.raises(ValidationError) as caught:
        NetworkConfig(name="small_outsid")
    message = str(caught.value)
    assert "There is no network small_outsid" in message
    assert all(name in message for name in (*network_names(), "resnet50", "small_outside"))
    with pytest.raises(RecipeError, match="small_outside"):
        load_recipe("phantom", ["patch_training.network.name=alexnet"])


def test_it_is_built_described_trained_and_packaged(tmp_path: Path) -> None:
    recipe = load_recipe("phantom", OVERRIDES)
    patch_model = build_patch_network(recipe.patch_training.network, (32, 32), 5, seed=1)
    assert network_of(patch_model) is NETWORKS["small_outside"]
    again = build_patch_network(recipe.patch_training.network, (32, 32), 5, seed=1)
    for a, b in zip(patch_model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert list(blocks(patch_model)) == ["block1", "block2", "head"]
    assert set_trainable(patch_model, recipe.patch_training.stages[0])
    set_all_trainable(patch_model)

    description = describe_named("small_outside", (64, 48), head="8x1")
    assert description["contract"]["stride"] == 4
    # By hand: 3x3x1x6 on 64x48 cells.
    row = next(row for row in description["layers"] if row["name"] == "block1_conv")
    assert row["multiply_adds"] == 64 * 48 * 9 * 6

    head = recipe.image_training.head.model_copy(update={"depths": (8,), "repetitions": (1,)})
    whole = to_whole_image(patch_model, head, (64, 48))
    preprocessing = Preprocessing(geometry=Geometry(height=64, width=48), mean=40.0)
    build(
        tmp_path / "package",
        name="outside",
        image_model=whole,
        preprocessing=preprocessing,
        label_map={"neg": 0, "pos": 1},
        patch_model=patch_model,
        patch_classes=("background", "a", "b", "c", "d"),
        patch_size=32,
    )
    package = load(tmp_path / "package")
    self_check(tmp_path / "package")
    pixels = np.random.default_rng(0).integers(0, 65536, (3, 64, 48)).astype(np.uint16)
    expected = np.asarray(whole(preprocessing.to_network(pixels), training=False))[:, 1]
    np.testing.assert_allclose(package.predict(pixels), expected, rtol=0, atol=1e-5)
    assert network_of(package.model).name == "small_outside"
    maps = heatmap(package.patch_model, preprocessing.to_network(pixels), 32)
    assert maps.shape == (3, 9, 5, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 3}, "a name that is not taken"),
        ({"name": "resnet50"}, "a name that is not taken"),
        ({"name": "Small Net"}, "lower-case letters"),
        ({"name": "small_whole"}, "not ending like a derived model"),
        ({"name": "other", "build": None}, "either build or application"),
        ({"name": "other", "top": ("block9",)}, "top blocks from block1, block2"),
        ({"name": "other", "top": ()}, "top blocks"),
    ],
)
def test_a_faulty_registration_is_rejected(
    small_network: Network, changes: dict[str, Any], message: str
) -> None:
    before = list(NETWORKS)
    with pytest.raises(ModelError, match=message):
        register_network(replace(small_network, **changes))
    assert list(NETWORKS) == before


def test_registering_the_same_network_again_has_no_effect(small_network: Network) -> None:
    before = list(NETWORKS)
    assert register_network(small_network) is small_network
    assert list(NETWORKS) == before


def test_an_unregistered_models_error_says_what_to_do() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(ModelError, match="Import the module that registers the network"):
        network_of(keras.Model(inputs, inputs, name="elsewhere"))


_OTHER_PROCESS = """
import json, sys
from mammo_core.models import network_names
from mammo_core.recipes import load_recipe
recipe = load_recipe("phantom", ["patch_training.network.name=small_outside"])
print(json.dumps({"names": network_names(), "keras": "keras" in sys.modules}))
"""


def test_an_entry_point_registers_it_in_every_process(tmp_path: Path) -> None:
    """An installed distribution is metadata on the path; Keras is not imported."""
    metadata = tmp_path / "small_outside-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: small-outside\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[mammo.networks]\nsmall = tests.contributing.network\n"
    )
    root = Path(__file__).parents[2]
    path = os.pathsep.join(map(str, (tmp_path, root)))
    done = subprocess.run(
        [sys.executable, "-c", _OTHER_PROCESS],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "small_outside" in answer["names"]
    assert not answer["keras"]
