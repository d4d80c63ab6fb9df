"""The six real mammograms through the whole path, and files that cannot go through it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from mammo_core import at_paths
from mammo_core.datasets import parse
from mammo_core.datasets.tables import read_table
from mammo_core.store import open_store
from tests.support import cbis_tree

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECIPE = {
    "name": "six-real-views",
    "command": "pytest tests/real",
    "expected_time": "one minute",
    "expected_result": "none: six views teach nothing",
    "model_name": "six-real-views",
    "seed": 1,
    "convert": {"geometry": {"height": 288, "width": 224}},
    "split": {
        "name": "given",
        "patients": {"P_00041": "train", "P_00127": "train", "P_00202": "validation"},
    },
    "sampling": {"preset": "S10", "patch_size": 56, "lesion_patches": 4, "background_patches": 4},
    "patch_training": {
        "network": {"name": "compact", "weights": "none"},
        "stages": [{"train": "all", "learning_rate": 0.001, "epochs": 1}],
    },
    "image_training": {
        "head": {"kind": "residual", "depths": [8], "repetitions": [1], "enlarge": 2},
        "stages": [{"train": "all", "learning_rate": 0.001, "epochs": 1}],
        # Both validation views are malignant: there is no AUC of one class.
        "selection": "accuracy",
    },
    "gate": {"min_auc": 0.0},
}


class SixViewRun:
    """Runs steps over the tree of the six views."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        source = {"adapter": "cbis_ddsm", "root": str(root), "partial": True}
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(yaml.safe_dump({**RECIPE, "source": source}))
        self.store = open_store(f"file://{folder}/store")

    def step(self, name: str, out: str, **inputs: str):
        getattr(at_paths, name)(
            store=self.store.uri,
            run_id="real",
            recipe=str(self.recipe),
            out=str(self.folder / out),
            **{key: str(self.folder / value) for key, value in inputs.items()},
        )
        return self.manifest(out)

    def manifest(self, name: str):
        return parse((self.folder / name).read_bytes(), name)


@pytest.fixture(scope="module")
def six(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> SixViewRun:
    folder = tmp_path_factory.mktemp("six")
    cbis_tree.build(folder / "tree", real_data)
    run = SixViewRun(folder, folder / "tree")
    run.step("index", "tables")
    run.step("convert", "images", tables="tables")
    run.step("publish_features", "frame", tables="tables", images="images")
    run.step("sample", "patches", tables="tables", images="images")
    run.step("train_patch", "patch_training", patches="patches", frame="frame")
    run.step(
        "train_image",
        "image_training",
        images="images",
        frame="frame",
        patch_training="patch_training",
    )
    return run


@pytest.fixture(scope="module")
def package(six: SixViewRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mammo_core import packaging
    from mammo_core.training.kinds import IMAGE_TRAINING
    from mammo_core.training.networks import load_network

    training = six.manifest("image_training")
    folder = tmp_path_factory.mktemp("package") / "model"
    packaging.build(
        folder,
        name="six-real-views",
        image_model=load_network(six.store, training),
        preprocessing=IMAGE_TRAINING.facts_of(training).preprocessing,
        label_map={"neg": 0, "pos": 1},
        metrics={},
        lineage={"image_training_id": training.id},
        samples=np.zeros((1, 288, 224), np.uint16),
    )
    return folder


def test_six_views_have_no_reject_and_the_leaking_patient_is_reported(six):
    tables, images = six.manifest("tables"), six.manifest("images")
    assert tables.counts["views"] == 6
    assert tables.counts["rejects"] == 0
    assert tables.facts["leaking_patients"] == ["P_00041"]
    assert images.counts["images"] == 6
    assert images.counts["rejected_images"] == images.counts["rejected_lesions"] == 0
    assert six.manifest("frame").facts["leaking_patients"] == ["P_00041"]
    labels = read_table(six.store, six.manifest("frame"), "images.parquet")
    # SOURCES.md: P_00127 and P_00202 malignant, P_00041 benign without callback.
    assert dict(zip(labels["view_id"], labels["label"], strict=True)) == {
        "P_00041_LEFT_CC": 0,
        "P_00041_LEFT_MLO": 0,
        "P_00127_RIGHT_CC": 1,
        "P_00127_RIGHT_MLO": 1,
        "P_00202_RIGHT_CC": 1,
        "P_00202_RIGHT_MLO": 1,
    }
    assert six.manifest("patches").counts["lesion"] > 0
    assert six.manifest("patch_training").counts["epochs"] == 1


def test_the_six_views_are_scored_without_a_reject(six, package, tmp_path):
    rows, rejects = _score(
        package,
        [six.root / path for path in _paths(six)],
        tmp_path,
    )
    assert len(rows) == 6
    assert rejects == []
    assert all(0 <= float(row["malignant_probability"]) <= 1 for row in rows)


def test_a_real_film_is_scored_and_odd_files_are_rejected_with_a_reason(
    package, real_data, tmp_path
):
    odd = real_data / "dicom" / "edge_cases"
    film = real_data / "dicom" / "MG1_J2KI.dcm"
    rows, rejects = _score(package, [film, odd], tmp_path)
    assert [Path(row["path"]).name for row in rows] == ["MG1_J2KI.dcm"]
    reasons = {Path(row["path"]).name: row["reason"] for row in rejects}
    assert set(reasons) == {path.name for path in odd.iterdir()}
    assert all("Expected" in reason and "Received" in reason for reason in reasons.values())


def _paths(six: SixViewRun) -> list[str]:
    return list(read_table(six.store, six.manifest("tables"), "images.parquet")["path"])


def _score(package: Path, paths: list[Path], folder: Path):
    from mammo_core.packaging import load
    from mammo_core.scoring import score

    out = folder / "scores.csv"
    score(load(package), paths, out)
    rejects = out.with_name("scores.rejects.csv")
    with out.open() as file, rejects.open() as others:
        return list(csv.DictReader(file)), list(csv.DictReader(others))


def test_status_of_each_step_is_in_the_record(six):
    keys = [key for key in six.store.list("runs/real/steps") if key.endswith(".json")]
    assert len(keys) == 6
    assert {json.loads(six.store.read(key))["state"] for key in keys} == {"succeeded"}
