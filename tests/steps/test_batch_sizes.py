import json

import pytest
from typer.testing import CliRunner

from mammo_core.cli import app
from mammo_core.errors import RecipeError
from mammo_core.recipes import load_recipe
from mammo_core.steps.batch_sizes import find_batch_sizes

SMALL = [
    "convert.geometry={height: 64, width: 48, resize: forced}",
    "sampling.patch_size=32",
    "image_training.head={depths: [4], repetitions: [1]}",
]


@pytest.mark.slow
def test_the_largest_batches_of_a_recipe_are_found():
    arguments = ["models", "find-batch-size", "--recipe", "phantom", "--largest", "8", "--json"]
    told = CliRunner().invoke(app, [*arguments, *(f"--set={override}" for override in SMALL)])
    assert told.exit_code == 0, told.output
    # Some kilobytes a record: all that may be tried fits.
    assert json.loads(told.output) == {"patch_training": 8, "image_training": 8}


@pytest.mark.slow
def test_a_warm_start_has_no_patch_training():
    recipe = load_recipe("phantom", [*SMALL, "image_training.start=file://store/models/m"])
    assert find_batch_sizes(recipe, largest=2) == {"image_training": 2}


def test_a_cluster_run_cannot_find_them_here():
    from pipelines.cli.running import _only_here

    with pytest.raises(RecipeError, match="machine that trains"):
        _only_here(True)
