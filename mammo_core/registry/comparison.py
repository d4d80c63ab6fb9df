"""Two packages beside each other: what their cards say, and how they did on the same images."""

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
from mammo_core.packaging.package import verify
from mammo_core.registry.resolution import resolve_version
from mammo_core.store import open_store, split_model_uri

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PackageComparison:
    """What is told of two packages.

    Attributes:
        models: For both: name, version, model_id, unit, metrics (plain numbers), frame_id,
            signed_by.
        paired: On the same test images; per breast and patient only where one model sees both
            views of a breast. None where there are none.
        obstacle: Why not.
    """

    models: tuple[dict[str, Any], dict[str, Any]]
    paired: ComparisonResult | None
    obstacle: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "models": list(self.models),
            "paired": None if self.paired is None else self.paired.model_dump(mode="json"),
            "obstacle": self.obstacle,
        }

    def lines(self) -> list[str]:
        """What a terminal shows."""
        first, second = self.models
        shown = [f"{'':24} {_name(first):>24} {_name(second):>24}"]
        shown.append(f"{'unit':24} {first['unit']:>24} {second['unit']:>24}")
        for name in dict.fromkeys([*first["metrics"], *second["metrics"]]):
            cells = (_shown(one["metrics"].get(name)) for one in self.models)
            shown.append(" ".join([f"{name:24}", *(f"{cell:>24}" for cell in cells)]))
        if self.paired is None:
            return [*shown, f"not compared on the same images: {self.obstacle}"]
        for level in self.paired.levels:
            told = level.difference
            shown.append(
                f"per {level.level}: AUC {level.auc.value:.4f} against "
                f"{level.reference_auc.value:.4f}, difference {told.value:+.4f} "
                f"(95 % {told.low:+.4f} to {told.high:+.4f}), on {level.n} of "
                f"{level.n_patients} patients"
            )
        return shown


def compare_packages(uri: str, reference: str, config: EvaluationConfig | None = None) -> PackageComparison:
    """Compare two packages, by the test predictions of their evaluations where these are kept.

    Args:
        uri: Of the package, in a registry for a paired comparison.
        reference: Of the one it is compared with.
        config: How to evaluate.

    Raises:
        ModelError: One does not verify.
        StoreError: The store fails.
    """
    first, second = _described(uri), _described(reference)
    names = tuple(
        f"{one['name']} {one['version'] or one['model_id'][:12]}" for one in (first, second)
    )
    paired, obstacle = None, ""
    try:
        tables = [_predictions(place, told) for place, told in ((uri, first), (reference, second))]
        units = {one["unit"] for one in (first, second)}
        paired = compare(
            tables[0],
            tables[1],
            config or EvaluationConfig(),
            0,
            names=(names[0], names[1]),
            levels=LEVELS[1:] if "breast" in units else LEVELS,
        )
    except MammoError as error:
        obstacle = str(error)
    return PackageComparison((first, second), paired, obstacle)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " to ".join(_shown(one) for one in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _name(told: dict[str, Any]) -> str:
    return f"{told['name']} {told['version'] or told['model_id'][:12]}"


def _described(uri: str) -> dict[str, Any]:
    found = resolve_version(uri)
    manifest = verify(found.folder)
    metrics = read_json(found.folder, "metrics.json")
    lineage = read_json(found.folder, "lineage.json")
    return {
        "name": found.name or manifest.name,
        "version": found.version,
        "model_id": manifest.model_id,
        "unit": manifest.unit,
        "signed_by": manifest.signed_by,
        "frame_id": lineage.get("frame_id", ""),
        "evaluation_id": lineage.get("evaluation_id", ""),
        "metrics": {
            name: value
            for name, value in metrics.items()
            if not isinstance(value, dict) and len(str(value)) < 100
        },
    }


def _predictions(uri: str, told: dict[str, Any]) -> "pd.DataFrame":
    """The test predictions of a version's evaluation, which lies in its registry's store."""
    root, _ = split_model_uri(uri if "://" in uri else Path(uri).absolute().as_uri())
    store = open_store(root)
    manifest = EVALUATION.find(store, told["evaluation_id"])
    if manifest is None:
        raise RecordError(
            f"There are no test predictions of {told['name']}",
            expected=f"its evaluation in {store.uri}",
            received="none",
        )
    return read_table(store, manifest, "test.parquet")
