"""What a pod shows besides its manifests: GPUs, and the artifacts of an evaluation."""

from typing import Protocol

from mammo_core.at_paths import read, write
from mammo_core.store import open_store, read_object


def report_gpus(step: str, requested: str, resource: str) -> int:
    """Print how many GPUs a step can use; a step that lacks some continues without them.

    Args:
        step: Name of the step.
        requested: Number of GPUs that the run requested.
        resource: Their resource name, for instance nvidia.com/gpu.

    Returns:
        Number of GPUs that the backend of Keras can use; 0 if none was requested.
    """
    count = int(requested) if requested.isdecimal() else 0
    if not count:
        return 0
    from mammo_core.models.backend import prepare_keras

    prepare_keras()
    from mammo_core.training.memory.devices import gpus

    available = gpus()
    print(f"[{step}] {available} of {count} GPUs ({resource})", flush=True)
    if available < count:
        print(
            f"[{step}] warning: {count} GPUs were requested and {available} are available: "
            "is this the GPU image (train-gpu)?",
            flush=True,
        )
    return available


class _Metrics(Protocol):
    def log_metric(self, metric: str, value: float) -> None: ...


class _RocCurve(Protocol):
    def log_roc_curve(self, fpr: list[float], tpr: list[float], threshold: list[float]) -> None: ...
    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None: ...


def show_evaluation(
    store: str, path: str, metrics: _Metrics, roc: _RocCurve, report: str, summary: str
) -> None:
    """Fill the artifacts of an evaluation.

    Args:
        store: URI of the object store.
        path: Path of the manifest of the evaluation.
        metrics: Gets the scalar numbers.
        roc: Gets the ROC curve, with finite thresholds, and the confusion matrix at the
            operating point where there is one.
        report: Path of the HTML page.
        summary: Path of the numbers as Markdown.
    """
    from mammo_core.evaluation.kinds import EVALUATION

    opened, manifest = open_store(store), read(path)
    numbers = EVALUATION.facts_of(manifest).summary.model_dump(exclude_none=True)
    low, high = numbers.pop("auc_ci95")
    for name, value in {**numbers, "auc_ci95_low": low, "auc_ci95_high": high}.items():
        metrics.log_metric(name, float(value))
    image = read_object(opened, manifest.file("metrics.json").key)["image"]
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
        write(target, opened.read(manifest.file(name).key))
