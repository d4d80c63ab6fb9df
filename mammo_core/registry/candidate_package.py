"""The package of a trained and evaluated model, before anybody has decided about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.features.frame import IMAGE_CLASSES, frame_from_manifest
from mammo_core.packaging.source_commit import git_sha
from mammo_core.sources.adapter import get_adapter
from mammo_core.sources.card.known_terms import dataset_terms
from mammo_core.sources.card.terms import Terms
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store, read_object
from mammo_core.training.kinds import IMAGE_TRAINING, PATCH_TRAINING

if TYPE_CHECKING:
    from mammo_core.packaging import PackageManifest, TrainingData
    from mammo_core.packaging.settings import ModelSettings

#: Endings of files of weights alone, which say nothing about their data.
_WEIGHT_FILES = (".h5", ".hdf5", ".keras", ".npz")
ReadStartPackages = Callable[[Store, str], list[str]]


@dataclass(frozen=True)
class CandidateInputs:
    """The outputs that a candidate is built from."""

    images: Manifest
    frame: Manifest
    patch_training: Manifest
    image_training: Manifest
    evaluation: Manifest

    def content_inputs(self) -> list[tuple[str, str]]:
        """Return what its content address is made of: kind and id of each."""
        tables = (TABLES.folder, self.images.lineage["tables"])
        return [*((manifest.kind, manifest.id) for manifest in self.outputs()), tables]

    def outputs(self) -> tuple[Manifest, ...]:
        """Return the outputs."""
        return (
            self.images,
            self.frame,
            self.patch_training,
            self.image_training,
            self.evaluation,
        )

    def lineage(self) -> dict[str, Any]:
        """Return the lineage of its manifest."""
        return {
            "images": self.images.id,
            "frame": self.frame.id,
            "patch_training": self.patch_training.id,
            "image_training": self.image_training.id,
            "evaluation": self.evaluation.id,
        }


def build_candidate_package(
    store: Store,
    folder: Path,
    inputs: CandidateInputs,
    settings: Mapping[str, str],
    described: "ModelSettings",
    run_id: str,
    read_start_packages: ReadStartPackages,
) -> "PackageManifest":
    """Build the package of a model, unsigned, and check it in a new process.

    Args:
        store: The object store.
        folder: Where the package is written.
        inputs: What it is built from.
        settings: `name` of the model, `recipe`, `source` (the adapter, or several with `+`),
            `weights`, `split` and `acknowledged` (names of terms, with commas).
        described: The settings of the model.
        run_id: The run that builds it.
        read_start_packages: Returns the packages that another run started from.

    Raises:
        ModelError: The networks cannot be exported, or the package does not load.
        StoreError: The store fails.
    """
    from mammo_core import packaging
    from mammo_core.evaluation.decisions import DecisionRules
    from mammo_core.packaging.chain import chain_of
    from mammo_core.registry.lineage.ancestry import ancestry_of, recorded_site_key
    from mammo_core.registry.lineage.fitted_patients import fitted_lineage, fitted_patients
    from mammo_core.training.networks import load_network

    patch_facts = PATCH_TRAINING.facts_of(inputs.patch_training)
    facts = EVALUATION.facts_of(inputs.evaluation)
    # The plain numbers of the summary are what the model card shows.
    metrics = {
        **facts.summary.model_dump(mode="json"),
        "details": read_object(store, inputs.evaluation.file("metrics.json").key),
    }
    lineage = _package_lineage(inputs, settings["recipe"], run_id)
    # Only the role that builds it reads trainings: whoever compares the package later cannot.
    origin = ancestry_of("the package", lineage, store, read_start_packages)
    package = packaging.build(
        folder,
        name=settings["name"],
        image_model=load_network(store, inputs.image_training),
        patch_model=load_network(store, inputs.patch_training),
        patch_classes=patch_facts.classes,
        preprocessing=IMAGE_TRAINING.facts_of(inputs.image_training).preprocessing,
        label_map={name: index for index, name in enumerate(IMAGE_CLASSES)},
        metrics=metrics,
        lineage={**lineage, **fitted_lineage(origin)},
        patients=fitted_patients(
            inputs.frame.id,
            frame_from_manifest(store, inputs.frame).images,
            recorded_site_key([store], inputs.frame),
            origin,
        ),
        patch_size=patch_facts.patch_size,
        rules=DecisionRules.model_validate_json(
            store.read(inputs.evaluation.file("decision_rules.json").key)
        ),
        training_data=_training_data(store, inputs, settings),
        settings=described,
        chain=chain_of(store, inputs.outputs()),
        # A model of permuted labels is never pushed.
        exports=() if facts.shuffled_labels else ("saved_model", "onnx"),
    )
    if not facts.shuffled_labels:
        packaging.self_check_in_new_process(folder)
    return package


def _package_lineage(inputs: CandidateInputs, recipe: str, run_id: str) -> dict[str, str]:
    """Return the lineage of the package, without the frames that it was fitted to."""
    return {
        "recipe": recipe,
        "run_id": run_id,
        "git_sha": git_sha() or "unknown",
        "tables_id": inputs.images.lineage["tables"],
        "image_dataset_id": inputs.images.id,
        "patch_dataset_id": inputs.evaluation.lineage["patches"],
        "frame_id": inputs.frame.id,
        "patch_training_id": inputs.patch_training.id,
        "image_training_id": inputs.image_training.id,
        "evaluation_id": inputs.evaluation.id,
    }


def _training_data(
    store: Store, inputs: CandidateInputs, settings: Mapping[str, str]
) -> "TrainingData":
    from mammo_core.packaging.training_data import training_data

    tables = TABLES.find(store, inputs.images.lineage["tables"])
    started = _terms_of_start(settings["weights"])
    licenses = [get_adapter(name).license for name in settings["source"].split("+")]
    data = training_data(
        frame_from_manifest(store, inputs.frame),
        read_table(store, tables, "images.parquet") if tables is not None else None,
        source=settings["source"],
        recipe=settings["recipe"],
        license="; ".join(dict.fromkeys(filter(None, licenses))),
        weights=settings["weights"],
        split=settings["split"],
    )
    return data.model_copy(
        update={
            "terms": tuple(dict.fromkeys([*dataset_terms(store, inputs.images), *started])),
            "acknowledged": tuple(name for name in settings["acknowledged"].split(",") if name),
        }
    )


def _terms_of_start(weights: str) -> list[Terms]:
    """Return the terms of the data that a start package was fitted to; none of other weights."""
    from mammo_core.packaging.contents import TrainingData, read_content

    if "/" not in weights or weights.endswith(_WEIGHT_FILES):
        return []
    from mammo_core.registry.opening import open_package

    folder = open_package(weights).folder
    return list(read_content(folder, "training_data.json", TrainingData).terms)
