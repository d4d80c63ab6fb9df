"""What the sheets are filled from: the files of one package, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.packaging.chain import CHAIN, Chain
from mammo_core.packaging.contents import (
    RULES,
    PackageManifest,
    Release,
    TrainingData,
    read_content,
    read_json,
)
from mammo_core.packaging.package import OpenedPackage
from mammo_core.packaging.settings import SETTINGS, ModelSettings
from mammo_core.preprocessing import Preprocessing
from mammo_core.registry.release_decision import DECISION, ReleaseDecision
from mammo_core.registry.sheets.statements import Statements


@dataclass(frozen=True)
class Evidence:
    """What a package says of its model, and what people state besides.

    Attributes:
        package: package.json.
        data: training_data.json.
        metrics: metrics.json: the numbers by which runs are compared.
        image: The evaluation of the whole-image classifier; empty if there is none.
        patch: The evaluation of the patch classifier; empty if there is none.
        localization: How well heatmaps find lesions; empty if it was not measured.
        screening: What the model would do in screening; empty if it was not asked for.
        by_source: The evaluation of each source, those that were held out among them.
        rules: decision_rules.json.
        lineage: lineage.json.
        preprocessing: preprocessing.json.
        card: card.json.
        settings: settings.json; empty if the package has none.
        chain: chain.json; None if the package has none.
        release: release.json; None for a package that was never pushed.
        decision: decision.json; None for a package that no gate released.
        signed: Whether the package is signed.
        statements: What people state.
    """

    package: PackageManifest
    data: TrainingData
    metrics: Mapping[str, Any]
    rules: DecisionRules
    lineage: Mapping[str, Any]
    preprocessing: Preprocessing
    card: Mapping[str, Any]
    image: Mapping[str, Any] = field(default_factory=dict)
    patch: Mapping[str, Any] = field(default_factory=dict)
    localization: Mapping[str, Any] = field(default_factory=dict)
    screening: Mapping[str, Any] = field(default_factory=dict)
    by_source: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    chain: Chain | None = None
    release: Release | None = None
    decision: ReleaseDecision | None = None
    signed: bool = False
    statements: Statements = field(default_factory=Statements)

    def under(self, section: str) -> dict[str, Any]:
        """Return the settings of a section of the recipe that are not empty, by their keys.

        Args:
            section: Key of the section.
        """
        start = f"{section}."
        return {
            key.removeprefix(start): value
            for key, value in self.settings.items()
            if key.startswith(start) and value not in (None, "")
        }


def read_evidence(opened: OpenedPackage, statements: Statements | None = None) -> Evidence:
    """Read what a package says of its model.

    Args:
        opened: The package, verified.
        statements: What people state besides.

    Raises:
        ModelError: A file of it cannot be read.
    """
    folder = opened.folder
    metrics = read_json(folder, "metrics.json")
    details = metrics.pop("details", {}) or {}
    settings = _optional(folder, SETTINGS, ModelSettings)
    return Evidence(
        package=opened.manifest,
        data=read_content(folder, "training_data.json", TrainingData),
        metrics=metrics,
        rules=read_content(folder, RULES, DecisionRules),
        lineage=read_json(folder, "lineage.json"),
        preprocessing=read_content(folder, "preprocessing.json", Preprocessing),
        card=read_json(folder, "card.json"),
        image=details.get("image", {}),
        patch=details.get("patch", {}),
        localization=details.get("localization", {}),
        screening=details.get("screening", {}),
        by_source=details.get("sources", ()),
        settings=settings.settings if settings is not None else {},
        chain=_optional(folder, CHAIN, Chain),
        release=opened.release,
        decision=_optional(folder, DECISION, ReleaseDecision),
        signed=opened.signed_by != "unsigned",
        statements=statements or Statements(),
    )


def _optional(folder: Path, name: str, model: type[Any]) -> Any:
    return read_content(folder, name, model) if (folder / name).is_file() else None
