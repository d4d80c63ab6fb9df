"""A model of both views: trained, judged against one of single images, pushed and used.

The steps run in this process, in a copy of the store of a run of single images.
"""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mammo_core import steps
from mammo_core.datasets import Manifest
from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import unit_of
from mammo_core.features.kinds import FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
from mammo_core.registry import open_package
from mammo_core.registry.kinds import PUSH
from mammo_core.runs import Run
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store, open_store
from mammo_core.training.kinds import PATCH_TRAINING
from tests.support.training_run import begin_run

pytestmark = pytest.mark.slow

_SHARED = "{towers: shared, join: concatenate}"
_RECIPE = str(Path(__file__).parent / "recipe.yaml")


class TwoViewRun:
    """The steps from training to push with both views of a breast.

    Attributes:
        store: The store.
        source: The phantom that it was made from.
        outputs: Name → output.
        run: The record of the run.
    """

    def __init__(self, store: Store, lineage: dict[str, str], source: Path) -> None:
        self.store, self.source = store, source
        images = IMAGE_DATASET.read(store, lineage["images"])
        self.outputs: dict[str, Manifest] = {
            "tables": TABLES.read(store, images.lineage["tables"]),
            "images": images,
            "patches": PATCH_DATASET.read(store, lineage["patches"]),
            "frame": FRAME.read(store, lineage["frame"]),
            "patch_training": PATCH_TRAINING.read(store, lineage["patch_training"]),
        }
        self.run = self.begin("pairs", f"image_training.two_view={_SHARED}")
        data = ("images", "frame")
        networks = ("patch_training", "image_training")
        self._add("image_training", steps.train_image, *data, "patch_training")
        self._add("evaluation", steps.evaluate, *data, "patches", *networks)
        self._add("candidate", steps.build_candidate, *data, *networks, "evaluation")
        self._add("duel", steps.duel, "tables", "frame", "candidate")
        self._add("decision", steps.gate, "evaluation", "duel")
        self._add("model", steps.push, "candidate", "decision")

    def begin(self, run_id: str, *settings: str) -> Run:
        gate = ["gate.margin=1.0", "gate.bootstrap_replicates=100"]
        source = f"source.root={json.dumps(str(self.source))}"
        return begin_run(self.store, run_id, _RECIPE, [source, *gate, *settings])

    def inputs(self, *names: str) -> dict[str, Manifest]:
        return {name: self.outputs[name] for name in names}

    def _add(self, name: str, step, *inputs: str) -> None:
        self.outputs[name] = step(self.run, **self.inputs(*inputs))


@pytest.fixture(scope="module")
def pairs(undisturbed, phantom_tree, tmp_path_factory):
    """A two-view model in the store of a run of single images."""
    single, first = undisturbed
    assert first.code == 0, first.output
    folder = tmp_path_factory.mktemp("two-views")
    shutil.copytree(single / "store", folder / "store")
    store = open_store(f"file://{folder}/store")
    evaluation = Run(store, first.summary["run_id"]).statuses()["evaluate"]["output"]
    return TwoViewRun(store, json.loads(store.read(evaluation))["lineage"], phantom_tree)


def test_it_is_judged_by_breasts_and_pushed(pairs):
    gate = pairs.run.statuses()["gate"]["facts"]["gate"]
    assert gate["passed"] and gate["unit"] == "breast"
    assert gate["reasons"][0].startswith("AUC per breast")
    assert "judged per breast" in gate["reasons"][-1]
    evaluation, decision = pairs.outputs["evaluation"], pairs.outputs["decision"]
    metrics = json.loads(pairs.store.read(evaluation.file("metrics.json").key))
    levels = {level["level"]: level for level in metrics["image"]["levels"]}
    assert gate["auc"] == pytest.approx(levels["breast"]["auc"]["value"])
    page = pairs.store.read(decision.file("comparison.html").key).decode()
    assert "Per breast, test set" in page
    report = pairs.store.read(evaluation.file("report.html").key).decode()
    assert "of a breast, from both of its views" in report

    uri = PUSH.facts_of(pairs.outputs["model"]).model_uri
    assert uri == f"{pairs.store.uri}/models/tiny/2"
    manifest = open_package(uri).manifest
    assert manifest.unit == "breast"
    assert manifest.exports == {"saved_model": "exported", "onnx": "exported"}


