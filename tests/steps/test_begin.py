import hashlib
import json
import re

import pytest

from mammo_core import at_paths
from mammo_core.recipes import load_recipe
from mammo_core.runs import Run
from mammo_core.steps.begin import network_names


def test_the_recipe_is_resolved_once_for_all_steps(file_store):
    partitions, digest = at_paths.begin(
        store=file_store.uri,
        run_id="r1",
        kfp_run_id="kfp",
        recipe="phantom",
        source="s3://mammo-sources/phantom",
        settings=["gate.min_auc=0.5"],
        partitions=3,
    )
    assert partitions == ["0/3", "1/3", "2/3"]
    record = file_store.read("runs/r1/recipe.json")
    assert digest == hashlib.sha256(record).hexdigest()
    resolved = Run(file_store, "r1").recipe("another name")
    assert resolved.source.root == "s3://mammo-sources/phantom"
    assert resolved.gate.min_auc == 0.5
    assert network_names(resolved) == [""]


def test_a_recipe_may_be_the_parameter_itself(file_store):
    recipe = json.dumps({**load_recipe("phantom").model_dump(mode="json"), "name": "mine"})
    at_paths.begin(store=file_store.uri, run_id="", kfp_run_id="kfp", recipe=recipe)
    assert Run(file_store, "kfp").recipe().name == "mine"


def test_the_members_of_an_ensemble_are_named(file_store):
    setting = "members=[{name: one}, {name: two}]"
    at_paths.begin(store=file_store.uri, run_id="r1", recipe="phantom", settings=[setting])
    assert network_names(Run(file_store, "r1").recipe()) == ["one", "two"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "nothing"}, "recipe cannot be found"),
        ({"settings": ["gate.auc=1"]}, "gate.auc"),
        ({"partitions": -1}, "1 to 1000, or 0"),
        ({"start": "champion"}, "no model to start from.*train"),
    ],
)
def test_an_error_is_printed_and_recorded(file_store, capsys, change, message):
    with pytest.raises(SystemExit) as caught:
        at_paths.begin(**{"store": file_store.uri, "run_id": "r1", "recipe": "phantom", **change})
    assert caught.value.code == 1
    assert capsys.readouterr().out.startswith("[index] error: ")
    summary = at_paths.summarize(
        store=file_store.uri, run_id="r1", recipe=change.get("recipe", "phantom"), state="FAILED"
    )
    assert summary["state"] == "failed"
    assert re.search(message, summary["errors"]["index"])


def test_a_run_can_start_from_a_named_model(file_store):
    uri = "s3://mammo/models/cbis/3"
    at_paths.begin(store=file_store.uri, run_id="r1", recipe="phantom", start=uri)
    assert Run(file_store, "r1").recipe().image_training.start == uri
