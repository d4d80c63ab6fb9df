"""The pipeline `train` on a small phantom, from the files to a pushed model and its scores."""

import csv
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from mammo_core import steps
from mammo_core.datasets import parse
from mammo_core.errors import MammoError, RecordError
from mammo_core.evaluation.kinds import REGIONS
from mammo_core.features.kinds import FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.runs import summarize
from mammo_core.store import open_store
from mammo_core.training.kinds import PATCH_TRAINING
from tests.support.training_run import begin_run, run_training

pytestmark = pytest.mark.slow
RECIPE = str(Path(__file__).parent / "recipe.yaml")


@pytest.fixture
def new_run(undisturbed, phantom_tree):
    """Create a run in the store of the undisturbed run."""
    work, _ = undisturbed

    def create(run_id, *settings, store=None):
        source = f"source.root={json.dumps(str(phantom_tree))}"
        store = store or open_store(f"file://{work}/store")
        return begin_run(store, run_id, RECIPE, [source, *settings])

    return create


def test_a_run_pushes_a_model(undisturbed):
    work, done = undisturbed
    assert done.code == 0, done.output
    summary = done.summary
    assert summary["state"] == "succeeded"
    assert summary["model_uri"] == f"file://{work}/store/models/tiny/1"
    assert summary["gate"]["passed"] is True
    assert set(summary["datasets"]) == {"tables", "images", "patches", "frame"}
    assert summary["datasets"]["images"]["counts"]["images"] > 24
    low, high = summary["auc_ci95"]
    assert 0 <= low <= summary["auc"] <= high <= 1
    assert summary["n_test_images"] == summary["splits"]["test"]["images"]
    report = Path(summary["report"]).read_text()
    assert report.count("data:image/png;base64,") >= 6
    assert "not a medical device" in report.lower()
    assert "images/s" in done.output  # progress with its rate


def test_a_second_run_reuses_everything(undisturbed, pipeline):
    work, first = undisturbed
    again = pipeline.run(work, runs="again")
    assert again.code == 0, again.output
    # It depends on the champion, and there was none the first time.
    new = {step for step, is_reused in again.summary["reused"].items() if not is_reused}
    assert new == {"validate-data"}
    assert "duel" not in again.summary["states"]
    assert again.summary["gate"] == first.summary["gate"]
    assert again.summary["model_uri"] == first.summary["model_uri"]
    assert "already the champion" in again.output
    assert _ids(again) == _ids(first)


def test_another_training_converts_and_samples_nothing(undisturbed, new_run):
    _, first = undisturbed
    # This network is too large for these patches, so that its training fails at once.
    changed = new_run("changed", "patch_training.network.name=yaroslav")
    with pytest.raises(MammoError):
        run_training(changed)
    statuses = changed.statuses()
    data = ["index", "convert", "publish-features", "sample"]
    assert [statuses[step]["reused"] for step in data] == [True] * len(data)
    assert statuses["train-patch"]["state"] == "failed" and not statuses["train-patch"]["reused"]
    assert summarize(changed)["datasets"].keys() == first.summary["datasets"].keys()
    for name, dataset in summarize(changed)["datasets"].items():
        assert dataset["id"] == first.summary["datasets"][name]["id"]


def test_shuffled_labels_are_never_pushed(undisturbed, new_run, capsys):
    _, first = undisturbed
    run = new_run("shuffled", "shuffle_labels=true")
    assert "model" not in run_training(run)
    assert "never pushed" in capsys.readouterr().out
    shuffled = summarize(run)
    assert shuffled["model_uri"] is None
    assert shuffled["datasets"]["images"]["reused"] and shuffled["datasets"]["patches"]["reused"]
    assert shuffled["datasets"]["frame"]["id"] != first.summary["datasets"]["frame"]["id"]
    sizes = ("images", "patients")
    for split, counts in first.summary["splits"].items():
        same = shuffled["splits"][split]
        assert [same[name] for name in sizes] == [counts[name] for name in sizes]


