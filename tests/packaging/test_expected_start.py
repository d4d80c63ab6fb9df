"""Training does not start from a package of other images, unless the recipe allows it."""

import json

import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging.start_contract import ExpectedStart, require_same_start
from mammo_core.preprocessing import Preprocessing
from mammo_core.recipes import load_recipe


def start(folder, *settings, classes=None, **changes):
    """Check a package that was made with the recipe, except for some changes."""
    recipe = load_recipe("phantom", ["image_training.start=m", *settings])
    other = load_recipe("phantom")
    theirs = Preprocessing(
        geometry=other.convert.geometry,
        conversion=other.convert.conversion,
        mean=1,
        channels=3,
    )
    theirs = theirs.model_copy(update=changes)
    (folder / "preprocessing.json").write_text(theirs.model_dump_json())
    patch = {name: at for at, name in enumerate(classes or other.label_map.names)}
    labels = {"image": {"neg": 0, "pos": 1}, "patch": patch}
    (folder / "label_map.json").write_text(json.dumps(labels))
    expected = ExpectedStart(
        geometry=recipe.convert.geometry,
        conversion=recipe.convert.conversion,
        intensity=recipe.intensity,
        patch_classes=recipe.label_map.names,
        allowed=recipe.image_training.start_differences,
    )
    return require_same_start("m", folder, expected)


def test_the_recipe_of_the_package_is_accepted(tmp_path):
    start(tmp_path)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("stretch", ["convert.stretch=min_max"]),
        ("orientation", ["convert.orientation=chest_left"]),
        ("equalization", ["intensity.equalize=true"]),
        ("scale", ["intensity.regime=image_max"]),
        ("geometry", ["convert.geometry={height: 200, width: 150}"]),
        ("patch_classes", ["label_map=malignancy"]),
    ],
)
def test_another_recipe_is_refused_unless_it_allows_the_difference(tmp_path, name, settings):
    with pytest.raises(ModelError, match=rf"other images than the recipe makes: {name}"):
        start(tmp_path, *settings)
    said = start(tmp_path, *settings, f"image_training.start_differences=[{name}]")
    assert name == "patch_classes" or said[0].startswith(f"{name} ")
