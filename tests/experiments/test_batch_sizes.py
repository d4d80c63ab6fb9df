import json

import pytest
from typer.testing import CliRunner

from mammo_core.cli.models import app
from mammo_core.errors import RecipeError
from mammo_core.experiments import batch_sizes
from mammo_core.experiments.batch_sizes import find_batch_sizes
from mammo_core.recipes import Recipe, load_recipe

SMALL = [
    "convert.geometry={height: 64, width: 48, resize: forced}",
    "sampling.patch_size=32",
    "image_training.head={depths: [4], repetitions: [1]}",
]


@pytest.mark.slow
def test_the_largest_batches_of_a_recipe_are_measured():
    arguments = ["find-batch-size", "--recipe", "phantom", "--largest", "4", "--json"]
    result = CliRunner().invoke(app, [*arguments, *(f"--set={override}" for override in SMALL)])
    assert result.exit_code == 0, result.output
    # Records of some kilobytes: the largest size that is tried fits.
    assert json.loads(result.output) == {"patch_training": 4, "image_training": 4}


def test_the_smallest_size_of_all_networks_is_returned(monkeypatch):
    def measure(text, section, largest):
        network = Recipe.model_validate_json(text).patch_training.network.name
        return {"compact": 16, "resnet50": 4}[network] // (1 + (section == "image_training"))

    monkeypatch.setattr(batch_sizes, "_largest_batch", measure)
    # A warm start trains no patch classifier; the largest network of an ensemble is the limit.
    warm = load_recipe("phantom", ["image_training.start=file://store/models/m"])
    assert find_batch_sizes(warm) == {"image_training": 8}
    members = "members=[{name: a}, {name: b, patch_training: {network: {name: resnet50}}}]"
    both = load_recipe("phantom", [members])
    assert find_batch_sizes(both) == {"patch_training": 4, "image_training": 2}


def test_a_cluster_run_cannot_measure_on_this_machine():
    from pipelines.cli.cluster_run import require_no_batch_search

    with pytest.raises(RecipeError, match="machine that trains"):
        require_no_batch_search(True)