def test_the_pushed_model_scores_files(undisturbed, phantom_tree, mammo, tmp_path):
    _, done = undisturbed
    views = sorted(phantom_tree.glob("*-Test_*"))[:2]
    out = tmp_path / "scores.csv"
    scored = subprocess.run(
        [mammo, "score", "--model", done.summary["model_uri"], *views, "--out", out],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = list(csv.DictReader(out.open()))
    assert rows
    assert all(0 <= float(row["malignant_probability"]) <= 1 for row in rows)
    assert str(out) in scored.stdout.replace("\n", "")
    assert (tmp_path / "scores.rejects.csv").exists()


def test_no_patient_name_in_any_output(undisturbed):
    # The phantom's headers carry this name in every file.
    name = b"PHANTOM^SYNTHETIC"
    work, _ = undisturbed
    for path in work.rglob("*"):
        if path.suffix == ".parquet":
            assert name.decode() not in pd.read_parquet(path).to_csv(), path
        elif path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                assert not any(name in archive.read(item) for item in archive.namelist()), path
        elif path.is_file():
            assert name not in path.read_bytes(), path


def test_the_model_card_states_the_auc(undisturbed):
    work, done = undisturbed
    card = (work / "store" / "models" / "tiny" / "1" / "MODEL_CARD.md").read_text()
    assert f"{done.summary['auc']:.3f}"[:4] in card


def _evaluation(work, done):
    """Return the path of the manifest of a run's evaluation."""
    record = work / "store" / "runs" / done.summary["run_id"] / "steps" / "evaluate.json"
    return work / "store" / json.loads(record.read_text())["output"]


def test_the_evaluation_includes_the_official_split(undisturbed):
    work, done = undisturbed
    manifest = parse(_evaluation(work, done).read_bytes(), "manifest.json")
    files = {file.name: work / "store" / file.key for file in manifest.files}
    groups = json.loads(files["metrics.json"].read_text())["image"]["subgroups"]
    variants = {group["group"]: group["n_images"] for group in groups if group["by"] == "split"}
    assert variants["official without leak"] == done.summary["n_test_images"]
    # The leaking patient's test image is not in the test set, but in the official one.
    assert variants["official"] > variants["official without leak"]
    assert files["summary.md"].read_text().startswith("# Evaluation")


def test_the_second_stage_on_published_outputs(undisturbed, new_run):
    work, done = undisturbed
    run = new_run("second-stage")
    lineage = json.loads(_evaluation(work, done).read_text())["lineage"]
    inputs = {
        "images": IMAGE_DATASET.read(run.store, lineage["images"]),
        "frame": FRAME.read(run.store, lineage["frame"]),
        "patch_training": PATCH_TRAINING.read(run.store, lineage["patch_training"]),
    }
    first, second = (steps.regions.execute(run, **inputs) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert first.manifest == second.manifest
    assert {file.name for file in first.manifest.files} == {
        *("features.parquet", "forest.npz", "metrics.json", "report.html", "test.parquet"),
    }
    assert 0 <= REGIONS.facts_of(first.manifest).cross_validation_auc <= 1


def test_a_run_leaves_no_temporary_files(undisturbed):
    work, done = undisturbed
    assert not (work / "runs" / done.summary["run_id"] / "tmp").exists()


def test_a_run_with_the_id_of_another_replaces_its_record(undisturbed, pipeline):
    work, first = undisturbed
    again = pipeline.run(
        work,
        *("--run-id", first.summary["run_id"]),
        *("--set", "gate.min_auc=0.999"),
        runs="same-id",
    )
    assert again.code == 0, again.output
    assert again.summary["gate"]["passed"] is False
    assert again.summary["model_uri"] is None


def test_a_damaged_table_is_an_error(undisturbed, new_run, tmp_path):
    work, _ = undisturbed
    shutil.copytree(work / "store", tmp_path / "store")
    for path in (tmp_path / "store" / "frames").glob("*/*/images.parquet"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    store = open_store(f"file://{tmp_path}/store")
    with pytest.raises(RecordError, match=r"images\.parquet is damaged"):
        run_training(new_run("damaged", "image_training.batch_size=5", store=store))


def _ids(done):
    return {name: data["id"] for name, data in done.summary["datasets"].items()}


def test_the_record_has_the_resolved_recipe(undisturbed):
    work, done = undisturbed
    stored = work / "store" / "runs" / done.summary["run_id"] / "recipe.json"
    assert json.loads(stored.read_text())["image_training"]["batch_size"] == 4
