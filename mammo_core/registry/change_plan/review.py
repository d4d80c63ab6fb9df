"""What a change-control plan says of a challenger: every change, allowed or forbidden."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import fetch_verified
from mammo_core.features.frame import frame_from_manifest
from mammo_core.features.kinds import FRAME
from mammo_core.packaging.contents import PackageManifest, TrainingData
from mammo_core.packaging.patient_list import PATIENTS, PatientList
from mammo_core.packaging.settings import SETTINGS, ModelSettings, Value, flat_settings
from mammo_core.registry.change_plan.changes import Change, plan_change, setting_changes
from mammo_core.registry.change_plan.data import ModelData, data_changes
from mammo_core.registry.change_plan.performance import (
    Compared,
    metric_changes,
    subgroup_changes,
)
from mammo_core.registry.change_plan.plan import ChangePlan
from mammo_core.registry.version_files import find_version_content, released_by
from mammo_core.registry.versions import VersionRef, parse_file, read_lineage, read_package
from mammo_core.store import Store

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class DescribedModel:
    """What a package says of how its model was made.

    Attributes:
        settings: Settings of its recipe, of the gate and of the software; None if it does not say.
        data: What it was fitted to and tested on.
        plan: The plan that it was released under; None if there was none.
    """

    settings: Mapping[str, Value] | None
    data: ModelData
    plan: ChangePlan | None = None


def describe_version(store: Store, ref: VersionRef) -> DescribedModel:
    """Return what the package of a published version says.

    Raises:
        ModelError: A file of it was changed.
        StoreError: The store fails.
    """
    name, version = ref.name, ref.version
    lineage = read_lineage(store, name, version)
    decision = released_by(store, ref)
    settings = find_version_content(store, name, version, SETTINGS, ModelSettings)
    training = find_version_content(store, name, version, "training_data.json", TrainingData)
    frame = FRAME.find(store, str(lineage.get("frame_id", "")))
    values = None
    if settings is not None and decision is not None:
        package = read_package(store, name, version)
        values = _values(settings, decision.gate, lineage, package)
    return DescribedModel(
        settings=values,
        data=ModelData(
            training=training or TrainingData(),
            images=None if frame is None else frame_from_manifest(store, frame).images,
            listed=find_version_content(store, name, version, PATIENTS, PatientList),
        ),
        plan=decision.plan if decision is not None else None,
    )


def describe_candidate(
    store: Store, candidate: Manifest, gate: Mapping[str, Any]
) -> DescribedModel:
    """Return what the package of a candidate says.

    Args:
        store: The store of the candidate.
        candidate: The candidate.
        gate: The settings of the gate that decides about it, without its plan.

    Raises:
        ModelError: A file of it cannot be read.
        RecordError: A file differs from the manifest.
        StoreError: The store fails.
    """

    def read(name: str, model: "type[BaseModel]") -> Any:
        file = candidate.file(name)
        return parse_file(model, fetch_verified(store, file).read_bytes(), file.key)

    from mammo_core.documents import parse_json

    names = {file.name for file in candidate.files}
    lineage = parse_json(fetch_verified(store, candidate.file("lineage.json")).read_bytes())
    frame = FRAME.find(store, str(lineage.get("frame_id", "")))
    values = None
    if SETTINGS in names:
        package = read("package.json", PackageManifest)
        values = _values(read(SETTINGS, ModelSettings), gate, lineage, package)
    images = None if frame is None else frame_from_manifest(store, frame).images
    data = ModelData(training=read("training_data.json", TrainingData), images=images)
    return DescribedModel(settings=values, data=data)


def review(
    plan: ChangePlan | None,
    champion: DescribedModel | None,
    challenger: DescribedModel,
    compared: Compared | None,
) -> tuple[Change, ...]:
    """Return every change from the champion to the challenger, and what the plan says of it.

    Args:
        plan: The plan; None: the recipe has none, which is a change if the champion has one.
        champion: The champion; None if there is none: only floors are judged.
        challenger: The challenger.
        compared: The predictions of both; None if no image was scored by both.

    Raises:
        RecordError: The plan names a metric that cannot be judged.
    """
    before = champion.plan if champion is not None else None
    if plan is None:
        return () if before is None else (_without_plan(before),)
    changes: list[Change] = []
    replaced = plan_change(before, plan)
    if replaced is not None:
        changes.append(replaced)
    if champion is not None:
        changes += _setting_changes(plan, champion, challenger)
        accepts = plan.undocumented == "accept"
        changes += data_changes(plan.data, champion.data, challenger.data, accepts)
    if compared is not None:
        changes += [*metric_changes(plan, compared), *subgroup_changes(plan, compared)]
    elif plan.metrics or plan.subgroups:
        changes.append(
            Change(
                part="metrics",
                name="all",
                before="",
                after="cannot be judged",
                allowed=False,
                rule="no test image was scored by both",
            )
        )
    return tuple(changes)


def _setting_changes(
    plan: ChangePlan, champion: DescribedModel, challenger: DescribedModel
) -> list[Change]:
    if champion.settings is not None and challenger.settings is not None:
        return list(setting_changes(plan.settings, champion.settings, challenger.settings))
    who = "champion" if champion.settings is None else "challenger"
    return [
        Change(
            part="settings",
            name="all",
            before="unknown" if champion.settings is None else "known",
            after="unknown" if challenger.settings is None else "known",
            allowed=plan.undocumented == "accept" and challenger.settings is not None,
            rule=f"the package of the {who} does not say how it was made (undocumented)",
        )
    ]


def _values(
    settings: ModelSettings,
    gate: Mapping[str, Any],
    lineage: Mapping[str, Any],
    package: PackageManifest,
) -> dict[str, Value]:
    software = {f"software.{name}": version for name, version in package.versions.items()}
    code = {"software.code": str(lineage.get("git_sha", "unknown"))}
    return {**settings.settings, **flat_settings("gate", gate), **software, **code}


def _without_plan(before: ChangePlan) -> Change:
    return Change(
        part="plan",
        name=before.name,
        before=before.digest[:12],
        after="",
        allowed=False,
        rule="the champion was released under it; name it in gate.plan",
    )
