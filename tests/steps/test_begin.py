import hashlib
import json

import pytest

from mammo_core import steps
from mammo_core.recipes import load_recipe
from mammo_core.steps.base import recipe_of
from mammo_core.store import open_store


@pytest.fixture
def place(tmp_path):
    return open_store(f"file://{tmp_path}/store")


def test_the_recipe_is_resolved_once_for_all_steps(place):
    started = steps.begin(
        store=place.uri,
        run_id="r1",
        kfp_run_id="kfp",
        recipe="phantom",
        source="s3://mammo-sources/phantom",
        settings=["gate.min_auc=0.5"],
        partitions=3,
    )
    assert started.partitions == ["0/3", "1/3", "2/3"]
    record = place.read("runs/r1/recipe.json")
    assert started.recipe_digest == hashlib.sha256(record).hexdigest()
    resolved = recipe_of(place, "r1", "another name")
    assert resolved.source.root == "s3://mammo-sources/phantom"
    assert resolved.gate.min_auc == 0.5
    assert steps.members(store=place.uri, run_id="r1", recipe="phantom") == [""]


def test_a_recipe_may_be_the_parameter_itself(place):
    told = json.dumps({**load_recipe("phantom").model_dump(mode="json"), "name": "mine"})
    steps.begin(store=place.uri, run_id="", kfp_run_id="kfp", recipe=told)
    assert recipe_of(place, "kfp", "phantom").name == "mine"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"recipe": "nothing"}, "recipe cannot be found"),
        ({"settings": ["gate.auc=1"]}, "gate.auc"),
        ({"partitions": 0}, "1 to 1000"),
        ({"start": "champion"}, "no model to go on from.*train"),
    ],
)
def test_a_fault_is_told_and_left_in_the_record(place, capsys, more, told):
    with pytest.raises(SystemExit) as ended:
        steps.begin(**{"store": place.uri, "run_id": "r1", "recipe": "phantom", **more})
    assert ended.value.code == 1
    line = capsys.readouterr().out
    assert line.startswith("[index] error: ")
    summary = steps.summarize(
        store=place.uri, run_id="r1", recipe=more.get("recipe", "phantom"), state="FAILED"
    )
    assert summary["state"] == "failed"
    import re

    assert re.search(told, summary["errors"]["index"])


def test_a_run_can_start_from_a_named_model(place):
    uri = "s3://mammo/models/cbis/3"
    steps.begin(store=place.uri, run_id="r1", recipe="phantom", start=uri)
    assert recipe_of(place, "r1", "phantom").image_training.start == uri
