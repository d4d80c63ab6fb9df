"""Comparison of two packages: their cards, and their performance on the same images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_core.datasets.tables import read_table
from mammo_core.errors import MammoError, RecordError
from mammo_core.evaluation.aggregate import LEVELS
from mammo_core.evaluation.comparison import ComparisonResult, compare
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.packaging.contents import read_json
from mammo_core.packaging.patient_list import knows_training_patients
from mammo_core.registry.keys import split_model_uri
from mammo_core.registry.opening import open_package
from mammo_core.store import open_store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PackageComparison:
    """A comparison of two packages.

    Attributes:
        models: For each: name, version, model_id, unit, metrics (plain numbers), frame_id,
            signed_by, training_patients (`known`, or `unknown`: of the model or one before it).
        paired: Comparison on the same test images; per breast and patient only if one model
            sees both views of a breast. None if they cannot be compared.
        obstacle: Why they cannot be compared; empty if they can.
    """

    models: tuple[dict[str, Any], dict[str, Any]]
    paired: ComparisonResult | None
    obstacle: str

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as plain JSON."""
        return {
            "models": list(self.models),
            "paired": None if self.paired is None else self.paired.model_dump(mode="json"),
            "obstacle": self.obstacle,
        }

    def lines(self) -> list[str]:
        """Return the lines to print on a terminal."""
        first, second = self.models
        lines = [f"{'':24} {_label(first):>24} {_label(second):>24}"]
        for name in ("unit", "training_patients"):
            title = name.replace("_", " ")
            lines.append(f"{title:24} {first[name]:>24} {second[name]:>24}")
        for name in dict.fromkeys([*first["metrics"], *second["metrics"]]):
            cells = (_format(model["metrics"].get(name)) for model in self.models)
            lines.append(" ".join([f"{name:24}", *(f"{cell:>24}" for cell in cells)]))
        if self.paired is None:
            return [*lines, f"not compared on the same images: {self.obstacle}"]
        for level in self.paired.levels:
            difference = level.difference
            lines.append(
                f"per {level.level}: AUC {level.auc.value:.4f} against "
                f"{level.reference_auc.value:.4f}, difference {difference.value:+.4f} "
                f"(95 % {difference.low:+.4f} to {difference.high:+.4f}), on {level.n} of "
                f"{level.n_patients} patients"
            )
        return lines


def compare_packages(
    uri: str, reference: str, config: EvaluationConfig | None = None
) -> PackageComparison:
    """Compare two packages, with the test predictions of their evaluations if these still exist.

    Args:
        uri: URI of the package, in a registry for a paired comparison.
        reference: URI of the package it is compared with.
        config: How to evaluate.

    Raises:
        ModelError: The verification of one fails.
        StoreError: The store fails.
    """
    first, second = _describe(uri), _describe(reference)
    paired, obstacle = None, ""
    try:
        tables = [_predictions(uri, first), _predictions(reference, second)]
        units = {first["unit"], second["unit"]}
        paired = compare(
            tables[0],
            tables[1],
            config or EvaluationConfig(),
            0,
            names=(_label(first), _label(second)),
            levels=LEVELS[1:] if "breast" in units else LEVELS,
        )
    except MammoError as error:
        obstacle = str(error)
    return PackageComparison((first, second), paired, obstacle)


def _format(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " to ".join(_format(item) for item in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _label(model: dict[str, Any]) -> str:
    return f"{model['name']} {model['version'] or model['model_id'][:12]}"


def _describe(uri: str) -> dict[str, Any]:
    opened = open_package(uri)
    metrics = read_json(opened.folder, "metrics.json")
    lineage = read_json(opened.folder, "lineage.json")
    return {
        "name": opened.name,
        "version": opened.version,
        "model_id": opened.model_id,
        "unit": opened.manifest.unit,
        "signed_by": opened.signed_by,
        "frame_id": lineage.get("frame_id", ""),
        "training_patients": "known" if knows_training_patients(lineage) else "unknown",
        "evaluation_id": lineage.get("evaluation_id", ""),
        "metrics": {
            name: value
            for name, value in metrics.items()
            if not isinstance(value, dict) and len(str(value)) < 100
        },
    }


def _predictions(uri: str, model: dict[str, Any]) -> "pd.DataFrame":
    """The test predictions of a version's evaluation, from the store of its registry."""
    root, _ = split_model_uri(uri if "://" in uri else Path(uri).absolute().as_uri())
    store = open_store(root)
    manifest = EVALUATION.find(store, model["evaluation_id"])
    if manifest is None:
        raise RecordError(
            f"There are no test predictions of {model['name']}",
            expected=f"its evaluation in {store.uri}",
            received="none",
        )
    return read_table(store, manifest, "test.parquet")