def test_two_packages_are_compared_by_breasts(pairs, mammo):
    uris = [f"{pairs.store.uri}/models/tiny/{number}" for number in (2, 1)]
    result = subprocess.run(
        [mammo, "models", "compare", *uris, "--json"], capture_output=True, text=True, check=True
    )
    comparison = json.loads(result.stdout)
    assert [model["unit"] for model in comparison["models"]] == ["breast", "image"]
    assert comparison["paired"]["levels"][0]["level"] == "breast"


def test_scores_of_the_test_views_equal_the_evaluation(pairs, phantom_tree, mammo, tmp_path):
    key = pairs.outputs["evaluation"].file("test.parquet").key
    predicted = pd.read_parquet(pairs.store.fetch(key))
    expected = dict(zip(predicted["image_id"], predicted["probability"], strict=True))
    out, model = tmp_path / "scores.csv", f"{pairs.store.uri}/models/tiny"
    line = [mammo, "score", "--model", model, phantom_tree, "--out", out]
    result = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "Each image has the probability of its breast" in result.stdout
    rows = {row["id"]: row for row in csv.DictReader(out.open())}
    assert expected and set(expected) <= set(rows)
    for name, probability in expected.items():
        assert float(rows[name]["malignant_probability"]) == pytest.approx(probability, abs=1e-4)
    breasts = list(csv.DictReader((tmp_path / "scores.breasts.csv").open()))
    assert len({(row["patient"], row["laterality"]) for row in breasts}) == len(breasts)
    # Crops and masks belong to no breast.
    assert all(row["patient"].startswith("P_") for row in breasts)
    assert all(row["view"] for row in rows.values())


def test_training_resumes_from_it_and_both_make_an_ensemble(pairs):
    start = f"image_training.start={pairs.store.uri}/models/tiny/2"
    stages = "[{train: all, learning_rate: 1.0e-12, weight_decay: 0, epochs: 1}]"

    def train(name: str, two_view: str) -> Manifest:
        settings = [f"image_training.stages={stages}", f"image_training.two_view={two_view}"]
        run = pairs.begin(name, start, *settings)
        return steps.train_image(run, **pairs.inputs("images", "frame"))

    training = train("warm", _SHARED)
    from mammo_core.models import load_model

    package = open_package(f"{pairs.store.uri}/models/tiny/2").load()
    assert training.lineage["start"] == package.model_id
    model = load_model(pairs.store.fetch(training.file("model.keras").key))
    for weight, original in zip(model.weights, package.model.weights, strict=True):
        if "moving" not in weight.path:
            np.testing.assert_allclose(weight.numpy(), original.numpy(), atol=1e-6)
    for name, two_view in (("single", "null"), ("other", "{towers: separate}")):
        with pytest.raises(ModelError, match=r"sees both views of a breast.*towers shared"):
            train(name, two_view)

    ensemble = steps.combine(
        pairs.begin("both", "members=[{name: one}, {name: two}]"),
        image_trainings=[pairs.outputs["image_training"], training],
    )
    network = load_model(pairs.store.fetch(ensemble.file("model.keras").key))
    assert unit_of(network) == "breast"


def test_rules_for_other_flips_are_fitted_to_flipped_predictions(pairs):
    from mammo_core.evaluation.config import EvaluationConfig
    from mammo_core.evaluation.decisions import DecisionRules, fit_rules
    from mammo_core.evaluation.inference import image_predictions
    from mammo_core.features.frame import frame_from_manifest
    from mammo_core.training.kinds import IMAGE_TRAINING
    from mammo_core.training.networks import load_network

    run = pairs.begin("flips", "evaluation.rules_for_other_flips=true")
    names = ("images", "patches", "frame", "patch_training", "image_training")
    evaluation = steps.evaluate(run, **pairs.inputs(*names))
    stored = DecisionRules.model_validate_json(
        pairs.store.read(evaluation.file("decision_rules.json").key)
    )
    training = pairs.outputs["image_training"]
    flipped = image_predictions(
        pairs.store,
        pairs.outputs["images"],
        frame_from_manifest(pairs.store, pairs.outputs["frame"]).split("validation"),
        load_network(pairs.store, training),
        IMAGE_TRAINING.facts_of(training).preprocessing,
        EvaluationConfig(flips=True),
    )
    expected = fit_rules(flipped.sort_values("image_id", ignore_index=True), flips=True)
    assert stored.with_flips(True) == expected and expected.breast.operating_points
    # The rules of the evaluated flips are those of the evaluation without the key.
    plain = pairs.outputs["evaluation"]
    before = DecisionRules.model_validate_json(
        pairs.store.read(plain.file("decision_rules.json").key)
    )
    assert stored.model_copy(update={"other_flips": None}) == before
    assert before.with_flips(True) is None and evaluation.id != plain.id
