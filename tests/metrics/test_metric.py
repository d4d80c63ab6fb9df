"""The registry: a metric is one module, and needs no other file to be changed."""

import numpy as np
import pytest

from mammo_core.errors import RecipeError
from mammo_core.metrics import Metric, MetricSettings, metric_names, metrics, register_metric
from mammo_core.metrics import metric as registry


@pytest.fixture
def register(monkeypatch):
    """Registers metrics for the duration of a test."""
    metrics()  # discover the built-in ones first
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    return register_metric


def youden(labels, scores):
    called = scores >= 0.5
    return called[labels == 1].mean() - called[labels == 0].mean()


def metric(**changes):
    values = {"name": "youden", "label": "Youden's J", "description": "At 0.5.", "function": youden}
    return Metric(**{**values, **changes})


def test_built_in_metrics_are_discovered_in_the_order_of_tables():
    assert [each.name for each in metrics()] == [
        "auc",
        "auc_delong",
        "average_precision",
        "partial_auc",
        "sensitivity_at_specificity",
        "specificity_at_sensitivity",
        "brier",
        "brier_calibrated",
    ]
    assert {each.name for each in metrics() if not each.higher_is_better} == {
        "brier",
        "brier_calibrated",
    }
    assert all(each.label and each.description for each in metrics())


def test_labels_of_rows_name_the_settings():
    settings = MetricSettings(partial_sensitivity=0.7, calibration="platt")
    labels = {each.name: each.row_label(settings) for each in metrics()}
    assert labels["auc"] == "AUC"
    assert labels["partial_auc"] == "Partial AUC, sensitivity ≥ 0.70 (at most 0.30)"
    assert labels["brier_calibrated"] == "Brier score, calibrated (platt)"


def test_a_registered_metric_is_last_unless_it_says_otherwise(register):
    register(metric())
    register(metric())  # the same one again
    assert metrics()[-1].name == "youden" and "youden" in metric_names()
    register(metric(name="first", order=0))
    assert metrics()[0].name == "first"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "auc"},
        {"name": "roc"},
        {"name": "sensitivity"},
        {"name": "Youden J"},
        {"function": None},
        {"weighted": lambda settings: np.sum},
    ],
)
def test_a_metric_that_cannot_be_registered_is_refused(register, changes):
    with pytest.raises(RecipeError, match="cannot be registered"):
        register(metric(**changes))
