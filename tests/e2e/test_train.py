import csv
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def test_path_ends_in_a_pushed_model(undisturbed):
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


def test_second_run_finds_everything(undisturbed, pipeline):
    work, first = undisturbed
    again = pipeline.run(work, runs="again")
    assert again.code == 0, again.output
    # These two look at the champion, and there was none the first time.
    new = {step for step in first.summary["reused"] if not again.summary["reused"][step]}
    assert new == {"gate", "validate-data"}
    assert again.summary["model_uri"] == first.summary["model_uri"]
    assert "already the champion" in again.output
    assert _ids(again) == _ids(first)


def test_training_setting_converts_and_samples_nothing(undisturbed, pipeline):
    work, first = undisturbed
    changed = pipeline.run(
        work,
        *("--set", "patch_training.network.name=yaroslav"),  # too large for these patches
        runs="changed",
    )
    # The new training is begun, and ends at once: the steps before it are what matters here.
    assert changed.code == 1, changed.output
    assert "step train-patch" in changed.output
    found = changed.summary["reused"]
    data = ["index", "convert", "publish-features", "sample"]
    assert [found[step] for step in data] == [True] * len(data)
    assert not found["train-patch"]
    assert _ids(changed) == _ids(first)


def test_shuffled_labels_are_never_pushed(undisturbed, pipeline):
    work, first = undisturbed
    shuffled = pipeline.run(work, "--shuffle-labels", runs="shuffled")
    assert shuffled.code == 0, shuffled.output
    assert shuffled.summary["model_uri"] is None
    assert "never pushed" in shuffled.output
    assert shuffled.summary["datasets"]["images"]["reused"]
    assert shuffled.summary["datasets"]["patches"]["reused"]
    assert _ids(shuffled)["frame"] != _ids(first)["frame"]
    sizes = ("images", "patients")
    for split, counts in first.summary["splits"].items():
        same = shuffled.summary["splits"][split]
        assert [same[name] for name in sizes] == [counts[name] for name in sizes]


def test_scorer_takes_the_pushed_model(undisturbed, phantom_tree, mammo, tmp_path):
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


def test_pushed_card_names_the_auc(undisturbed):
    work, done = undisturbed
    card = (work / "store" / "models" / "tiny" / "1" / "MODEL_CARD.md").read_text()
    assert f"{done.summary['auc']:.3f}"[:4] in card


def _evaluation(work, done):
    """The manifest of a run's evaluation."""
    record = work / "store" / "runs" / done.summary["run_id"] / "steps" / "evaluate.json"
    return work / "store" / json.loads(record.read_text())["output"]


def test_evaluation_measures_the_official_split_too(undisturbed):
    work, done = undisturbed
    folder = _evaluation(work, done).parent
    found = json.loads((folder / "metrics.json").read_text())["image"]["subgroups"]
    variants = {group["group"]: group["n_images"] for group in found if group["by"] == "split"}
    assert variants["official without leak"] == done.summary["n_test_images"]
    # The leaking patient's test image is no part of the test set, but of the official one.
    assert variants["official"] > variants["official without leak"]
    assert (folder / "summary.md").read_text().startswith("# Evaluation")


def test_second_stage_on_what_the_run_published(undisturbed, tmp_path):
    work, done = undisturbed
    store = work / "store"
    made_from = json.loads(_evaluation(work, done).read_text())["lineage"]
    kinds = {
        "images": "datasets/images",
        "frame": "frames",
        "patch_training": "trainings/patch",
    }
    inputs = {
        name: str(store / kind / made_from[name] / "manifest.json") for name, kind in kinds.items()
    }
    told = {
        "store": f"file://{store}",
        "run_id": "second-stage",
        "recipe": str(Path(__file__).parent / "recipe.yaml"),
        "out": str(tmp_path / "regions.json"),
    }
    code = f"from mammo_core.steps import at_paths; print(at_paths.regions(**{ {**told, **inputs}!r}))"
    for found in ("'reused': False", "'reused': True"):
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
        assert found in ran.stdout
    manifest = json.loads((tmp_path / "regions.json").read_text())
    assert {file["name"] for file in manifest["files"]} == {
        *("features.parquet", "forest.npz", "metrics.json", "report.html", "test.parquet"),
    }
    assert 0 <= manifest["facts"]["cross_validation_auc"] <= 1


def test_run_leaves_no_temporary_files(undisturbed):
    work, done = undisturbed
    assert not (work / "runs" / done.summary["run_id"] / "tmp").exists()


def test_run_id_used_again_starts_anew(undisturbed, pipeline):
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


def test_damaged_table_is_told(undisturbed, pipeline, tmp_path):
    work, _ = undisturbed
    shutil.copytree(work / "store", tmp_path / "store")
    for path in (tmp_path / "store" / "frames").glob("*/images.parquet"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    done = pipeline.run(tmp_path, "--set", "image_training.batch_size=5")
    assert done.code == 1
    assert "images.parquet is damaged" in done.output


def _ids(done):
    return {name: data["id"] for name, data in done.summary["datasets"].items()}


def test_records_hold_the_resolved_recipe(undisturbed):
    work, done = undisturbed
    stored = work / "store" / "runs" / done.summary["run_id"] / "recipe.json"
    assert json.loads(stored.read_text())["image_training"]["batch_size"] == 4
