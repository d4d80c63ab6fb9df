"""What rests on the data of one patient: outputs, trainings and versions of models."""

from dataclasses import dataclass, field
from typing import Final

from mammo_core.datasets.manifests import Manifest
from mammo_core.datasets.tables import from_parquet
from mammo_core.features.kinds import ASSIGNMENT, FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
from mammo_core.registry.lineage.ancestry import ancestry
from mammo_core.registry.versions import models, versions
from mammo_core.runs.garbage import ids_in
from mammo_core.runs.patient_traces import Traces
from mammo_core.runs.run import read_start_packages
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.names import plain_id
from mammo_core.store import Store

#: Kinds of outputs that are data, and not what somebody learned from it.
_DATA: Final = tuple(
    kind.folder for kind in (TABLES, FRAME, ASSIGNMENT, IMAGE_DATASET, PATCH_DATASET)
)
#: Bytes of a table, which is read whole.
MAXIMUM_TABLE_BYTES: Final = 2**31


@dataclass
class FittedModels:
    """The models that were fitted to a patient.

    Attributes:
        models: `name/version: splits` of each version that was fitted to a frame with her.
        trainings: Trainings, registered or not, whose frame had her.
        unknown: What the store does not record about the origin of models.
    """

    models: list[str] = field(default_factory=list)
    trainings: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def derived_outputs(outputs: list[Manifest], traces: Traces) -> set[str]:
    """Return the ids of the outputs that name the patient, and of all made from them.

    Args:
        outputs: All outputs of the store.
        traces: Her names.
    """
    # The sides of patients are of all runs: an output is not about her because they name her.
    derived = traces.outputs - {each.id for each in outputs if each.kind == ASSIGNMENT.folder}
    while True:
        more = {
            manifest.id
            for manifest in outputs
            if manifest.id not in derived and derived & ids_in(manifest.lineage.values())
        }
        if not more:
            return derived
        derived |= more


def claims_of(outputs: list[Manifest], derived: set[str]) -> list[str]:
    """Return the folders of the evaluations, decisions and packages among derived outputs.

    Args:
        outputs: All outputs of the store.
        derived: As `derived_outputs` returns them.
    """
    return sorted(each.folder for each in outputs if each.id in derived and each.kind not in _DATA)


def fitted_models(store: Store, outputs: list[Manifest], traces: Traces) -> FittedModels:
    """Return the models that were fitted to a patient.

    Args:
        store: The store.
        outputs: All its outputs.
        traces: Her names.
    """
    result = FittedModels()
    frames = {
        manifest.id
        for manifest in outputs
        if manifest.kind == FRAME.folder and _has_patient(store, manifest, traces)
    }
    result.trainings = sorted(
        manifest.folder for manifest in outputs if manifest.lineage.get("frame") in frames
    )
    for name in models(store):
        for ref in versions(store, name):
            origin = ancestry(ref.uri, store, read_start_packages)
            result.unknown += [text for text in origin.unknown if text not in result.unknown]
            splits: set[str] = set()
            for frame in origin.frames:
                rows = frame.images[frame.images["patient_key"].map(plain_id) == traces.patient]
                splits |= set(rows["split"])
            if splits:
                result.models.append(f"{ref.name}/{ref.version}: {', '.join(sorted(splits))}")
    return result


def _has_patient(store: Store, manifest: Manifest, traces: Traces) -> bool:
    images = from_parquet(store.read(manifest.file("images.parquet").key, MAXIMUM_TABLE_BYTES))
    return bool((images["patient_key"] == traces.patient).any())
