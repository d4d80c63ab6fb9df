"""The worked example of a metric, from its module to the report and the model card."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import matthews_corrcoef

from mammo_core.evaluation import EvaluationConfig, evaluate, report
from mammo_core.evaluation.kinds import EvaluationSummary
from mammo_core.evaluation.report import wording
from mammo_core.metrics import metric as registry
from mammo_core.metrics import metric_names, metrics


@pytest.fixture
def metric(monkeypatch):
    """The module, imported for the duration of a test."""
    metrics()  # discover the built-in ones first
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    path = Path(__file__).with_name("metric.py")
    spec = importlib.util.spec_from_file_location("metric_from_outside", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MATTHEWS


def predictions(prefix, seed):
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 30)
    patients = [f"P_{prefix}{n:03d}" for n in range(60)]
    return pd.DataFrame(
        {
            "image_id": patients,
            "patient_key": patients,
            "view_id": [f"{patient}_LEFT_CC" for patient in patients],
            "laterality": "LEFT",
            "view": "CC",
            "label": labels,
            "probability": 0.4 * labels + 0.6 * random.random(60),
        }
    )


def test_it_is_in_the_facts_the_report_and_the_model_card(metric, tmp_path):
    test = predictions("t", 1)
    result = evaluate(test, predictions("v", 2), EvaluationConfig(bootstrap_replicates=200), 0)
    expected = matthews_corrcoef(test["label"], test["probability"] >= 0.5)
    value = result.at("image").metrics["matthews"]
    assert value.value == pytest.approx(expected)
    assert value.low < value.value < value.high
    # The evaluation's id depends on the metrics: an older one without it is not reused.
    assert "matthews" in metric_names()

    summary = EvaluationSummary(patch_accuracy=0.5, n_test_patches=1, **result.summary())
    facts = summary.model_dump(mode="json")
    assert facts["matthews"] == value.value

    row = f"{value.value:.2f} ({value.low:.2f}–{value.high:.2f})"
    page = report(title="t", facts={}, result=result)
    for text in (metric.label.replace("'", "&#39;"), metric.description, row):
        assert text in page
    assert f"| Matthews' correlation | {row} |" in wording.markdown(result)

    assert f"- matthews: {value.value:.4f}" in model_card(facts)


def model_card(summary):
    from mammo_core.evaluation.decisions import DecisionRules
    from mammo_core.packaging import PackageManifest, TrainingData
    from mammo_core.packaging.card import card, markdown
    from mammo_core.preprocessing import Geometry, Preprocessing

    return markdown(
        card(
            manifest=PackageManifest(format=3, name="m", model_id="a" * 64, versions={}),
            preprocessing=Preprocessing(geometry=Geometry(height=64, width=48), mean=1.0),
            label_map={"neg": 0, "pos": 1},
            rules=DecisionRules(),
            data=TrainingData(),
            metrics=summary,
            lineage={},
            intended_use="Research.",
            limitations=(),
        )
    )
