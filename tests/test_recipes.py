import json
from pathlib import Path

import pytest
import yaml

from mammo_core.errors import RecipeError
from mammo_core.recipes import load_recipe
from mammo_core.sampling import GEOMETRIES
from mammo_core.store import open_store

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_of_the_project_are_valid_and_state_their_cost(path):
    recipe = load_recipe(str(path))
    assert recipe.name == path.stem
    assert recipe.command
    assert recipe.expected_time
    assert recipe.expected_result


def test_name_file_and_stored_recipe_are_the_same(tmp_path):
    named = load_recipe("phantom")
    assert load_recipe(str(RECIPES / "phantom.yaml")) == named
    store = open_store(f"file://{tmp_path}")
    store.write("runs/r1/recipe.json", named.to_json().encode())
    assert load_recipe(f"{store.uri}/runs/r1/recipe.json") == named


def test_overrides_are_applied_in_order():
    recipe = load_recipe("phantom", ["gate={min_auc: 0.1}", "gate.margin=0.2", "seed=3"])
    assert (recipe.gate.min_auc, recipe.gate.margin) == (0.1, 0.2)
    assert recipe.seed == 3


def test_a_repeated_key_is_refused(tmp_path):
    scale = "intensity.target_scale=200"
    with pytest.raises(RecipeError, match=r"intensity\.target_scale is repeated") as caught:
        load_recipe("phantom", [scale, "seed=3", "intensity.target_scale=100"])
    assert caught.value.received == "200 and 100"
    # One factor for all images, or each image's own maximum: not both.
    with pytest.raises(RecipeError, match="target_scale belongs to the regime image_max"):
        load_recipe("phantom", [scale])
    path = tmp_path / "twice.yaml"
    path.write_text(f"{(RECIPES / 'phantom.yaml').read_text()}seed: 2\n")
    with pytest.raises(RecipeError, match="'seed' is repeated in one mapping"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("gate.mim_auc=0.1", "gate.mim_auc"),
        ("seed=-1", "seed"),
        ("convert.geometry.height=tall", "convert.geometry.height"),
        ("name.first=x", "name"),
        ("=1", "key=value"),
    ],
)
def test_errors_of_overrides_name_the_key(override, message):
    with pytest.raises(RecipeError) as caught:
        load_recipe("phantom", [override])
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_text_that_is_not_a_recipe_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        load_recipe(str(path))


def test_recipes_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("phantom").seed = 1


def test_compatible_sampling_uses_the_originals_masks():
    override = "sampling.compatible=true"
    assert load_recipe("phantom").convert.geometry.masks == "nearest"
    assert load_recipe("phantom", [override]).convert.geometry.masks == "cubic"
    recipe = load_recipe("phantom", [override, "convert.geometry.masks=nearest"])
    assert recipe.convert.geometry.masks == "nearest"


@pytest.mark.parametrize("preset", sorted(GEOMETRIES))
def test_a_preset_sets_the_size_of_the_images(tmp_path, preset):
    values = yaml.safe_load((RECIPES / "phantom.yaml").read_text())
    del values["convert"]["geometry"]
    values["sampling"] = {"preset": preset}
    path = tmp_path / "sized.yaml"
    path.write_text(yaml.safe_dump(values))
    recipe = load_recipe(str(path))
    height, side = (4096, 256) if preset == "first-generation" else (1152, 224)
    assert recipe.convert.geometry.height == height and recipe.sampling.patch_size == side
    if height == 1152:
        assert recipe.convert.geometry.width == 896


def test_label_maps_by_name_and_as_data():
    assert load_recipe("phantom").label_map.names[0] == "background"
    named = load_recipe("phantom", ["label_map=malignancy"])
    assert named.label_map.names == ("background", "malignant", "benign")
    mapping = load_recipe(
        "phantom", ["label_map={classes: {rest: [], calc: [calc_ben, calc_mal]}}"]
    )
    assert mapping.label_map.names == ("rest", "calc")
    with pytest.raises(RecipeError, match="label_map"):
        load_recipe("phantom", ["label_map=seven"])


def test_members_of_an_ensemble_override_keys_of_the_recipe(tmp_path):
    values = load_recipe("phantom").model_dump(mode="json")
    values["members"] = [
        {"name": "one", "patch_training": {"network": {"dropout": 0.4}}},
        {"name": "two", "weight": 2, "image_training": {"batch_size": 4}},
    ]
    recipe = load_recipe(json.dumps(values))
    assert recipe.of_member("") is recipe
    assert recipe.of_member("one").patch_training.network.dropout == 0.4
    assert recipe.of_member("one").patch_training.network.name == "compact"
    assert recipe.of_member("two").image_training.batch_size == 4
    with pytest.raises(RecipeError, match="no such member"):
        recipe.of_member("three")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([{"name": "one"}, {"name": "one"}], "distinct names"),
        ([{"name": "one", "patch_training": {"batch": 4}}], "batch"),
        ([{"name": "one", "weight": 0}], "weight"),
    ],
)
def test_invalid_members_are_refused(members, message):
    values = {**load_recipe("phantom").model_dump(mode="json"), "members": members}
    with pytest.raises(RecipeError, match=message):
        load_recipe(json.dumps(values))
