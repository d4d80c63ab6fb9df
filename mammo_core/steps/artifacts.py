"""What the KFP UI shows of an evaluation. The artifacts are KFP's; nothing of KFP is imported."""

import json
from pathlib import Path
from typing import Any, Protocol

from mammo_core.datasets import parse
from mammo_core.store import open_store


class _Metrics(Protocol):
    def log_metric(self, metric: str, value: float) -> None: ...


class _Curve(Protocol):
    def log_roc_curve(self, fpr: list[float], tpr: list[float], threshold: list[float]) -> None: ...
    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None: ...


def passed(path: str) -> bool:
    """Whether the gate whose manifest lies at `path` let the model through."""
    return bool(parse(Path(path).read_bytes(), path).facts["passed"])


def show_audit(store: str, path: str, page: str) -> None:
    """Fill KFP's artifact from published tables.

    Args:
        store: URI of the object store.
        path: Where the tables' manifest lies locally.
        page: Where the HTML page goes.
    """
    show_page(store, path, page, "audit.html")


def show_page(store: str, path: str, page: str, name: str = "report.html") -> None:
    """Fill KFP's artifact with a page that a step published.

    Args:
        store: URI of the object store.
        path: Where the manifest of the step's output lies locally.
        page: Where the HTML page goes.
        name: Of the page among the files of the output.
    """
    manifest = parse(Path(path).read_bytes(), path)
    Path(page).parent.mkdir(parents=True, exist_ok=True)
    Path(page).write_bytes(open_store(store).read(manifest.file(name).key))


def show_evaluation(
    store: str, path: str, metrics: _Metrics, roc: _Curve, report: str, summary: str
) -> None:
    """Fill KFP's artifacts from a published evaluation.

    Args:
        store: URI of the object store.
        path: Where the evaluation's manifest lies locally.
        metrics: Gets the scalar numbers.
        roc: Gets the ROC curve, all thresholds finite, and the confusion matrix at the
            operating point where there is one.
        report: Where the HTML page goes.
        summary: Where the findings go as Markdown.
    """
    place = open_store(store)
    manifest = parse(Path(path).read_bytes(), path)
    numbers: dict[str, Any] = manifest.facts["summary"]
    low, high = numbers["auc_ci95"]
    shown = {**numbers, "auc_ci95_low": low, "auc_ci95_high": high}
    for name, value in shown.items():
        if isinstance(value, (int, float)):
            metrics.log_metric(name, float(value))
    image = json.loads(place.read(manifest.file("metrics.json").key))["image"]
    curve, counts = image["roc"], image["at_operating_point"]
    roc.log_roc_curve(
        curve["false_positive_rate"], curve["true_positive_rate"], curve["thresholds"]
    )
    if counts is not None:
        roc.log_confusion_matrix(
            ["benign", "malignant"],
            [
                [counts["true_negatives"], counts["false_positives"]],
                [counts["false_negatives"], counts["true_positives"]],
            ],
        )
    for target, name in ((report, "report.html"), (summary, "summary.md")):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_bytes(place.read(manifest.file(name).key))
