from pathlib import Path

import pytest

from mammo_core.errors import RecipeError
from mammo_core.recipes import load_recipe
from mammo_core.store import open_store

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_of_the_project_are_valid_and_say_what_they_cost(path):
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
    recipe = load_recipe("phantom", ["gate.min_auc=0.1", "gate.min_auc=0.2", "seed=3"])
    assert recipe.gate.min_auc == 0.2
    assert recipe.seed == 3


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("gate.mim_auc=0.1", "gate.mim_auc"),
        ("seed=-1", "seed"),
        ("convert.geometry.height=tall", "convert.geometry.height"),
        ("name.first=x", "name"),
        ("=1", "key=value"),
    ],
)
def test_wrong_overrides_name_the_key(override, told):
    with pytest.raises(RecipeError) as caught:
        load_recipe("phantom", [override])
    assert told in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_text_that_is_no_recipe(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        load_recipe(str(path))


def test_recipes_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("phantom").seed = 1
