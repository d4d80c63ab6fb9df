"""The artifacts of an evaluation that KFP shows."""

import json

import numpy as np
import pandas as pd
import pytest

from mammo_core.at_paths.shown import show_evaluation
from mammo_core.datasets import publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.evaluation import EvaluationConfig, evaluate
from mammo_core.evaluation.kinds import EVALUATION, EvaluationFacts, EvaluationSummary
from mammo_core.evaluation.report import wording
from mammo_core.store import open_store


class Metrics:
    """Records the calls that KFP's artifacts receive."""

    def __init__(self):
        self.values, self.curve, self.matrix = {}, None, None

    def log_metric(self, metric, value):
        self.values[metric] = value

    def log_roc_curve(self, fpr, tpr, threshold):
        self.curve = (fpr, tpr, threshold)

    def log_confusion_matrix(self, categories, matrix):
        self.matrix = (categories, matrix)


def table(prefix, seed):
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 15)
    return pd.DataFrame(
        {
            "image_id": [f"{prefix}{n:03d}" for n in range(30)],
            "patient_key": [f"P_{prefix}{n:03d}" for n in range(30)],
            "view_id": [f"P_{prefix}{n:03d}_LEFT_CC" for n in range(30)],
            "laterality": "LEFT",
            "view": "CC",
            "view_class": "CC",
            "exam_key": "",
            "label": labels,
            "probability": (0.3 * labels + 0.7 * random.random(30)),
        }
    )


@pytest.mark.parametrize("point", [True, False])
def test_the_artifacts_get_finite_curves_the_confusion_matrix_and_a_summary(tmp_path, point):
    validation = table("v", 1) if point else table("v", 1)[:15]
    result = evaluate(table("t", 2), validation, EvaluationConfig(bootstrap_replicates=100), 0)
    store = open_store(f"file://{tmp_path}/store")
    metrics = json.dumps({"image": result.model_dump(mode="json")}).encode()
    files = {
        "metrics.json": metrics,
        "report.html": b"<html></html>",
        "summary.md": wording.markdown(result).encode(),
    }
    numbers = EvaluationSummary(patch_accuracy=0.5, n_test_patches=4, **result.summary())
    manifest = publish(
        store,
        EVALUATION.manifest(
            "e",
            config={},
            files=[put_bytes(store, "evaluations/e", name, files[name]) for name in files],
            facts=EvaluationFacts(summary=numbers, shuffled_labels=False),
        ),
    )
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    shown = Metrics()
    report, summary = tmp_path / "ui" / "report.html", tmp_path / "ui" / "summary.md"
    show_evaluation(
        store.uri, str(tmp_path / "manifest.json"), shown, shown, str(report), str(summary)
    )
    assert {"auc", "auc_ci95_low", "auc_ci95_high", "patch_accuracy", "n_test_images"} <= set(
        shown.values
    )
    assert "auc_ci95" not in shown.values
    assert (shown.values["auc_ci95_low"], shown.values["auc_ci95_high"]) == result.auc_ci95
    assert all(np.isfinite(series).all() for series in shown.curve)
    assert report.read_bytes() == b"<html></html>"
    assert summary.read_text().startswith("# Evaluation\n")
    if point:
        categories, matrix = shown.matrix
        assert categories == ["benign", "malignant"]
        assert np.sum(matrix) == 30 and np.sum(matrix[1]) == 15
    else:
        assert shown.matrix is None
        assert "No operating point" in summary.read_text()


def test_an_artifact_of_kfp_accepts_curve_and_matrix():
    from kfp import dsl

    artifact = dsl.ClassificationMetrics(name="roc", uri="", metadata={})
    artifact.log_roc_curve([0.0, 1.0], [0.0, 1.0], [0.9, 0.1])
    artifact.log_confusion_matrix(["benign", "malignant"], [[3, 1], [0, 2]])
    json.dumps(artifact.metadata, allow_nan=False)
    assert len(artifact.metadata["confidenceMetrics"]) == 2
    assert artifact.metadata["confusionMatrix"]["rows"][1] == {"row": [0, 2]}
