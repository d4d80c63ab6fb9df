"""`start-from` refuses a package of other images before any data is other for it."""

import json
from types import SimpleNamespace

import pytest

from mammo_core.errors import ModelError
from mammo_core.preprocessing import Preprocessing
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.steps.ensemble import _require_same_contract
from mammo_core.steps.step import StepContext


def start(store, folder, *settings, classes=None, **changes):
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
    context = StepContext("start-from", Run(store, "r"), recipe)
    _require_same_contract(context, SimpleNamespace(folder=folder))


def test_the_recipe_of_the_package_is_accepted(file_store, tmp_path):
    start(file_store, tmp_path)


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
def test_another_recipe_is_refused_unless_it_allows_the_difference(
    file_store, tmp_path, capsys, name, settings
):
    with pytest.raises(ModelError, match=rf"other images than the recipe makes: {name}"):
        start(file_store, tmp_path, *settings)
    start(file_store, tmp_path, *settings, f"image_training.start_differences=[{name}]")
    said = capsys.readouterr().out
    assert name == "patch_classes" or f"was trained on other images: {name}" in said
